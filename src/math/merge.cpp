#include "math/merge.hpp"

#include "core/vector_loop.hpp"

namespace unitvar::math {

void merge_moments(double count_a, ChannelPairs a, double count_b, double const* mean_b, double const* m2_b,
                   std::int64_t channels) noexcept {
  const MomentMerge merge(count_a, count_b);
  core::vector_loop(0, channels, [=](std::int64_t c) { merge(a.first[c], a.second[c], mean_b[c], m2_b[c]); });
}

void merge_sums(ChannelPairs a, ChannelPairs b, std::int64_t channels) noexcept {
  core::vector_loop(0, channels, [=](std::int64_t c) {
    a.first[c] += b.first[c];
    a.second[c] += b.second[c];
  });
}

}  // namespace unitvar::math
