#pragma once
#include <cmath>
#include <cstdint>
#include <span>

#include "math/backward.hpp"
#include "math/channel_math.hpp"
#include "math/partition.hpp"

/// What stands between the passes if channels form groups, in double. Arrays are over all parts.
namespace unitvar::math {

/// From one value for each group to the same for each of its parts.
void spread(const Partition& p, std::span<const double> of_groups, double* of_parts) noexcept;

/// The inverse.
void gather(const Partition& p, const double* of_parts, std::span<double> of_groups) noexcept;

/// Merges the moments of each group's parts, which have `count` values each, in a fixed tree (B74): in place, all parts
/// of a group get the result. Parts [begin, end) are whole groups.
void merge_groups(const Partition& p, std::int64_t begin, std::int64_t end, double count, double* mean,
                  double* m2) noexcept;

/// The coefficients of the input gradient of groups of several channels (B76): f(g) is of group g. A part with gamma =
/// 0 takes nothing from its own dy, and so no scale undoes what the map divides by: it is
///   dx = (x - mean) * slope + mean_dy,
/// which its scale of 0 stands for.
template <class P>
struct GroupGradientFinish {
  double values;  ///< of a group
  std::int64_t group_parts, parameters;
  const double* rstd;
  const P* gamma;  ///< null: absent
  const double *sum_dy, *sum_dy_xmu;
  BackwardArrays to;

  void operator()(std::int64_t g) const noexcept {
    const std::int64_t begin = g * group_parts, end = begin + group_parts;
    const std::int64_t first = begin / parameters * parameters;  // part k takes gamma k - first
    double sum = 0, sum_xmu = 0;
    for (std::int64_t k = begin; k < end; ++k) {
      sum += gamma_at(gamma, k - first) * sum_dy[k];
      sum_xmu += gamma_at(gamma, k - first) * sum_dy_xmu[k];
    }
    const double r = rstd[begin], mean = sum / values, along = sum_xmu * r / values * r;
    for (std::int64_t k = begin; k < end; ++k) set(k, gamma_at(gamma, k - first), r, mean, along);
  }

 private:
  void set(std::int64_t k, double g, double r, double mean, double along) const noexcept {
    to.scale.template set<P>(k, g * r, g, r);
    const double scale = to.scale.scale[k];
    const double divisor = scale == 0 ? 1 : g;  // never 0, even if compilers divide first and ask then
    to.mean_dy[k] = mean / divisor;
    to.slope[k] = along / divisor;
    if (scale == 0 || !std::isfinite(to.mean_dy[k]) || !std::isfinite(to.slope[k])) {
      to.scale.scale[k] = 0;
      to.mean_dy[k] = -mean * r;
      to.slope[k] = -along * r;
    }
  }
};
static_assert(ChannelWork<GroupGradientFinish<float>> && ChannelWork<GroupGradientFinish<double>>);

/// sum[k - first] += a[k] * b[k] for part k, which takes parameter k - first.
struct AddProducts {
  double* sum;
  std::int64_t first;
  const double *a, *b;

  void operator()(std::int64_t k) const noexcept { sum[k - first] += a[k] * b[k]; }
};
static_assert(ChannelWork<AddProducts>);

/// The same without a second factor.
struct AddValues {
  double* sum;
  std::int64_t first;
  const double* values;

  void operator()(std::int64_t k) const noexcept { sum[k - first] += values[k]; }
};
static_assert(ChannelWork<AddValues>);

}  // namespace unitvar::math
