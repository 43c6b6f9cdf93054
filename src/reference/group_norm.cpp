#include "unitvar/reference/group_norm.hpp"

#include <cmath>

#include "reference/check.hpp"
#include "reference/walk.hpp"

namespace unitvar::reference {
namespace {

using namespace detail;
using std::int64_t;

/// f(k, c, e) for every element e, of group k and channel c.
template <class F>
void for_each_group_element(const Groups& groups, F f) {
  const Extent& extent = groups.extent;
  const auto size = static_cast<std::size_t>(extent.channels * extent.inner * groups.sample_rows);
  for_each_element(extent, [&](std::size_t c, std::size_t e) {
    const std::size_t sample = e / size, group = c / static_cast<std::size_t>(groups.group_channels());
    f(sample * static_cast<std::size_t>(groups.per_sample()) + group, c, e);
  });
}

/// Per group k, the mean of term(k, c, e) over its M elements e, of channels c.
template <class R, class Term>
std::vector<R> group_means(const Groups& groups, Term term) {
  const Extent& extent = groups.extent;
  const int64_t channels = groups.group_channels(), row = channels * extent.inner;
  std::vector<R> means(static_cast<std::size_t>(groups.size()));
  for (int64_t k = 0; k < groups.size(); ++k) {
    const int64_t sample = k / groups.per_sample(), first = k % groups.per_sample() * channels;
    auto nth = [&](int64_t j) {
      const int64_t c = first + j % row / extent.inner;
      const int64_t e = extent.index(sample * groups.sample_rows + j / row, c, j % extent.inner);
      return term(static_cast<std::size_t>(k), static_cast<std::size_t>(c), static_cast<std::size_t>(e));
    };
    means[static_cast<std::size_t>(k)] = pairwise_sum<R>(0, groups.count(), nth) / number<R>(groups.count());
  }
  return means;
}

template <class R>
std::vector<R> group_mean(const Groups& groups, std::span<const R> x) {
  std::vector<R> mean = group_means<R>(groups, [&](auto, auto, auto e) { return x[e]; });
  // Adds the rounding error of the first mean: see forward.
  const auto residual = group_means<R>(groups, [&](auto k, auto, auto e) { return x[e] - mean[k]; });
  for (std::size_t k = 0; k < mean.size(); ++k) mean[k] += residual[k];
  return mean;
}

/// P a = a - mean(a) - x_hat * mean(a * x_hat), with means over the group.
template <class R>
std::vector<R> project(const GroupCache<R>& cache, const std::vector<R>& a) {
  const auto level = group_means<R>(cache.groups, [&](auto, auto, auto e) { return a[e]; });
  const auto along = group_means<R>(cache.groups, [&](auto, auto, auto e) { return a[e] * cache.x_hat[e]; });
  std::vector<R> projected(a.size());
  for_each_group_element(cache.groups,
                         [&](auto k, auto, auto e) { projected[e] = a[e] - level[k] - cache.x_hat[e] * along[k]; });
  return projected;
}

/// Each element times its channel's value.
template <class R>
std::vector<R> scaled(const Extent& extent, const std::vector<R>& by, std::span<const R> values) {
  std::vector<R> product(values.size());
  for_each_element(extent, [&](auto c, auto e) { product[e] = by[c] * values[e]; });
  return product;
}

template <class R>
void require_cache(const char* operation, const GroupCache<R>& cache, std::span<const R> dy) {
  check_groups(operation, cache.groups, sizeof(R));
  const Extent& extent = cache.groups.extent;
  require_length(operation, "dy", dy, extent.size());
  require_length<R>(operation, "cache.mean", cache.mean, cache.groups.size());
  require_length<R>(operation, "cache.var", cache.var, cache.groups.size());
  require_length<R>(operation, "cache.rstd", cache.rstd, cache.groups.size());
  require_length<R>(operation, "cache.gamma", cache.gamma, extent.channels);
  require_length<R>(operation, "cache.x_hat", cache.x_hat, extent.size());
}

}  // namespace

template <class R>
GroupForward<R> group_norm_forward(const Groups& groups, std::span<const R> x, std::span<const R> gamma,
                                   std::span<const R> beta, R eps) {
  constexpr auto operation = "reference::group_norm_forward";
  check_groups(operation, groups, sizeof(R));
  const Extent& extent = groups.extent;
  require_length(operation, "x", x, extent.size());
  require_optional_length(operation, "gamma", gamma, extent.channels);
  require_optional_length(operation, "beta", beta, extent.channels);

  const auto mean = group_mean(groups, x);
  const auto var = group_means<R>(groups, [&](auto k, auto, auto e) {
    const R xmu = x[e] - mean[k];
    return xmu * xmu;
  });
  require_positive<R>(operation, var, eps);
  std::vector<R> rstd(var.size());
  for (std::size_t k = 0; k < rstd.size(); ++k) rstd[k] = 1 / std::sqrt(var[k] + eps);
  const auto scale = or_constant(gamma, extent.channels, R{1});
  const auto shift = or_constant(beta, extent.channels, R{0});
  std::vector<R> x_hat(x.size()), y(x.size());
  for_each_group_element(groups, [&](auto k, auto c, auto e) {  // (B73), (B74)
    x_hat[e] = (x[e] - mean[k]) * rstd[k];
    y[e] = scale[c] * x_hat[e] + shift[c];
  });
  return {y, {groups, mean, var, rstd, x_hat, scale}};
}

template <class R>
Gradients<R> group_norm_backward(const GroupCache<R>& cache, std::span<const R> dy) {
  require_cache("reference::group_norm_backward", cache, dy);
  const auto &rstd = cache.rstd, &x_hat = cache.x_hat, &gamma = cache.gamma;
  const auto level = group_means<R>(cache.groups, [&](auto, auto c, auto e) { return gamma[c] * dy[e]; });
  const auto along = group_means<R>(cache.groups, [&](auto, auto c, auto e) { return gamma[c] * dy[e] * x_hat[e]; });
  std::vector<R> dx(dy.size());
  for_each_group_element(cache.groups, [&](auto k, auto c, auto e) {  // (B75)
    dx[e] = rstd[k] * (gamma[c] * dy[e] - level[k] - x_hat[e] * along[k]);
  });
  const Extent& extent = cache.groups.extent;
  return {dx, channel_sums<R>(extent, [&](auto, auto e) { return dy[e] * x_hat[e]; }),
          channel_sums<R>(extent, [&](auto, auto e) { return dy[e]; })};
}

template <class R>
DoubleGradients<R> group_norm_double_backward(const GroupCache<R>& cache, std::span<const R> dy,
                                              std::span<const R> grad_dx, std::span<const R> grad_dgamma,
                                              std::span<const R> grad_dbeta) {
  constexpr auto operation = "reference::group_norm_double_backward";
  require_cache(operation, cache, dy);
  const Groups& groups = cache.groups;
  const Extent& extent = groups.extent;
  require_optional_length(operation, "grad_dx", grad_dx, extent.size());
  require_optional_length(operation, "grad_dgamma", grad_dgamma, extent.channels);
  require_optional_length(operation, "grad_dbeta", grad_dbeta, extent.channels);
  const auto &rstd = cache.rstd, &x_hat = cache.x_hat, &gamma = cache.gamma;
  const auto v = or_constant(grad_dx, extent.size(), R{0});
  const auto u = or_constant(grad_dgamma, extent.channels, R{0}), w = or_constant(grad_dbeta, extent.channels, R{0});

  const auto gy = scaled(extent, gamma, dy);
  const auto p_v = project(cache, v), p_gy = project(cache, gy), p_udy = project(cache, scaled(extent, u, dy));
  // The sums of (B77); covariance is its A.
  const auto p = group_means<R>(groups, [&](auto, auto, auto e) { return v[e] * x_hat[e]; });
  const auto q = group_means<R>(groups, [&](auto, auto, auto e) { return gy[e] * x_hat[e]; });
  const auto mean_v = group_means<R>(groups, [&](auto, auto, auto e) { return v[e]; });
  const auto mean_gy = group_means<R>(groups, [&](auto, auto, auto e) { return gy[e]; });
  const auto covariance =
      group_means<R>(groups, [&](auto k, auto, auto e) { return (v[e] - mean_v[k]) * (gy[e] - mean_gy[k]); });
  std::vector<R> grad_x(dy.size()), grad_dy(dy.size()), terms(dy.size());
  for_each_group_element(groups, [&](auto k, auto c, auto e) {  // (B79)
    grad_dy[e] = gamma[c] * rstd[k] * p_v[e] + u[c] * x_hat[e] + w[c];
    terms[e] = dy[e] * rstd[k] * p_v[e];
    grad_x[e] = rstd[k] * p_udy[e] -
                rstd[k] * rstd[k] * (x_hat[e] * (covariance[k] - p[k] * q[k]) + q[k] * p_v[e] + p[k] * p_gy[e]);
  });
  return {grad_x, grad_dy, channel_sums<R>(extent, [&](auto, auto e) { return terms[e]; })};
}

#define UNITVAR_INSTANTIATE(R)                                                                                         \
  template GroupForward<R> group_norm_forward(const Groups&, std::span<const R>, std::span<const R>,                   \
                                              std::span<const R>, R);                                                  \
  template Gradients<R> group_norm_backward(const GroupCache<R>&, std::span<const R>);                                 \
  template DoubleGradients<R> group_norm_double_backward(const GroupCache<R>&, std::span<const R>, std::span<const R>, \
                                                         std::span<const R>, std::span<const R>);
UNITVAR_INSTANTIATE(double)
UNITVAR_INSTANTIATE(long double)
#undef UNITVAR_INSTANTIATE

}  // namespace unitvar::reference
