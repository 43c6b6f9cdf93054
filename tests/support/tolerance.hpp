#pragma once
#include <algorithm>
#include <type_traits>

#include "support/dtypes.hpp"

/// The one table of tolerances: how far a result may be from the reference, per dtype and quantity.
namespace unitvar::test {

enum class Quantity { y, dx, dgamma, dbeta, mean, var, rstd };

/// A bound of max(least, per_ratio * |mean|/std) on an error.
struct Bound {
  double least;
  double per_ratio;
  const char* reason;
};

template <class T>
constexpr Bound half_bound(Quantity quantity) {
  switch (quantity) {
    case Quantity::y:
    case Quantity::dx:
      return {half_step<T> + 1e-6, 0, "rounding to 16 bits, at most half a step; arithmetic in float adds 1e-6"};
    case Quantity::dgamma:
    case Quantity::dbeta:
      return {1e-6, 0,
              "products are rounded to float, and summed 8 at a time in float: a few 6e-8, more if few values"};
    default:
      return {2e-7, 0, "as those of float"};
  }
}

/// y, dx, dgamma, dbeta: relative L2 error over the whole array. mean: the same in units of the channels' std.
/// var, rstd: relative error of the worst channel. The statistics are saved in double whatever the dtype.
template <class T>
constexpr Bound bound(Quantity quantity) {
  constexpr Bound promised_f32{3e-7, 0, "a few roundings to float (6e-8 each); 3e-7 is promised"};
  constexpr Bound promised_f64{1e-14, 1e-15, "a saved mean in double is off by 1.1e-16 |mean|, so x_hat by that / std"};
  constexpr Bound statistics_f32{2e-7, 0, "differences and squares are rounded to float; errors average out over N"};
  constexpr Bound statistics_f64{1e-14, 1e-15, "a mean in double is off by 1.1e-16 |mean|; merging spreads it to var"};
  if constexpr (is_half<T>) return half_bound<T>(quantity);
  switch (quantity) {
    case Quantity::y:
    case Quantity::dx:
    case Quantity::dgamma:
    case Quantity::dbeta:
      return std::is_same_v<T, float> ? promised_f32 : promised_f64;
    default:
      return std::is_same_v<T, float> ? statistics_f32 : statistics_f64;
  }
}

/// The bound at a given |mean|/std.
template <class T>
constexpr double tolerance(Quantity quantity, double mean_over_std) {
  const Bound of = bound<T>(quantity);
  return std::max(of.least, of.per_ratio * mean_over_std);
}

constexpr const char* quantity_name(Quantity quantity) {
  constexpr const char* names[] = {"y", "dx", "dgamma", "dbeta", "mean", "var", "rstd"};
  return names[static_cast<int>(quantity)];
}

}  // namespace unitvar::test
