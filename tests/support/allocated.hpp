#pragma once
#include <cstddef>
#include <cstdint>

namespace unitvar::test {

/// Bytes that operator new of a program with allocated.cpp has given so far, the library's among them.
std::size_t allocated_bytes() noexcept;
/// Blocks that were given, less those that were taken back.
std::int64_t held_blocks() noexcept;

/// While it lives, operator new of the whole program throws bad_alloc at the call of this number, once, on whatever
/// thread that is not spared. There is one at a time.
class FailingNew {
 public:
  explicit FailingNew(std::int64_t failing_call) noexcept;
  ~FailingNew();
  FailingNew(const FailingNew&) = delete;
  FailingNew& operator=(const FailingNew&) = delete;

  [[nodiscard]] bool has_failed() const noexcept;
  /// The calling thread's calls neither fail nor count, from here on.
  static void spare_this_thread() noexcept;
};

}  // namespace unitvar::test
