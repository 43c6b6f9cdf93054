#pragma once
#include <cstddef>
#include <cstdint>

namespace unitvar::test {

/// Bytes that operator new of a program with allocated.cpp has given so far, the library's among them.
std::size_t allocated_bytes() noexcept;

/// While it lives, operator new of the whole program throws bad_alloc at the call of this number, once, on whatever
/// thread. There is one at a time.
class FailingNew {
 public:
  explicit FailingNew(std::int64_t failing_call) noexcept;
  ~FailingNew();
  FailingNew(const FailingNew&) = delete;
  FailingNew& operator=(const FailingNew&) = delete;

  [[nodiscard]] bool has_failed() const noexcept;
  /// Blocks that were given since it lives, less those that were taken back.
  [[nodiscard]] std::int64_t still_held() const noexcept;
};

}  // namespace unitvar::test
