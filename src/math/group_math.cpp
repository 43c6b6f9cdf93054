#include "math/group_math.hpp"

#include <algorithm>

#include "math/merge.hpp"

namespace unitvar::math {

void spread(const Partition& p, std::span<const double> of_groups, double* of_parts) noexcept {
  for (const double value : of_groups) of_parts = std::fill_n(of_parts, p.group_parts, value);
}

void gather(const Partition& p, const double* of_parts, std::span<double> of_groups) noexcept {
  for (double& value : of_groups) {
    value = *of_parts;
    of_parts += p.group_parts;
  }
}

void merge_groups(const Partition& p, std::int64_t begin, std::int64_t end, double count, double* mean,
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

}  // namespace unitvar::math
