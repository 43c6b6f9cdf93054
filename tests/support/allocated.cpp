// In a source of its own: where g++ sees both of them in line, it takes free for the wrong partner of operator new.
#include "support/allocated.hpp"

#include <atomic>
#include <cstdlib>
#include <limits>
#include <new>

namespace {

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
std::atomic<std::size_t> allocated = 0;
std::atomic<std::int64_t> held = 0, until_failure = kNever;
thread_local bool is_spared = false;

void* counted(std::size_t bytes, std::size_t alignment) {
  if (!is_spared && until_failure.load() != kNever && until_failure.fetch_sub(1) == 0) throw std::bad_alloc();
  const std::size_t whole = (bytes + alignment - 1) / alignment * alignment;
  void* const memory = std::aligned_alloc(alignment, whole);
  if (memory == nullptr) throw std::bad_alloc();
  allocated += bytes;
  ++held;
  return memory;
}
void take(void* memory) noexcept {
  if (memory != nullptr) --held;
  std::free(memory);
}

}  // namespace

namespace unitvar::test {

std::size_t allocated_bytes() noexcept { return allocated; }
std::int64_t held_blocks() noexcept { return held; }

FailingNew::FailingNew(std::int64_t failing_call) noexcept { until_failure = failing_call; }
FailingNew::~FailingNew() { until_failure = kNever; }
void FailingNew::spare_this_thread() noexcept { is_spared = true; }
bool FailingNew::has_failed() const noexcept { return until_failure.load() < 0; }

}  // namespace unitvar::test

void* operator new(std::size_t bytes) { return counted(bytes, alignof(std::max_align_t)); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return counted(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { take(memory); }
void operator delete(void* memory, std::size_t) noexcept { take(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { take(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { take(memory); }
