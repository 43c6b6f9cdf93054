#include "c/failing_new.hpp"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <limits>
#include <new>

namespace {

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
std::atomic<std::int64_t> until_failure{kNever};
std::atomic<std::int64_t> held{0};

void* given(std::size_t bytes, std::size_t alignment) {
  if (until_failure.load() != kNever && until_failure.fetch_sub(1) == 0) throw std::bad_alloc();
  void* const block = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (block == nullptr) throw std::bad_alloc();
  ++held;
  return block;
}
void take(void* block) noexcept {
  if (block != nullptr) --held;
  std::free(block);
}

}  // namespace

void* operator new(std::size_t bytes) { return given(bytes, alignof(std::max_align_t)); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return given(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* block) noexcept { take(block); }
void operator delete(void* block, std::size_t) noexcept { take(block); }
void operator delete(void* block, std::align_val_t) noexcept { take(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept { take(block); }

namespace unitvar::testing {

FailingNew::FailingNew(std::int64_t failing_call) noexcept {
  held = 0;
  until_failure = failing_call;
}
FailingNew::~FailingNew() { until_failure = kNever; }
bool FailingNew::has_failed() const noexcept { return until_failure.load() < 0; }
std::int64_t FailingNew::still_held() const noexcept { return held.load(); }

}  // namespace unitvar::testing
