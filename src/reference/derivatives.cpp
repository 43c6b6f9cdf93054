#include "unitvar/reference/derivatives.hpp"

#include "reference/check.hpp"
#include "reference/walk.hpp"

namespace unitvar::reference {
namespace {

using namespace detail;

/// A tensor, or zeros in the place of an absent one.
template <class R>
std::vector<R> or_zeros(std::span<const R> values, std::int64_t size) {
  return or_constant(values, size, R{0});
}

/// mean(a * b) per channel.
template <class R>
std::vector<R> means_of_products(const Extent& extent, std::span<const R> a, std::span<const R> b) {
  return channel_means<R>(extent, [&](auto, auto e) { return a[e] * b[e]; });
}

template <class R>
std::vector<R> means_of(const Extent& extent, std::span<const R> a) {
  return channel_means<R>(extent, [&](auto, auto e) { return a[e]; });
}

/// P a = a - mean(a) - x_hat * mean(a * x_hat), what (B27) does to dy.
template <class R>
std::vector<R> project(const Cache<R>& cache, std::span<const R> a) {
  const auto mean = means_of(cache.extent, a);
  const auto along = means_of_products<R>(cache.extent, a, cache.x_hat);
  std::vector<R> result(a.size());
  for_each_element(cache.extent, [&](auto c, auto e) { result[e] = a[e] - mean[c] - cache.x_hat[e] * along[c]; });
  return result;
}

template <class R>
void require_cotangents(const char* operation, const Extent& extent, std::span<const R> grad_dx,
                        std::span<const R> grad_dgamma, std::span<const R> grad_dbeta) {
  require_optional_length(operation, "grad_dx", grad_dx, extent.size());
  require_optional_length(operation, "grad_dgamma", grad_dgamma, extent.channels);
  require_optional_length(operation, "grad_dbeta", grad_dbeta, extent.channels);
}

template <class R>
void require_tangents(const char* operation, const Extent& extent, std::span<const R> x_dot,
                      std::span<const R> gamma_dot, std::span<const R> beta_dot) {
  require_optional_length(operation, "x_dot", x_dot, extent.size());
  require_optional_length(operation, "gamma_dot", gamma_dot, extent.channels);
  require_optional_length(operation, "beta_dot", beta_dot, extent.channels);
}

template <class R>
void require_frozen(const char* operation, const Extent& extent, std::span<const R> x, std::span<const R> mean,
                    std::span<const R> rstd, std::span<const R> gamma) {
  check_extent(operation, extent, sizeof(R));
  require_length(operation, "x", x, extent.size());
  require_length(operation, "mean", mean, extent.channels);
  require_length(operation, "rstd", rstd, extent.channels);
  require_optional_length(operation, "gamma", gamma, extent.channels);
}

}  // namespace

template <class R>
Gradients<R> statistics_backward(const Cache<R>& cache, std::span<const R> dy, std::span<const R> dmean,
                                 std::span<const R> dvar) {
  constexpr auto operation = "reference::statistics_backward";
  require_cache(operation, cache, dy);
  const Extent& extent = cache.extent;
  require_optional_length(operation, "dmean", dmean, extent.channels);
  require_optional_length(operation, "dvar", dvar, extent.channels);
  const R n = number<R>(extent.count());
  const auto by_mean = or_zeros(dmean, extent.channels), by_var = or_zeros(dvar, extent.channels);
  Gradients<R> gradients = backward(cache, dy);
  for_each_element(extent, [&](auto c, auto e) {  // (B50)
    const R xmu = cache.x_hat[e] / cache.rstd[c];
    gradients.dx[e] += by_mean[c] / n + 2 * xmu * (by_var[c] / n);
  });
  return gradients;
}

template <class R>
DoubleGradients<R> double_backward(const Cache<R>& cache, std::span<const R> dy, std::span<const R> grad_dx,
                                   std::span<const R> grad_dgamma, std::span<const R> grad_dbeta) {
  constexpr auto operation = "reference::double_backward";
  require_cache(operation, cache, dy);
  const Extent& extent = cache.extent;
  require_cotangents(operation, extent, grad_dx, grad_dgamma, grad_dbeta);
  const auto &rstd = cache.rstd, &x_hat = cache.x_hat, &gamma = cache.gamma;
  const auto v = or_zeros(grad_dx, extent.size());
  const auto u = or_zeros(grad_dgamma, extent.channels), w = or_zeros(grad_dbeta, extent.channels);
  const R n = number<R>(extent.count());

  const auto pv = project<R>(cache, v), pdy = project(cache, dy);
  const auto p = means_of_products<R>(extent, v, x_hat), q = means_of_products<R>(extent, dy, x_hat);  // (B51)
  const auto form = means_of_products<R>(extent, v, pdy);                                              // A - p q
  DoubleGradients<R> d{std::vector<R>(v.size()), std::vector<R>(v.size()), std::vector<R>(form)};
  for (std::size_t c = 0; c < form.size(); ++c) d.grad_gamma[c] = n * rstd[c] * form[c];  // (B53)
  for_each_element(extent, [&](auto c, auto e) {
    d.grad_dy[e] = gamma[c] * rstd[c] * pv[e] + u[c] * x_hat[e] + w[c];  // (B52)
    d.grad_x[e] = u[c] * rstd[c] * pdy[e] -
                  gamma[c] * rstd[c] * rstd[c] * (x_hat[e] * form[c] + q[c] * pv[e] + p[c] * pdy[e]);  // (B54)
  });
  return d;
}

template <class R>
DoubleGradients<R> frozen_double_backward(const Extent& extent, std::span<const R> x, std::span<const R> mean,
                                          std::span<const R> rstd, std::span<const R> gamma, std::span<const R> dy,
                                          std::span<const R> grad_dx, std::span<const R> grad_dgamma,
                                          std::span<const R> grad_dbeta) {
  constexpr auto operation = "reference::frozen_double_backward";
  require_frozen(operation, extent, x, mean, rstd, gamma);
  require_length(operation, "dy", dy, extent.size());
  require_cotangents(operation, extent, grad_dx, grad_dgamma, grad_dbeta);
  const auto v = or_zeros(grad_dx, extent.size());
  const auto u = or_zeros(grad_dgamma, extent.channels);
  DoubleGradients<R> d;  // (B55)
  d.grad_dy = frozen_jvp(extent, x, mean, rstd, gamma, grad_dx, grad_dgamma, grad_dbeta);
  d.grad_gamma = channel_sums<R>(extent, [&](auto c, auto e) { return rstd[c] * v[e] * dy[e]; });
  d.grad_x.resize(x.size());
  for_each_element(extent, [&](auto c, auto e) { d.grad_x[e] = u[c] * rstd[c] * dy[e]; });
  return d;
}

template <class R>
Tangents<R> jvp(const Cache<R>& cache, std::span<const R> x_dot, std::span<const R> gamma_dot,
                std::span<const R> beta_dot) {
  constexpr auto operation = "reference::jvp";
  require_cache<R>(operation, cache, cache.x_hat);
  const Extent& extent = cache.extent;
  require_tangents(operation, extent, x_dot, gamma_dot, beta_dot);
  const auto moved = or_zeros(x_dot, extent.size());
  const auto by_gamma = or_zeros(gamma_dot, extent.channels), by_beta = or_zeros(beta_dot, extent.channels);
  const auto projected = project<R>(cache, moved);
  Tangents<R> t;  // (B56)
  t.mean_dot = means_of<R>(extent, moved);
  t.var_dot = means_of_products<R>(extent, cache.x_hat, moved);
  for (std::size_t c = 0; c < t.var_dot.size(); ++c) t.var_dot[c] *= 2 / cache.rstd[c];
  t.y_dot.resize(moved.size());
  for_each_element(extent, [&](auto c, auto e) {
    t.y_dot[e] = cache.gamma[c] * cache.rstd[c] * projected[e] + by_gamma[c] * cache.x_hat[e] + by_beta[c];
  });
  return t;
}

template <class R>
std::vector<R> frozen_jvp(const Extent& extent, std::span<const R> x, std::span<const R> mean, std::span<const R> rstd,
                          std::span<const R> gamma, std::span<const R> x_dot, std::span<const R> gamma_dot,
                          std::span<const R> beta_dot) {
  constexpr auto operation = "reference::frozen_jvp";
  require_frozen(operation, extent, x, mean, rstd, gamma);
  require_tangents(operation, extent, x_dot, gamma_dot, beta_dot);
  const auto scale = or_constant(gamma, extent.channels, R{1});
  const auto moved = or_zeros(x_dot, extent.size());
  const auto by_gamma = or_zeros(gamma_dot, extent.channels), by_beta = or_zeros(beta_dot, extent.channels);
  std::vector<R> y_dot(x.size());
  for_each_element(extent, [&](auto c, auto e) {  // (B57)
    y_dot[e] = scale[c] * rstd[c] * moved[e] + by_gamma[c] * ((x[e] - mean[c]) * rstd[c]) + by_beta[c];
  });
  return y_dot;
}

#define UNITVAR_INSTANTIATE(R)                                                                                    \
  template Gradients<R> statistics_backward(const Cache<R>&, std::span<const R>, std::span<const R>,              \
                                            std::span<const R>);                                                  \
  template DoubleGradients<R> double_backward(const Cache<R>&, std::span<const R>, std::span<const R>,            \
                                              std::span<const R>, std::span<const R>);                            \
  template DoubleGradients<R> frozen_double_backward(const Extent&, std::span<const R>, std::span<const R>,       \
                                                     std::span<const R>, std::span<const R>, std::span<const R>,  \
                                                     std::span<const R>, std::span<const R>, std::span<const R>); \
  template Tangents<R> jvp(const Cache<R>&, std::span<const R>, std::span<const R>, std::span<const R>);          \
  template std::vector<R> frozen_jvp(const Extent&, std::span<const R>, std::span<const R>, std::span<const R>,   \
                                     std::span<const R>, std::span<const R>, std::span<const R>, std::span<const R>);
UNITVAR_INSTANTIATE(double)
UNITVAR_INSTANTIATE(long double)
#undef UNITVAR_INSTANTIATE

}  // namespace unitvar::reference
