#include "core/workspace.hpp"

#include <algorithm>
#include <array>
#include <new>
#include <utility>

#include "core/sanitized.hpp"

namespace unitvar::core {
namespace {

constexpr std::align_val_t kLine{64};

// A sanitizer can check the end of a block only if no other call gets the same one.
#ifdef UNITVAR_SANITIZED
constexpr std::size_t kMostKept = 0;
#else
constexpr std::size_t kMostKept = std::size_t{2} << 20;
#endif

/// A call takes three at a time.
thread_local std::array<Workspace::Block, 4> kept;

Workspace::Block take(std::size_t bytes) {
  for (Workspace::Block& block : kept) {
    if (block.memory && block.bytes >= bytes) return std::exchange(block, {});
  }
  const std::size_t whole_pages = (bytes + 4095) / 4096 * 4096;
  return {std::unique_ptr<std::byte, Workspace::Free>(static_cast<std::byte*>(::operator new(whole_pages, kLine))),
          whole_pages};
}

}  // namespace

void Workspace::Free::operator()(std::byte* memory) const noexcept { ::operator delete(memory, kLine); }

// The analyzer reports a leak here: the memory is kept for the next call.
Workspace::Workspace(std::size_t bytes) : block_(take(bytes)) {}  // NOLINT(clang-analyzer-cplusplus.NewDeleteLeaks)

Workspace::~Workspace() {
  if (block_.bytes > kMostKept) return;
  const auto smallest =
      std::min_element(kept.begin(), kept.end(), [](const Block& a, const Block& b) { return a.bytes < b.bytes; });
  if (smallest->bytes < block_.bytes) *smallest = std::move(block_);
}

}  // namespace unitvar::core
