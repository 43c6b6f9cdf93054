#pragma once
#include <cmath>
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
