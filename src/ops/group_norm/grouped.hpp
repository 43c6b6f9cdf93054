#pragma once
#include <span>

#include "math/partition.hpp"
#include "unitvar/dtype.hpp"
#include "unitvar/options.hpp"

/// Normalization by the statistics of groups of channels in sub-batches of outer rows: what instance norm, group norm
/// and ghost batches have in common. Arguments are checked.
namespace unitvar::ops {

/// Statistics have an element for each group; those that are not wanted are empty.
template <class T>
struct GroupedForward {
  math::Partition partition;
  const T* x;
  std::span<const param_t<T>> gamma, beta;
  T* y;
  std::span<double> mean, var, rstd;
  double eps;

  /// Of the arguments of an operation.
  template <class Args>
  static GroupedForward of(const math::Partition& partition, const Args& a) noexcept {
    GroupedForward result{partition, a.x.data(), a.gamma, a.beta, a.y.data(), a.mean, {}, a.rstd, a.eps};
    if constexpr (requires { a.var; }) result.var = a.var;
    return result;
  }
};

/// y = gamma * (x - mean) * rstd + beta by each group's own mean and biased variance. Throws bad_epsilon, in the name
/// of `operation`, before anything is written.
template <class T>
void grouped_forward(const char* operation, const GroupedForward<T>& args, const Options& options);

/// Outputs that are not wanted are empty, one at least is not.
template <class T>
struct GroupedBackward {
  math::Partition partition;
  std::span<const T> x, dy;
  std::span<const double> mean, rstd;  ///< of each group
  std::span<const param_t<T>> gamma;
  std::span<T> dx;
  std::span<param_t<T>> dgamma, dbeta;

  template <class Args>
  static GroupedBackward of(const math::Partition& partition, const Args& a) noexcept {
    return {partition, a.x, a.dy, a.mean, a.rstd, a.gamma, a.dx, a.dgamma, a.dbeta};
  }
};

template <class T>
void grouped_backward(const GroupedBackward<T>& args, const Options& options);

}  // namespace unitvar::ops
