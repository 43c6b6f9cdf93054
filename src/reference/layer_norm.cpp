#include "unitvar/reference/layer_norm.hpp"

#include <cmath>
#include <utility>

#include "reference/check.hpp"
#include "reference/walk.hpp"

namespace unitvar::reference {
namespace {

using namespace detail;

/// Rows are the channels of a batch of one.
Extent as_channels(const RowExtent& e) { return {1, e.rows, e.length}; }

template <class R, class Term>
std::vector<R> row_means(const RowExtent& extent, Term term) {
  if (extent.rows == 0) return {};
  return channel_means<R>(as_channels(extent), term);
}

/// f(r, k, e) for every element e, in row r and column k.
template <class F>
void for_each_row_element(const RowExtent& extent, F f) {
  for (std::size_t e = 0; e < static_cast<std::size_t>(extent.size()); ++e) {
    const auto length = static_cast<std::size_t>(extent.length);
    f(e / length, e % length, e);
  }
}

/// Per column, the sum over the rows of term(r, e).
template <class R, class Term>
std::vector<R> column_sums(const RowExtent& extent, Term term) {
  std::vector<R> sums(static_cast<std::size_t>(extent.length));
  for (std::size_t k = 0; k < sums.size(); ++k) {
    auto nth = [&](std::int64_t r) {
      return term(static_cast<std::size_t>(r), static_cast<std::size_t>(r * extent.length) + k);
    };
    sums[k] = pairwise_sum<R>(0, extent.rows, nth);
  }
  return sums;
}

template <class R>
std::vector<R> mean_of_rows(const RowExtent& extent, std::span<const R> x) {
  std::vector<R> mean = row_means<R>(extent, [&](auto, auto e) { return x[e]; });
  // As in the batch's mean, the residuals are the rounding error of the first one.
  const auto residual = row_means<R>(extent, [&](auto r, auto e) { return x[e] - mean[r]; });
  for (std::size_t r = 0; r < mean.size(); ++r) mean[r] += residual[r];
  return mean;
}

template <class R>
void require_arguments(const char* operation, const RowExtent& extent, std::span<const R> x, std::span<const R> gamma,
                       std::span<const R> beta) {
  check_extent(operation, extent, sizeof(R));
  require_length(operation, "x", x, extent.size());
  require_optional_length(operation, "gamma", gamma, extent.length);
  require_optional_length(operation, "beta", beta, extent.length);
}

/// h = x + residual (B86).
template <class R>
std::vector<R> sum_of(const char* operation, const RowExtent& extent, std::span<const R> x,
                      std::span<const R> residual) {
  check_extent(operation, extent, sizeof(R));
  require_length(operation, "x", x, extent.size());
  require_length(operation, "residual", residual, extent.size());
  std::vector<R> h(x.begin(), x.end());
  for (std::size_t e = 0; e < h.size(); ++e) h[e] += residual[e];
  return h;
}

/// What both forwards do once the mean is known: (B80), (B83).
template <class R>
RowForward<R> normalize_rows(const char* operation, const RowExtent& extent, bool centered, std::vector<R> mean,
                             std::span<const R> x, std::span<const R> gamma, std::span<const R> beta, R eps) {
  const auto var = row_means<R>(extent, [&](auto r, auto e) {
    const R xmu = x[e] - mean[r];
    return xmu * xmu;
  });
  require_positive<R>(operation, var, eps);
  std::vector<R> rstd(var.size()), x_hat(x.size()), y(x.size());
  for (std::size_t r = 0; r < rstd.size(); ++r) rstd[r] = 1 / std::sqrt(var[r] + eps);
  const auto scale = or_constant(gamma, extent.length, R{1}), shift = or_constant(beta, extent.length, R{0});
  for_each_row_element(extent, [&](auto r, auto k, auto e) {
    x_hat[e] = (x[e] - mean[r]) * rstd[r];
    y[e] = scale[k] * x_hat[e] + shift[k];
  });
  return {y, {extent, centered, mean, var, rstd, x_hat, scale}};
}

/// mean(g) of a row, the gradient through the mean; 0 where no mean was subtracted.
template <class R>
std::vector<R> level_of(const RowCache<R>& c, const std::vector<R>& g) {
  if (!c.centered) return std::vector<R>(c.rstd.size());
  return row_means<R>(c.extent, [&](auto, auto e) { return g[e]; });
}

/// Values by the columns' factors.
template <class R>
std::vector<R> times_columns(const RowExtent& extent, std::span<const R> values, const std::vector<R>& factors) {
  std::vector<R> product(values.size());
  for_each_row_element(extent, [&](auto, auto k, auto e) { product[e] = factors[k] * values[e]; });
  return product;
}

/// rstd (g - mean(g) - x_hat mean(g x_hat)): from the gradient g for x_hat to the gradient for x. As a matrix it is
/// symmetric.
template <class R>
std::vector<R> project(const RowCache<R>& c, const std::vector<R>& g) {
  const auto level = level_of(c, g);
  const auto along = row_means<R>(c.extent, [&](auto, auto e) { return g[e] * c.x_hat[e]; });
  std::vector<R> result(g.size());
  for_each_row_element(
      c.extent, [&](auto r, auto, auto e) { result[e] = c.rstd[r] * (g[e] - level[r] - c.x_hat[e] * along[r]); });
  return result;
}

template <class R>
void require_row_cache(const char* operation, const RowCache<R>& c, std::span<const R> dy) {
  check_extent(operation, c.extent, sizeof(R));
  require_length(operation, "dy", dy, c.extent.size());
  require_length<R>(operation, "cache.rstd", c.rstd, c.extent.rows);
  require_length<R>(operation, "cache.x_hat", c.x_hat, c.extent.size());
  require_length<R>(operation, "cache.gamma", c.gamma, c.extent.length);
}

}  // namespace

template <class R>
RowForward<R> layer_norm_forward(const RowExtent& extent, std::span<const R> x, std::span<const R> gamma,
                                 std::span<const R> beta, R eps) {
  constexpr auto operation = "reference::layer_norm_forward";
  require_arguments(operation, extent, x, gamma, beta);
  return normalize_rows(operation, extent, true, mean_of_rows(extent, x), x, gamma, beta, eps);
}

template <class R>
RowForward<R> rms_norm_forward(const RowExtent& extent, std::span<const R> x, std::span<const R> gamma,
                               std::span<const R> beta, R eps) {
  constexpr auto operation = "reference::rms_norm_forward";
  require_arguments(operation, extent, x, gamma, beta);
  std::vector<R> zeros(static_cast<std::size_t>(extent.rows));
  return normalize_rows(operation, extent, false, std::move(zeros), x, gamma, beta, eps);
}

template <class R>
Gradients<R> row_norm_backward(const RowCache<R>& c, std::span<const R> dy) {
  require_row_cache("reference::row_norm_backward", c, dy);
  return {project(c, times_columns(c.extent, dy, c.gamma)),  // (B81), (B84)
          column_sums<R>(c.extent, [&](auto, auto e) { return dy[e] * c.x_hat[e]; }),
          column_sums<R>(c.extent, [&](auto, auto e) { return dy[e]; })};
}

template <class R>
RowAddForward<R> layer_norm_add_forward(const RowExtent& extent, std::span<const R> x, std::span<const R> residual,
                                        std::span<const R> gamma, std::span<const R> beta, R eps) {
  auto h = sum_of("reference::layer_norm_add_forward", extent, x, residual);
  auto norm = layer_norm_forward<R>(extent, h, gamma, beta, eps);
  return {std::move(h), std::move(norm)};
}

template <class R>
RowAddForward<R> rms_norm_add_forward(const RowExtent& extent, std::span<const R> x, std::span<const R> residual,
                                      std::span<const R> gamma, std::span<const R> beta, R eps) {
  auto h = sum_of("reference::rms_norm_add_forward", extent, x, residual);
  auto norm = rms_norm_forward<R>(extent, h, gamma, beta, eps);
  return {std::move(h), std::move(norm)};
}

template <class R>
Gradients<R> row_norm_add_backward(const RowCache<R>& c, std::span<const R> dy, std::span<const R> dh) {
  require_optional_length("reference::row_norm_add_backward", "dh", dh, c.extent.size());
  auto result = row_norm_backward<R>(c, dy);
  for (std::size_t e = 0; e < dh.size(); ++e) result.dx[e] += dh[e];  // (B87)
  return result;
}

template <class R>
RowSecondGradients<R> row_norm_double_backward(const RowCache<R>& c, std::span<const R> dy, std::span<const R> given_v,
                                               std::span<const R> given_p, std::span<const R> given_q) {
  constexpr auto operation = "reference::row_norm_double_backward";
  require_row_cache(operation, c, dy);
  require_optional_length(operation, "v", given_v, c.extent.size());
  require_optional_length(operation, "p", given_p, c.extent.length);
  require_optional_length(operation, "q", given_q, c.extent.length);
  const auto v = or_constant(given_v, c.extent.size(), R{0});
  const auto p = or_constant(given_p, c.extent.length, R{0}), q = or_constant(given_q, c.extent.length, R{0});

  const auto g = times_columns(c.extent, dy, c.gamma), u = times_columns(c.extent, dy, p);
  const auto w = project(c, v);
  const auto b = row_means<R>(c.extent, [&](auto, auto e) { return g[e] * c.x_hat[e]; });
  const auto d = row_means<R>(c.extent, [&](auto, auto e) { return v[e] * c.x_hat[e]; });
  const auto g_w = row_means<R>(c.extent, [&](auto, auto e) { return g[e] * w[e]; });

  RowSecondGradients<R> result{{}, std::vector<R>(dy.size()), {}};
  std::vector<R> e_hat(dy.size());
  for_each_row_element(c.extent, [&](auto r, auto k, auto e) {
    result.dy[e] = c.gamma[k] * w[e] + p[k] * c.x_hat[e] + q[k];
    e_hat[e] = u[e] - c.rstd[r] * (g[e] * d[r] + v[e] * b[r]);
  });
  result.gamma = column_sums<R>(c.extent, [&](auto, auto e) { return dy[e] * w[e]; });
  result.x = project(c, e_hat);
  for_each_row_element(c.extent, [&](auto r, auto, auto e) { result.x[e] -= c.rstd[r] * g_w[r] * c.x_hat[e]; });
  return result;
}

#define UNITVAR_INSTANTIATE(R)                                                                                        \
  template RowForward<R> layer_norm_forward(const RowExtent&, std::span<const R>, std::span<const R>,                 \
                                            std::span<const R>, R);                                                   \
  template RowForward<R> rms_norm_forward(const RowExtent&, std::span<const R>, std::span<const R>,                   \
                                          std::span<const R>, R);                                                     \
  template RowAddForward<R> layer_norm_add_forward(const RowExtent&, std::span<const R>, std::span<const R>,          \
                                                   std::span<const R>, std::span<const R>, R);                        \
  template RowAddForward<R> rms_norm_add_forward(const RowExtent&, std::span<const R>, std::span<const R>,            \
                                                 std::span<const R>, std::span<const R>, R);                          \
  template Gradients<R> row_norm_add_backward(const RowCache<R>&, std::span<const R>, std::span<const R>);            \
  template Gradients<R> row_norm_backward(const RowCache<R>&, std::span<const R>);                                    \
  template RowSecondGradients<R> row_norm_double_backward(const RowCache<R>&, std::span<const R>, std::span<const R>, \
                                                          std::span<const R>, std::span<const R>);
UNITVAR_INSTANTIATE(double)
UNITVAR_INSTANTIATE(long double)
#undef UNITVAR_INSTANTIATE

}  // namespace unitvar::reference
