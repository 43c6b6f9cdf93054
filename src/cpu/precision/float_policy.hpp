#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

/// Float or double: what is computed in which arithmetic, and what keeps float's digits.
///
/// Tensors of double are computed in double throughout. Of the others, elements of y and dx are computed in float.
/// Sums over tensors of float are in double. Sums over tensors of 16 bits are in float, and end in double. That is the
/// fast arithmetic. Where float loses digits, the same phase runs in the wide arithmetic: double, on the same data.
///
/// | quantity                        | wide where it is                | because float                               |
/// |---------------------------------|---------------------------------|---------------------------------------------|
/// | mean, scale, slope, mean(dy),   | NaN, or above 2^100, or below   | overflows or loses bits to underflow, in    |
/// | beta, gamma                     | 2^-90 and not 0                 | the value or in products with usual data    |
/// | what a map adds behind products | NaN, or above 2^100             | overflows; a small one may round to 0       |
/// | mean of g = gamma * dy (rows)   | NaN, or below 2^-120            | lost bits of the products g to underflow    |
/// | sum of squares or products      | NaN, above 2^100, below 2^-80   | overflows or lost bits of products          |
/// | (16 bits)                       |                                 |                                             |
/// | shift, k deviations off the     | k > 3; of tensors of float,     | (not float:) M2 loses a factor 1 + k^2 of   |
/// | mean (sums of all types)        | whose sums have digits to spare,| precision, so the tile is summed again      |
/// |                                 | k > 1024                        | about the mean that the sums give           |
///
/// A channel of a tile, or a row, is judged by its own numbers and never by its neighbours'. So its bits do not depend
/// on how channels are grouped. The whole channel, or row, goes to double, for this phase alone.
///
/// What float rounds off a mean is the same for all elements of a channel. It is not lost: it goes into what the map
/// adds (`addend_about`). Of mean(dy), both halves are subtracted (`remainder_of`), because dy may be all mean.
///
/// All functions are pure. `A` is the arithmetic in question, float or double; double keeps everything. They have no
/// branches, so that loops over channels become vectors.
namespace unitvar::cpu {

/// All of the conditions, without branches.
template <class... Conditions>
bool every(Conditions... conditions) noexcept {
  return (static_cast<int>(conditions) & ...) != 0;
}
/// One of the conditions at least, without branches.
template <class... Conditions>
bool any(Conditions... conditions) noexcept {
  return (static_cast<int>(conditions) | ...) != 0;
}

/// Whether A holds a coefficient to A's last digit, and its products with data of usual size neither overflow nor lose
/// digits to underflow.
template <class A>
bool keeps_digits_of(double coefficient) noexcept {
  if constexpr (std::is_same_v<A, double>) {
    return true;
  } else {
    const double size = std::abs(coefficient);
    return every(size <= 0x1p100, any(size >= 0x1p-90, size == 0));
  }
}

/// The same of a value that is only added or subtracted: small ones may round to 0.
template <class A>
bool keeps_addend(double addend) noexcept {
  return std::is_same_v<A, double> || std::abs(addend) <= 0x1p100;
}

/// Whether a mean of products is so large that products which lost digits to underflow do not matter.
inline bool tells_size(double mean) noexcept { return std::abs(mean) >= 0x1p-120; }

/// Whether products g that were rounded to A are good, from their mean and their mean with x_hat: one of the two is so
/// large that products which lost digits to underflow do not matter. Where the mean is exactly 0, products may have
/// cancelled, or all be 0. Of those that cancelled, the other mean tells their size.
template <class A>
bool keeps_products(double mean, double mean_with_x_hat) noexcept {
  if constexpr (std::is_same_v<A, double>) {
    return true;
  } else {
    const bool tells = every(mean == 0, any(tells_size(mean_with_x_hat), mean_with_x_hat == 0));
    return any(tells_size(mean), tells);
  }
}

/// Whether a sum of products in A is good: so large that products which underflowed do not matter, and no overflow. A
/// sum of 0 does not tell whether its products were 0.
template <class A>
bool keeps_sum_of_products(double sum) noexcept {
  if constexpr (std::is_same_v<A, double>) {
    return true;
  } else {
    const double size = std::abs(sum);
    return every(size >= 0x1p-80, size <= 0x1p100);
  }
}

/// Whether the shift lies too far from the mean of the n values, for tensors of T, by sum(x - shift) and
/// sum((x - shift)^2). False for NaN, which no other shift repairs.
template <class T>
bool shift_is_too_far(double n, double sum, double sum_of_squares) noexcept {
  constexpr double kMost = std::is_same_v<T, float> ? 0x1p20 : 3 * 3;  // k^2
  const double between = sum * (sum / n);
  return between > kMost * (sum_of_squares - between);
}

/// What A leaves of a value, times a factor.
template <class A>
double remainder_of(double value, double factor = 1) noexcept {
  return std::is_same_v<A, double> ? 0 : (value - static_cast<double>(static_cast<A>(value))) * factor;
}

/// `addend` of (x - center) * slope + addend, where A(center) is subtracted: it takes over what A leaves of the center.
/// The same with a minus before the product: (dy - level) - (x - center) * slope has a level instead of an addend.
template <class A>
double addend_about(double addend, double center, double slope) noexcept {
  return addend - remainder_of<A>(center, slope);
}

/// Whether A computes y = (x - mean) * scale + beta.
template <class A>
bool keeps_y(double mean, double scale, double beta) noexcept {
  return every(keeps_digits_of<A>(mean), keeps_digits_of<A>(scale), keeps_digits_of<A>(beta),
               keeps_addend<A>(addend_about<A>(beta, mean, scale)));
}

/// Whether A computes dx = ((dy - level) - (x - mean) * slope) * scale.
template <class A>
bool keeps_dx(double mean, double level, double slope, double scale) noexcept {
  return every(keeps_digits_of<A>(mean), keeps_digits_of<A>(level), keeps_digits_of<A>(slope),
               keeps_digits_of<A>(scale), keeps_addend<A>(addend_about<A>(level, mean, slope)));
}

/// Whether A computes the term (x - center) * slope of a linear map.
template <class A>
bool keeps_term(double center, double slope) noexcept {
  return every(keeps_digits_of<A>(center), keeps_digits_of<A>(slope));
}

/// Whether moments of n values of T are good, from sums in A about a shift. With `shift_is_given`, the shift is not to
/// be moved, wherever the mean lies.
template <class T, class A>
bool keeps_moments(double n, double sum, double sum_of_squares, bool shift_is_given = false) noexcept {
  return every(keeps_sum_of_products<A>(sum_of_squares),
               any(shift_is_given, !shift_is_too_far<T>(n, sum, sum_of_squares)));
}

/// Whether sum(dy) and sum(dy * (x - center)) in A are good.
template <class A>
bool keeps_gradient_sums(double center, double sum_dy, double sum_dy_xmu) noexcept {
  return every(keeps_digits_of<A>(center), keeps_digits_of<A>(sum_dy), keeps_sum_of_products<A>(sum_dy_xmu));
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
/// The same of the values at four places.
template <class T>
Sample sample_at(const T* x, const std::array<std::int64_t, 4>& places) noexcept {
  const auto v = [&](std::size_t i) { return static_cast<double>(x[places[i]]); };
  return sample_of(v(0), v(1), v(2), v(3));
}

/// A shift for sums in A: near `value`, closer than the spread of the data, but a round number, whose difference to
/// most of the data is exact in A. With a shift that has bits below the data's last, x - shift would be rounded the
/// same way for thousands of x, and sums would be off by N of these errors, not by their square root. Data that are
/// mostly one number: that number. Sums in double have digits to spare: `value` itself.
template <class A>
double round_shift(double value, const Sample& sample) noexcept {
  if constexpr (std::is_same_v<A, double>) {
    return value;
  } else {
    constexpr std::uint64_t kExponent = 0x7ff0'0000'0000'0000;
    const double grid = std::bit_cast<double>(std::bit_cast<std::uint64_t>(sample.spread) & kExponent) / 4;
    const double round = grid * 0x1.8p52;  // added and subtracted, it rounds to a multiple of grid
    const double rounded = std::abs(value) <= sample.spread ? 0 : value + round - round;
    const auto in_a = static_cast<double>(static_cast<A>(sample.spread > 0 ? rounded : sample.middle));
    return std::abs(value) <= 0x1p100 ? in_a : value;  // else, whatever A makes of it will not be trusted
  }
}

/// A shift nearer to the mean: the mean, as far as sum(x - shift) of n values knows it.
inline double better_shift(double shift, double n, double sum) noexcept { return shift + sum / n; }

/// Mean and M2 of n values, from sum(x - shift) and sum((x - shift)^2). NaN stays NaN.
struct MeanM2 {
  double mean, m2;
};
inline MeanM2 moments_about(double shift, double n, double sum, double sum_of_squares) noexcept {
  const double from_shift = sum / n;
  const double m2 = sum_of_squares - sum * from_shift;
  return {shift + from_shift, m2 < 0 ? 0 : m2};
}

/// sum(dy * (x - mean)) from sum(dy * (x - center)) and sum(dy).
inline double moved_to_mean(double sum_dy_xmu, double sum_dy, double center, double mean) noexcept {
  return sum_dy_xmu + (center - mean) * sum_dy;
}

/// Calls f with a value of the type to compute in: Fast, or double.
template <class Fast, class F>
void with_arithmetic(bool is_fast, const F& f) noexcept {
  if constexpr (!std::is_same_v<Fast, double>) {
    if (is_fast) {
      f(Fast());
      return;
    }
  }
  f(double());
}

}  // namespace unitvar::cpu
