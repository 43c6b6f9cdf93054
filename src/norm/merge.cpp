#include "norm/merge.hpp"

#include "core/vector_loop.hpp"

namespace unitvar::norm {

void merge_moments(double count_a, PairArrays a, double count_b, double const* mean_b, double const* m2_b,
                   std::int64_t channels) noexcept {
  const double weight_b = count_b / (count_a + count_b);
  const double cross = count_a * weight_b;
  core::vector_loop(0, channels, [=](std::int64_t c) {
    const double d = mean_b[c] - a.first[c];
    a.first[c] += d * weight_b;
    a.second[c] += m2_b[c] + d * d * cross;
  });
}

void merge_sums(PairArrays a, PairArrays b, std::int64_t channels) noexcept {
  core::vector_loop(0, channels, [=](std::int64_t c) {
    a.first[c] += b.first[c];
    a.second[c] += b.second[c];
  });
}

}  // namespace unitvar::norm
