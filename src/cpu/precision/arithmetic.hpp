#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "cpu/precision/ordinary.hpp"

/// Which of a block's channels, or rows, are computed in float, and which in double.
namespace unitvar::cpu {

/// Calls f with a value of the type to compute in.
template <class Fast, class F>
void in_arithmetic(bool fast, const F& f) noexcept {
  if constexpr (!std::is_same_v<Fast, double>) {
    if (fast) {
      f(Fast());
      return;
    }
  }
  f(double());
}

/// A shift k standard deviations away from the mean costs a factor 1 + k^2 of precision in M2; beyond k = 3 it is too
/// much. Sums of floats have digits to spare, which are added in double: k = 1024 costs 1e-10. Few tiles have it: those
/// whose shift was taken from an outlier. False for NaN, which nothing repairs.
template <class T>
bool is_off_center(double n, double first, double second) noexcept {
  constexpr double kMost = std::is_same_v<T, float> ? 0x1p20 : 3 * 3;
  const double between = first * (first / n);
  return between > kMost * (second - between);
}

/// The values at four places.
template <class T>
Sample sample_at(const T* x, const std::array<std::int64_t, 4>& places) noexcept {
  const auto v = [&](std::size_t i) { return static_cast<double>(x[places[i]]); };
  return sample_of(v(0), v(1), v(2), v(3));
}

/// What A leaves of a value, times a factor.
template <class A>
double rounded_off(double value, double factor = 1) noexcept {
  return std::is_same_v<A, double> ? 0 : (value - static_cast<double>(static_cast<A>(value))) * factor;
}

}  // namespace unitvar::cpu
