#include "unitvar/reference/calculus.hpp"

#include <cmath>

#include "reference/check.hpp"
#include "reference/walk.hpp"

namespace unitvar::reference {
namespace {

using namespace detail;

/// The values of channel c, in the order of Extent.
template <class R>
std::vector<R> one_channel(const Extent& extent, std::span<const R> tensor, std::int64_t c) {
  std::vector<R> values;
  values.reserve(static_cast<std::size_t>(extent.count()));
  for (std::int64_t o = 0; o < extent.outer; ++o) {
    const auto row =
        tensor.subspan(static_cast<std::size_t>(extent.index(o, c, 0)), static_cast<std::size_t>(extent.inner));
    values.insert(values.end(), row.begin(), row.end());
  }
  return values;
}

/// The sum over the batch of f(k) for k = 0 .. n - 1.
template <class R, class F>
R sum_over_batch(std::size_t n, F f) {
  auto term = [&](std::int64_t k) { return f(static_cast<std::size_t>(k)); };
  return pairwise_sum<R>(0, static_cast<std::int64_t>(n), term);
}

/// Element (k, i) of a n x n matrix.
template <class R, class F>
std::vector<R> square_matrix(std::size_t n, F element) {
  std::vector<R> matrix(n * n);
  for (std::size_t k = 0; k < n; ++k) {
    for (std::size_t i = 0; i < n; ++i) matrix[k * n + i] = element(k, i);
  }
  return matrix;
}

}  // namespace

template <class R>
R partial_y_x_hat(R gamma) {
  return gamma;  // (B16)
}

template <class R>
R partial_x_hat_x(R rstd) {
  return rstd;  // (B17)
}

template <class R>
R partial_x_hat_var(R x_i, R mean, R rstd) {
  return -(x_i - mean) * rstd * rstd * rstd / 2;  // (B18)
}

template <class R>
R partial_var_x(R x_i, R mean, std::int64_t n) {
  return 2 * (x_i - mean) / number<R>(n);  // (B19)
}

template <class R>
R partial_x_hat_mean(R rstd) {
  return -rstd;  // (B20)
}

template <class R>
R partial_var_mean(std::span<const R> x, R mean) {
  return -2 * sum_over_batch<R>(x.size(), [&](auto k) { return x[k] - mean; }) / number<R>(std::ssize(x));  // (B21)
}

template <class R>
R partial_mean_x(std::int64_t n) {
  return 1 / number<R>(n);  // (B22)
}

template <class R>
R partial_rstd_x(R x_i, R mean, R rstd, std::int64_t n) {
  return -rstd * rstd * rstd * (x_i - mean) / number<R>(n);  // (B23)
}

template <class R>
Gradients<R> backward_partials(const Cache<R>& cache, std::span<const R> x, std::span<const R> dy) {
  constexpr auto operation = "reference::backward_partials";
  require_cache(operation, cache, dy);
  require_length(operation, "x", x, cache.extent.size());
  const Extent& extent = cache.extent;
  const auto &mean = cache.mean, &rstd = cache.rstd, &x_hat = cache.x_hat, &gamma = cache.gamma;
  const std::int64_t n = extent.count();

  const auto dx_hat = [&](auto c, auto e) { return dy[e] * partial_y_x_hat(gamma[c]); };  // (B13)
  const auto dvar =
      channel_sums<R>(extent, [&](auto c, auto e) { return dx_hat(c, e) * partial_x_hat_var(x[e], mean[c], rstd[c]); });
  auto dmean = channel_sums<R>(extent, [&](auto c, auto e) { return dx_hat(c, e) * partial_x_hat_mean(rstd[c]); });
  for (std::size_t c = 0; n > 0 && c < dmean.size(); ++c) {
    const auto x_c = one_channel(extent, x, static_cast<std::int64_t>(c));
    dmean[c] += dvar[c] * partial_var_mean<R>(x_c, mean[c]);
  }
  std::vector<R> dx(dy.size());
  for_each_element(extent, [&](auto c, auto e) {  // (B26)
    dx[e] = dx_hat(c, e) * partial_x_hat_x(rstd[c]) + dmean[c] * partial_mean_x<R>(n) +
            dvar[c] * partial_var_x(x[e], mean[c], n);
  });
  const auto dgamma = channel_sums<R>(extent, [&](auto, auto e) { return dy[e] * x_hat[e]; });  // (B14)
  const auto dbeta = channel_sums<R>(extent, [&](auto, auto e) { return dy[e]; });              // (B15)
  return {dx, dgamma, dbeta};
}

template <class R>
std::vector<R> jacobian_x_hat(std::span<const R> x, R mean, R v, R eps) {
  constexpr auto operation = "reference::jacobian_x_hat";
  require_length(operation, "x", x, std::ssize(x));
  require_positive<R>(operation, {&v, 1}, eps);
  const R n = number<R>(std::ssize(x));
  const R rstd = 1 / std::sqrt(v + eps);
  return square_matrix<R>(x.size(), [&](auto k, auto i) {  // (B24)
    const R kronecker = k == i ? 1 : 0;
    return (kronecker - 1 / n) * rstd - (x[k] - mean) * (x[i] - mean) / (v + eps) * rstd / n;
  });
}

template <class R>
std::vector<R> jacobian(std::span<const R> x_hat, R gamma, R rstd) {
  require_length("reference::jacobian", "x_hat", x_hat, std::ssize(x_hat));
  const R n = number<R>(std::ssize(x_hat));
  return square_matrix<R>(x_hat.size(), [&](auto k, auto i) {  // (B25)
    const R kronecker = k == i ? 1 : 0;
    return gamma * rstd * (kronecker - 1 / n - x_hat[k] * x_hat[i] / n);
  });
}

template <class R>
Gradients<R> backward_jacobian(const Cache<R>& cache, std::span<const R> dy) {
  require_cache("reference::backward_jacobian", cache, dy);
  const Extent& extent = cache.extent;
  const auto& x_hat = cache.x_hat;
  const auto dgamma = channel_sums<R>(extent, [&](auto, auto e) { return dy[e] * x_hat[e]; });  // (B14)
  const auto dbeta = channel_sums<R>(extent, [&](auto, auto e) { return dy[e]; });              // (B15)
  std::vector<R> dx(dy.size());
  for (std::int64_t c = 0; c < extent.channels; ++c) {
    const auto channel = static_cast<std::size_t>(c);
    const auto x_hat_c = one_channel<R>(extent, x_hat, c);
    const auto dy_c = one_channel(extent, dy, c);
    const std::size_t n = dy_c.size();
    const auto dy_dx = jacobian<R>(x_hat_c, cache.gamma[channel], cache.rstd[channel]);
    for (std::size_t i = 0; i < n; ++i) {
      const auto j = static_cast<std::int64_t>(i);
      const auto e = static_cast<std::size_t>(extent.index(j / extent.inner, c, j % extent.inner));
      dx[e] = sum_over_batch<R>(n, [&](auto k) { return dy_c[k] * dy_dx[k * n + i]; });  // (B12)
    }
  }
  return {dx, dgamma, dbeta};
}

#define UNITVAR_INSTANTIATE(R)                                                                      \
  template R partial_y_x_hat(R);                                                                    \
  template R partial_x_hat_x(R);                                                                    \
  template R partial_x_hat_var(R, R, R);                                                            \
  template R partial_var_x(R, R, std::int64_t);                                                     \
  template R partial_x_hat_mean(R);                                                                 \
  template R partial_var_mean(std::span<const R>, R);                                               \
  template R partial_mean_x(std::int64_t);                                                          \
  template R partial_rstd_x(R, R, R, std::int64_t);                                                 \
  template Gradients<R> backward_partials(const Cache<R>&, std::span<const R>, std::span<const R>); \
  template std::vector<R> jacobian_x_hat(std::span<const R>, R, R, R);                              \
  template std::vector<R> jacobian(std::span<const R>, R, R);                                       \
  template Gradients<R> backward_jacobian(const Cache<R>&, std::span<const R>);
UNITVAR_INSTANTIATE(double)
UNITVAR_INSTANTIATE(long double)
#undef UNITVAR_INSTANTIATE

}  // namespace unitvar::reference
