#pragma once
#include <cstdint>

namespace unitvar::core {

/// a / b, rounded up: how many pieces of b hold a. For a >= 0 and b > 0.
constexpr std::int64_t divide_up(std::int64_t a, std::int64_t b) noexcept { return (a + b - 1) / b; }

}  // namespace unitvar::core
