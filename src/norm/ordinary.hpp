#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

/// Where arithmetic in float keeps float's digits. Outside, the same phase runs in double: rare, slower, right.
namespace unitvar::norm {

/// A coefficient that float holds to its last digit, and whose products with data of ordinary size neither overflow
/// nor lose digits to underflow. False for NaN. Arithmetic in double takes all.
template <class A>
bool is_ordinary(double v) noexcept {
  if constexpr (std::is_same_v<A, double>) {
    return true;
  } else {
    const double size = std::abs(v);
    return size == 0 || (size >= 0x1p-90 && size <= 0x1p100);
  }
}

/// Near `mean`, but a number with few digits: its difference to 16-bit numbers about as large as `value` is exact in
/// float. With all of float's digits x - center would be rounded, the same way for the thousands of x that are equal,
/// and sums would be off by N of these errors, not by their square root.
inline double short_center(double mean, double value) noexcept {
  constexpr std::uint64_t kExponent = 0x7ff0'0000'0000'0000;
  const double size = std::abs(mean) + std::abs(value);
  const double power = std::bit_cast<double>(std::bit_cast<std::uint64_t>(size) & kExponent);
  const double magic = power * 0x1.8p36;  // doubles of its size are 2^-16 of power apart
  return mean + magic - magic;
}

/// A sum of products in float: large enough that products which underflowed do not matter in it, and no overflow.
template <class A>
bool is_ordinary_sum(double sum) noexcept {
  if constexpr (std::is_same_v<A, double>) {
    return true;
  } else {
    const double size = std::abs(sum);
    return size >= 0x1p-80 && size <= 0x1p100;
  }
}

}  // namespace unitvar::norm
