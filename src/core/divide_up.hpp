#pragma once
#include <cstdint>

namespace unitvar::core {

/// a / b, rounded up: how many pieces of b hold a. For a >= 0 and b > 0.
constexpr std::int64_t divide_up(std::int64_t a, std::int64_t b) noexcept { return (a + b - 1) / b; }

/// The longest of the equal parts, none longer than `most`, that n is cut into. For n >= 1 and most >= 1.
constexpr std::int64_t equal_part(std::int64_t n, std::int64_t most) noexcept {
  return divide_up(n, divide_up(n, most));
}

/// From begin to end - 1.
struct Range {
  std::int64_t begin, end;

  [[nodiscard]] constexpr std::int64_t size() const noexcept { return end - begin; }
};

/// Share k of 0 .. n-1, cut into so many shares: neighbours stay together, and no two sizes differ by more than 1.
constexpr Range share_of(std::int64_t n, std::int64_t shares, std::int64_t k) noexcept {
  const auto before = [=](std::int64_t i) { return n / shares * i + n % shares * i / shares; };
  return {before(k), before(k + 1)};
}

}  // namespace unitvar::core
