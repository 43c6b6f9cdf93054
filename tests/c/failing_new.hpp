#pragma once
#include <cstdint>

namespace unitvar::testing {

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

}  // namespace unitvar::testing
