#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

/// Where arithmetic in float keeps float's digits. Outside, the same phase runs in double: rare, slower, right.
namespace unitvar::cpu {

/// All of the conditions, without branches: a loop over channels that asks it can become vectors.
template <class... Conditions>
bool every(Conditions... conditions) noexcept {
  return (static_cast<int>(conditions) & ...) != 0;
}

/// A coefficient that float holds to its last digit, and whose products with data of ordinary size neither overflow
/// nor lose digits to underflow. False for NaN. Arithmetic in double takes all.
template <class A>
bool is_ordinary(double v) noexcept {
  if constexpr (std::is_same_v<A, double>) {
    return true;
  } else {
    const double size = std::abs(v);
    return every(size <= 0x1p100, static_cast<int>(size >= 0x1p-90) | static_cast<int>(size == 0));
  }
}

/// A value that is only added or subtracted: small ones may round to 0.
template <class A>
bool is_moderate(double v) noexcept {
  return std::is_same_v<A, double> || std::abs(v) <= 0x1p100;
}

/// Where the middle of four of the data's values lies, and how far they are apart. One of them may be an outlier.
struct Sample {
  double middle, spread;
};
inline Sample sample_of(double a, double b, double c, double d) noexcept {
  const double low = std::min(std::min(a, b), std::min(c, d)), high = std::max(std::max(a, b), std::max(c, d));
  const double e = std::max(std::min(a, b), std::min(c, d)), f = std::min(std::max(a, b), std::max(c, d));
  const double second = std::min(e, f), third = std::max(e, f);
  return {(second + third) / 2, std::min(third - low, high - second)};
}

/// Near `value`, closer than the spread of the data, but a round number: one whose difference to most of them is exact
/// in A. With a shift that has bits below the data's last, x - shift would be rounded the same way for thousands of x,
/// and sums would be off by N of these errors, not by their square root. Data that are mostly one number: that number.
template <class A>
double coarse(double value, const Sample& sample) noexcept {
  if constexpr (std::is_same_v<A, double>) {
    return value;
  } else {
    // Without branches: which way they go is random.
    constexpr std::uint64_t kExponent = 0x7ff0'0000'0000'0000;
    const double grid = std::bit_cast<double>(std::bit_cast<std::uint64_t>(sample.spread) & kExponent) / 4;
    const double round = grid * 0x1.8p52;  // added and subtracted, it rounds to a multiple of grid
    const double rounded = std::abs(value) <= sample.spread ? 0 : value + round - round;
    const auto in_a = static_cast<double>(static_cast<A>(sample.spread > 0 ? rounded : sample.middle));
    return std::abs(value) <= 0x1p100 ? in_a : value;  // else, whatever A makes of it will not be trusted
  }
}

/// The mean of products g that are rounded to A, and their mean with x_hat: one of them is so large that products which
/// lost digits to underflow do not matter. Where the mean is exactly 0, products may have cancelled, or all be 0; of
/// those that cancelled, the other mean tells their size.
template <class A>
bool are_means_of_products(double mean, double with_x_hat) noexcept {
  if constexpr (std::is_same_v<A, double>) {
    return true;
  } else {
    const bool tells =
        every(mean == 0, static_cast<int>(std::abs(with_x_hat) >= 0x1p-120) | static_cast<int>(with_x_hat == 0));
    return static_cast<int>(std::abs(mean) >= 0x1p-120) | static_cast<int>(tells);
  }
}

/// A sum of products in float: large enough that products which underflowed do not matter in it, and no overflow.
template <class A>
bool is_ordinary_sum(double sum) noexcept {
  if constexpr (std::is_same_v<A, double>) {
    return true;
  } else {
    const double size = std::abs(sum);
    return every(size >= 0x1p-80, size <= 0x1p100);
  }
}

}  // namespace unitvar::cpu
