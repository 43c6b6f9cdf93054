#include "unitvar/reference/weighted.hpp"

#include <string>

#include "reference/check.hpp"
#include "reference/walk.hpp"
#include "unitvar/error.hpp"

namespace unitvar::reference {
namespace {

using namespace detail;

template <class R>
void require_weights(const char* operation, std::span<const R> weight, std::int64_t want) {
  require_length(operation, "weight", weight, want);
  for (std::size_t j = 0; j < weight.size(); ++j) {
    if (!(weight[j] >= 0) || !std::isfinite(weight[j])) {
      throw Error(ErrorCode::bad_argument, std::string(operation) + ": weight[" + std::to_string(j) + "] is " +
                                               std::to_string(weight[j]) + ", want finite and >= 0");
    }
  }
}

/// Where the weight of element e stands.
std::size_t position(const Extent& extent, std::size_t e) {
  const auto inner = static_cast<std::size_t>(extent.inner), channels = static_cast<std::size_t>(extent.channels);
  return e / (inner * channels) * inner + e % inner;
}

/// Chosen, not multiplied: 0 times NaN is NaN.
template <class R>
R times(R weight, R value) {
  return weight > 0 ? weight * value : R{0};
}

template <class R>
std::vector<R> channel(const Extent& extent, std::span<const R> x, std::int64_t c) {
  std::vector<R> values;
  for (std::int64_t o = 0; o < extent.outer; ++o) {
    for (std::int64_t i = 0; i < extent.inner; ++i)
      values.push_back(x[static_cast<std::size_t>(extent.index(o, c, i))]);
  }
  return values;
}

}  // namespace

template <class R>
Moments<R> weighted_moments(std::span<const R> x, std::span<const R> weight) {
  constexpr auto operation = "reference::weighted_moments";
  require_length(operation, "x", x, std::ssize(x));
  require_weights(operation, weight, std::ssize(x));
  const Extent one_channel{std::ssize(x), 1, 1};
  const auto sum = [&](auto value) {
    return channel_sums<R>(one_channel, [&](auto, auto e) { return times<R>(weight[e], value(e)); })[0];
  };
  Moments<R> m{sum([](auto) { return R{1}; }), 0, 0};  // (B62)
  if (m.count == 0) return m;
  m.mean = sum([&](auto e) { return x[e]; }) / m.count;
  m.mean += sum([&](auto e) { return x[e] - m.mean; }) / m.count;  // (B10), as in forward
  m.m2 = sum([&](auto e) { return (x[e] - m.mean) * (x[e] - m.mean); });
  return m;
}

template <class R>
WeightedForward<R> weighted_forward(const Extent& extent, std::span<const R> x, std::span<const R> weight,
                                    std::span<const R> gamma, std::span<const R> beta, R eps, Weightless weightless) {
  constexpr auto operation = "reference::weighted_forward";
  check_extent(operation, extent, sizeof(R));
  require_length(operation, "x", x, extent.size());
  require_weights(operation, weight, extent.count());
  require_optional_length(operation, "gamma", gamma, extent.channels);
  require_optional_length(operation, "beta", beta, extent.channels);

  std::vector<R> mean, var, rstd;
  R total = 0;
  for (std::int64_t c = 0; c < extent.channels; ++c) {
    const auto m = weighted_moments<R>(channel(extent, x, c), weight);
    total = m.count;
    mean.push_back(m.mean);
    var.push_back(biased_variance(m));  // (B63)
  }
  require_positive<R>(operation, var, eps);
  for (const R v : var) rstd.push_back(1 / std::sqrt(v + eps));
  const auto scale = or_constant(gamma, extent.channels, R{1});
  const auto shift = or_constant(beta, extent.channels, R{0});
  std::vector<R> x_hat(x.size()), y(x.size());
  for_each_element(extent, [&](auto c, auto e) {  // (B63)
    if (weight[position(extent, e)] == 0 && weightless == Weightless::zero) return;
    x_hat[e] = (x[e] - mean[c]) * rstd[c];
    y[e] = scale[c] * x_hat[e] + shift[c];
  });
  return {y, {{extent, mean, var, rstd, x_hat, scale}, {weight.begin(), weight.end()}, total}};
}

template <class R>
Gradients<R> weighted_backward(const WeightedCache<R>& weighted, std::span<const R> dy) {
  constexpr auto operation = "reference::weighted_backward";
  const Cache<R>& cache = weighted.cache;
  require_cache(operation, cache, dy);
  const Extent& extent = cache.extent;
  require_weights<R>(operation, weighted.weight, extent.count());
  const auto of = [&](std::size_t e) { return weighted.weight[position(extent, e)]; };
  const auto where_weighted = [&](std::size_t e, R value) { return of(e) > 0 ? value : R{0}; };
  const auto dbeta = channel_sums<R>(extent, [&](auto, auto e) { return where_weighted(e, dy[e]); });  // (B65)
  const auto dgamma = channel_sums<R>(extent, [&](auto, auto e) { return where_weighted(e, dy[e] * cache.x_hat[e]); });
  std::vector<R> dx(dy.size());
  for_each_element(extent, [&](auto c, auto e) {  // (B66)
    const R share = of(e) / weighted.total;
    const R of_batch = dbeta[c] * share + cache.x_hat[e] * (dgamma[c] * share);
    dx[e] = where_weighted(e, cache.gamma[c] * cache.rstd[c] * (dy[e] - of_batch));
  });
  return {dx, dgamma, dbeta};
}

#define UNITVAR_INSTANTIATE(R)                                                                         \
  template Moments<R> weighted_moments(std::span<const R>, std::span<const R>);                        \
  template WeightedForward<R> weighted_forward(const Extent&, std::span<const R>, std::span<const R>,  \
                                               std::span<const R>, std::span<const R>, R, Weightless); \
  template Gradients<R> weighted_backward(const WeightedCache<R>&, std::span<const R>);
UNITVAR_INSTANTIATE(double)
UNITVAR_INSTANTIATE(long double)
#undef UNITVAR_INSTANTIATE

}  // namespace unitvar::reference
