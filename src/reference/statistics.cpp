#include "unitvar/reference/statistics.hpp"

#include <string>

#include "reference/check.hpp"
#include "reference/walk.hpp"
#include "unitvar/error.hpp"

namespace unitvar::reference {

template <class R>
Moments<R> moments(std::span<const R> x) {
  detail::require_length("reference::moments", "x", x, std::ssize(x));
  if (x.empty()) return {};
  const Extent one_channel{std::ssize(x), 1, 1};
  R mean = detail::channel_means<R>(one_channel, [&](auto, auto e) { return x[e]; })[0];        // (B1)
  mean += detail::channel_means<R>(one_channel, [&](auto, auto e) { return x[e] - mean; })[0];  // (B10), as in forward
  const R m2 = detail::channel_sums<R>(one_channel, [&](auto, auto e) {                         // (B2)
    return (x[e] - mean) * (x[e] - mean);
  })[0];
  return {detail::number<R>(std::ssize(x)), mean, m2};
}

template <class R>
Moments<R> merge(const Moments<R>& a, const Moments<R>& b) {  // (B8)
  if (b.count == 0) return a;
  if (a.count == 0) return b;
  const R count = a.count + b.count;
  const R d = b.mean - a.mean;
  return {count, a.mean + d * (b.count / count), a.m2 + b.m2 + d * d * (a.count * (b.count / count))};
}

template <class R>
R biased_variance(const Moments<R>& moments) {
  return moments.count == 0 ? R{0} : moments.m2 / moments.count;  // (B3)
}

template <class R>
R unbiased_variance(const Moments<R>& moments) {
  if (!(moments.count > 1)) {
    throw Error(ErrorCode::too_few_values,
                "reference::unbiased_variance: count is " + std::to_string(moments.count) + ", want more than 1");
  }
  return moments.m2 / (moments.count - 1);  // (B7)
}

template <class R>
R running_update(R running, R batch, R weight_of_new) {
  return running + weight_of_new * (batch - running);  // (B7)
}

#define UNITVAR_INSTANTIATE(R)                                     \
  template Moments<R> moments(std::span<const R>);                 \
  template Moments<R> merge(const Moments<R>&, const Moments<R>&); \
  template R biased_variance(const Moments<R>&);                   \
  template R unbiased_variance(const Moments<R>&);                 \
  template R running_update(R, R, R);
UNITVAR_INSTANTIATE(double)
UNITVAR_INSTANTIATE(long double)
#undef UNITVAR_INSTANTIATE

}  // namespace unitvar::reference
