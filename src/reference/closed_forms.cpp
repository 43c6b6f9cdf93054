#include "unitvar/reference/closed_forms.hpp"

#include <cmath>

#include "reference/check.hpp"
#include "reference/walk.hpp"

namespace unitvar::reference {
namespace {

using namespace detail;

template <class R>
std::vector<R> sum_of(const Extent& extent, std::span<const R> values) {
  return channel_sums<R>(extent, [&](auto, auto e) { return values[e]; });
}

template <class R>
std::vector<R> sum_of_products(const Extent& extent, std::span<const R> a, std::span<const R> b) {
  return channel_sums<R>(extent, [&](auto, auto e) { return a[e] * b[e]; });
}

template <class R>
void require_tensors(const char* operation, const Extent& extent, std::span<const R> x, std::span<const R> mean,
                     std::span<const R> gamma, std::span<const R> dy) {
  check_extent(operation, extent, sizeof(R));
  require_length(operation, "x", x, extent.size());
  require_length(operation, "dy", dy, extent.size());
  require_length(operation, "mean", mean, extent.channels);
  require_optional_length(operation, "gamma", gamma, extent.channels);
}

}  // namespace

template <class R>
Gradients<R> backward(const Cache<R>& cache, std::span<const R> dy) {
  return backward_one_line(cache, dy);
}

template <class R>
Gradients<R> backward_one_line(const Cache<R>& cache, std::span<const R> dy) {
  require_cache("reference::backward_one_line", cache, dy);
  const Extent& extent = cache.extent;
  const auto &rstd = cache.rstd, &x_hat = cache.x_hat, &gamma = cache.gamma;
  const R n = number<R>(extent.count());
  const auto dgamma = sum_of_products<R>(extent, dy, x_hat);  // (B14)
  const auto dbeta = sum_of<R>(extent, dy);                   // (B15)
  std::vector<R> dx(dy.size());
  for_each_element(extent, [&](auto c, auto e) {  // (B27)
    dx[e] = gamma[c] * rstd[c] * (dy[e] - dbeta[c] / n - x_hat[e] * (dgamma[c] / n));
  });
  return {dx, dgamma, dbeta};
}

template <class R>
Gradients<R> backward_dx_hat_form(const Cache<R>& cache, std::span<const R> dy) {
  require_cache("reference::backward_dx_hat_form", cache, dy);
  const Extent& extent = cache.extent;
  const auto &rstd = cache.rstd, &x_hat = cache.x_hat, &gamma = cache.gamma;
  const R m = number<R>(extent.count());
  std::vector<R> dx_hat(dy.size());
  for_each_element(extent, [&](auto c, auto e) { dx_hat[e] = gamma[c] * dy[e]; });  // (B13)
  const auto sum_dx_hat = sum_of<R>(extent, dx_hat);
  const auto sum_dx_hat_x_hat = sum_of_products<R>(extent, dx_hat, x_hat);
  std::vector<R> dx(dy.size());
  for_each_element(extent, [&](auto c, auto e) {  // (B28)
    dx[e] = rstd[c] / m * (m * dx_hat[e] - sum_dx_hat[c] - x_hat[e] * sum_dx_hat_x_hat[c]);
  });
  return {dx, sum_of_products<R>(extent, dy, x_hat), sum_of<R>(extent, dy)};  // (B14), (B15)
}

template <class R>
Gradients<R> backward_sums_form(const Cache<R>& cache, std::span<const R> dy) {
  require_cache("reference::backward_sums_form", cache, dy);
  const Extent& extent = cache.extent;
  const auto &rstd = cache.rstd, &x_hat = cache.x_hat, &gamma = cache.gamma;
  const R n = number<R>(extent.count());
  const auto dbeta = sum_of<R>(extent, dy);                   // (B15)
  const auto dgamma = sum_of_products<R>(extent, x_hat, dy);  // (B14)
  std::vector<R> dx(dy.size());
  for_each_element(extent, [&](auto c, auto e) {  // (B29)
    dx[e] = (gamma[c] * rstd[c] / n) * (n * dy[e] - x_hat[e] * dgamma[c] - dbeta[c]);
  });
  return {dx, dgamma, dbeta};
}

template <class R>
Gradients<R> backward_matrix_form(const Extent& extent, std::span<const R> x, std::span<const R> mean,
                                  std::span<const R> v, std::span<const R> gamma, R eps, std::span<const R> dy) {
  constexpr auto operation = "reference::backward_matrix_form";
  require_tensors(operation, extent, x, mean, gamma, dy);
  require_length(operation, "v", v, extent.channels);
  require_positive(operation, v, eps);
  const R n = number<R>(extent.count());
  const auto scale = or_constant(gamma, extent.channels, R{1});
  const auto sum_dy = sum_of(extent, dy);
  const auto sum_xmu_dy = channel_sums<R>(extent, [&](auto c, auto e) { return (x[e] - mean[c]) * dy[e]; });
  std::vector<R> dx(dy.size());
  for_each_element(extent, [&](auto c, auto e) {  // (B30)
    dx[e] = scale[c] / std::sqrt(v[c] + eps) *
            (-sum_dy[c] / n - (x[e] - mean[c]) / (v[c] + eps) * (sum_xmu_dy[c] / n) + dy[e]);
  });
  std::vector<R> dgamma(sum_xmu_dy);
  for (std::size_t c = 0; c < dgamma.size(); ++c) dgamma[c] /= std::sqrt(v[c] + eps);  // (B14)
  return {dx, dgamma, sum_dy};
}

template <class R>
Gradients<R> backward_phases_form(const Extent& extent, std::span<const R> x, std::span<const R> mean,
                                  std::span<const R> rstd, std::span<const R> gamma, std::span<const R> dy) {
  constexpr auto operation = "reference::backward_phases_form";
  require_tensors(operation, extent, x, mean, gamma, dy);
  require_length(operation, "rstd", rstd, extent.channels);
  const R n = number<R>(extent.count());
  const auto scale = or_constant(gamma, extent.channels, R{1});
  const auto sum_dy = sum_of(extent, dy);
  const auto sum_dy_xmu = channel_sums<R>(extent, [&](auto c, auto e) { return dy[e] * (x[e] - mean[c]); });
  std::vector<R> dx(dy.size());
  for_each_element(extent, [&](auto c, auto e) {  // (B31)
    dx[e] = scale[c] * rstd[c] * (dy[e] - sum_dy[c] / n - (x[e] - mean[c]) * (rstd[c] * rstd[c] * (sum_dy_xmu[c] / n)));
  });
  std::vector<R> dgamma(sum_dy_xmu);
  for (std::size_t c = 0; c < dgamma.size(); ++c) dgamma[c] *= rstd[c];  // (B31)
  return {dx, dgamma, sum_dy};
}

template <class R>
Gradients<R> backward_frozen(const Extent& extent, std::span<const R> x, std::span<const R> mean,
                             std::span<const R> rstd, std::span<const R> gamma, std::span<const R> dy) {
  constexpr auto operation = "reference::backward_frozen";
  require_tensors(operation, extent, x, mean, gamma, dy);
  require_length(operation, "rstd", rstd, extent.channels);
  const auto scale = or_constant(gamma, extent.channels, R{1});
  std::vector<R> dx(dy.size());
  for_each_element(extent, [&](auto c, auto e) { dx[e] = scale[c] * rstd[c] * dy[e]; });  // (B42)
  const auto dgamma = channel_sums<R>(extent, [&](auto c, auto e) { return dy[e] * ((x[e] - mean[c]) * rstd[c]); });
  return {dx, dgamma, sum_of(extent, dy)};
}

#define UNITVAR_INSTANTIATE(R)                                                                                     \
  template Gradients<R> backward(const Cache<R>&, std::span<const R>);                                             \
  template Gradients<R> backward_one_line(const Cache<R>&, std::span<const R>);                                    \
  template Gradients<R> backward_dx_hat_form(const Cache<R>&, std::span<const R>);                                 \
  template Gradients<R> backward_sums_form(const Cache<R>&, std::span<const R>);                                   \
  template Gradients<R> backward_matrix_form(const Extent&, std::span<const R>, std::span<const R>,                \
                                             std::span<const R>, std::span<const R>, R, std::span<const R>);       \
  template Gradients<R> backward_phases_form(const Extent&, std::span<const R>, std::span<const R>,                \
                                             std::span<const R>, std::span<const R>, std::span<const R>);          \
  template Gradients<R> backward_frozen(const Extent&, std::span<const R>, std::span<const R>, std::span<const R>, \
                                        std::span<const R>, std::span<const R>);
UNITVAR_INSTANTIATE(double)
UNITVAR_INSTANTIATE(long double)
#undef UNITVAR_INSTANTIATE

}  // namespace unitvar::reference
