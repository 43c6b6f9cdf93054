#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>

#include "core/vector_loop.hpp"
#include "math/channel_math.hpp"
#include "math/coefficients.hpp"
#include "math/merge.hpp"
#include "math/partition.hpp"

/// What stands between the phases if channels form groups, in double. Arrays are over all parts.
namespace unitvar::math {

/// From one value for each group to the same for each of its parts.
inline void spread(const Partition& p, std::span<const double> of_groups, double* of_parts) noexcept {
  for (const double value : of_groups) of_parts = std::fill_n(of_parts, p.group_parts, value);
}

/// The inverse.
inline void gather(const Partition& p, const double* of_parts, std::span<double> of_groups) noexcept {
  for (double& value : of_groups) {
    value = *of_parts;
    of_parts += p.group_parts;
  }
}

/// Merges the moments of each group's parts, which have `count` values each, in a fixed tree (B74): in place, all parts
/// of a group get the result. Parts [begin, end) are whole groups.
inline void merge_groups(const Partition& p, std::int64_t begin, std::int64_t end, double count, double* mean,
                         double* m2) noexcept {
  const std::int64_t n = p.group_parts;
  if (n == 1) return;
  merge_tree(n, [&](std::int64_t i, std::int64_t j, std::int64_t step) {
    const MomentMerge merge(static_cast<double>(step) * count, static_cast<double>(std::min(step, n - j)) * count);
    for (std::int64_t g = begin; g < end; g += n) merge(mean[g + i], m2[g + i], mean[g + j], m2[g + j]);
  });
  for (std::int64_t g = begin; g < end; g += n) {
    std::fill_n(mean + g, n, mean[g]);
    std::fill_n(m2 + g, n, m2[g]);
  }
}

/// Adds the parts of each parameter, sub-batch after sub-batch.
template <class P, class Value>
void sum_over_sub_batches(const Partition& p, std::span<P> out, double* sum, const Value& value) {
  if (out.empty()) return;
  std::fill_n(sum, p.parameters, 0.0);
  p.for_parameters(0, p.parts(), [&](std::int64_t b, std::int64_t e, std::int64_t first) {
    core::vector_loop(b, e, [=](std::int64_t k) { sum[k - first] += value(k); });
  });
  for (std::size_t c = 0; c < out.size(); ++c) out[c] = static_cast<P>(sum[c]);
}

/// The coefficients of the input gradient of groups of several channels (B76), for parts [begin, end), which are whole
/// groups. A part with gamma = 0 takes nothing from its own dy, and so no scale undoes what the map divides by: it is
///   dx = (x - mean) * slope + mean_dy,
/// which its scale of 0 stands for.
struct GroupGradientFinish {
  double values;  ///< of a group
  double* mean_dy;
  double* slope;
  ScaleArrays scales;

  template <class P>
  void operator()(const Partition& p, std::int64_t begin, std::int64_t end, const double* rstd,
                  std::span<const P> gamma, const double* sum_dy, const double* sum_dy_xmu) const noexcept {
    p.for_parameters(begin, end, [&](std::int64_t b, std::int64_t e, std::int64_t first) {
      for (std::int64_t g = b; g < e; g += p.group_parts)
        group(g, g + p.group_parts, first, rstd[g], gamma, sum_dy, sum_dy_xmu);
    });
  }

 private:
  template <class P>
  void group(std::int64_t begin, std::int64_t end, std::int64_t first, double r, std::span<const P> gamma,
             const double* sum_dy, const double* sum_dy_xmu) const noexcept {
    double sum = 0, sum_xmu = 0;
    for (std::int64_t k = begin; k < end; ++k) {
      sum += gamma_at(gamma, k - first) * sum_dy[k];
      sum_xmu += gamma_at(gamma, k - first) * sum_dy_xmu[k];
    }
    const double mean = sum / values, along = sum_xmu * r / values * r;
    fill_scales(
        begin - first, end - first, [r](std::int64_t) { return r; }, gamma, scales.from(first));
    double* const scale = scales.scale;
    for (std::int64_t k = begin; k < end; ++k) {
      const double g = gamma_at(gamma, k - first);
      const double divisor = scale[k] == 0 ? 1 : g;  // never 0, even if compilers divide first and ask then
      mean_dy[k] = mean / divisor;
      slope[k] = along / divisor;
      if (scale[k] == 0 || !std::isfinite(mean_dy[k]) || !std::isfinite(slope[k])) {
        scale[k] = 0;
        mean_dy[k] = -mean * r;
        slope[k] = -along * r;
      }
    }
  }
};

}  // namespace unitvar::math
