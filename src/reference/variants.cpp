#include "unitvar/reference/variants.hpp"

#include <algorithm>
#include <string>

#include "reference/check.hpp"
#include "reference/walk.hpp"
#include "unitvar/error.hpp"

namespace unitvar::reference {
namespace {

using namespace detail;

[[noreturn]] void refuse(const char* operation, const std::string& what) {
  throw Error(ErrorCode::bad_argument, std::string(operation) + ": " + what);
}

template <class R>
void require_invertible(const char* operation, std::span<const R> gamma, R slope) {
  if (!(slope > 0) || !std::isfinite(slope)) refuse(operation, "slope is " + std::to_string(slope) + ", want > 0");
  for (std::size_t c = 0; c < gamma.size(); ++c) {
    if (gamma[c] == 0) refuse(operation, "gamma[" + std::to_string(c) + "] is 0, and y does not tell x_hat");
  }
}

/// The activation's input from its output: it is strictly increasing.
template <class R>
R before_activation(R y, R slope) {
  return y > 0 ? y : y / slope;  // (B59)
}

/// `rows` outer rows of a tensor, from row `first` on.
template <class R>
std::span<const R> rows_of(const Extent& extent, std::span<const R> values, std::int64_t first, std::int64_t rows) {
  const std::int64_t row = extent.channels * extent.inner;
  return values.subspan(static_cast<std::size_t>(first * row), static_cast<std::size_t>(rows * row));
}

template <class R>
void append(std::vector<R>& to, const std::vector<R>& values) {
  to.insert(to.end(), values.begin(), values.end());
}

template <class R>
void add(std::vector<R>& to, const std::vector<R>& values) {
  for (std::size_t c = 0; c < to.size(); ++c) to[c] += values[c];
}

}  // namespace

template <class R>
std::vector<R> recover_x_hat(const Extent& extent, std::span<const R> y, std::span<const R> gamma,
                             std::span<const R> beta, R slope) {
  constexpr auto operation = "reference::recover_x_hat";
  check_extent(operation, extent, sizeof(R));
  require_length(operation, "y", y, extent.size());
  require_optional_length(operation, "gamma", gamma, extent.channels);
  require_optional_length(operation, "beta", beta, extent.channels);
  require_invertible(operation, gamma, slope);
  const auto scale = or_constant(gamma, extent.channels, R{1});
  const auto shift = or_constant(beta, extent.channels, R{0});
  std::vector<R> x_hat(y.size());
  for_each_element(extent, [&](auto c, auto e) {  // (B58)
    x_hat[e] = (before_activation(y[e], slope) - shift[c]) / scale[c];
  });
  return x_hat;
}

template <class R>
Gradients<R> backward_from_output(const Extent& extent, std::span<const R> y, std::span<const R> rstd,
                                  std::span<const R> gamma, std::span<const R> beta, R slope, std::span<const R> dy) {
  constexpr auto operation = "reference::backward_from_output";
  check_extent(operation, extent, sizeof(R));
  require_length(operation, "y", y, extent.size());
  require_length(operation, "dy", dy, extent.size());
  require_length(operation, "rstd", rstd, extent.channels);
  require_optional_length(operation, "gamma", gamma, extent.channels);
  require_optional_length(operation, "beta", beta, extent.channels);
  require_invertible(operation, gamma, slope);
  const R n = number<R>(extent.count());
  const auto scale = or_constant(gamma, extent.channels, R{1});
  const auto shift = or_constant(beta, extent.channels, R{0});
  const auto g = [&](std::size_t e) { return y[e] > 0 ? dy[e] : slope * dy[e]; };
  const auto deviation = [&](std::size_t c, std::size_t e) { return before_activation(y[e], slope) - shift[c]; };
  const auto sum = channel_sums<R>(extent, [&](auto, auto e) { return g(e); });  // (B60)
  const auto sum_h = channel_sums<R>(extent, [&](auto c, auto e) { return g(e) * deviation(c, e); });
  Gradients<R> gradients{std::vector<R>(y.size()), std::vector<R>(sum_h), sum};
  for (std::size_t c = 0; c < scale.size(); ++c) gradients.dgamma[c] /= scale[c];
  for_each_element(extent, [&](auto c, auto e) {
    const R along = deviation(c, e) * (sum_h[c] / n) / (scale[c] * scale[c]);
    gradients.dx[e] = scale[c] * rstd[c] * (g(e) - sum[c] / n - along);
  });
  return gradients;
}

template <class R>
R digits_lost_in_place(R gamma, R beta, R slope, R smallest) {  // (B61)
  const R scale = std::abs(gamma);
  return std::log10(std::max(1 + std::abs(beta) / scale, smallest / (std::min(slope, R(1)) * scale)));
}

template <class R>
GhostForward<R> ghost_forward(const Extent& extent, std::int64_t ghost, std::span<const R> x, std::span<const R> gamma,
                              std::span<const R> beta, R eps) {
  constexpr auto operation = "reference::ghost_forward";
  check_extent(operation, extent, sizeof(R));
  require_length(operation, "x", x, extent.size());
  if (ghost < 1) refuse(operation, "ghost is " + std::to_string(ghost) + ", want >= 1");
  GhostForward<R> result;
  for (std::int64_t first = 0; first < extent.outer; first += ghost) {  // (B67)
    const std::int64_t rows = std::min(ghost, extent.outer - first);
    const auto group =
        forward<R>({rows, extent.channels, extent.inner}, rows_of(extent, x, first, rows), gamma, beta, eps);
    append(result.y, group.y);
    result.caches.push_back(group.cache);
  }
  return result;
}

template <class R>
Gradients<R> ghost_backward(const GhostForward<R>& forward, std::span<const R> dy) {
  constexpr auto operation = "reference::ghost_backward";
  const auto& caches = forward.caches;
  if (caches.empty()) refuse(operation, "there is no ghost batch");
  Extent whole = caches.front().extent;
  whole.outer = 0;
  for (const auto& cache : caches) whole.outer += cache.extent.outer;
  require_length(operation, "dy", dy, whole.size());
  const std::vector<R> zeros(static_cast<std::size_t>(whole.channels));
  Gradients<R> gradients{{}, zeros, zeros};
  std::int64_t first = 0;
  for (const auto& cache : caches) {  // (B67)
    const auto group = backward(cache, rows_of(whole, dy, first, cache.extent.outer));
    append(gradients.dx, group.dx);
    add(gradients.dgamma, group.dgamma);
    add(gradients.dbeta, group.dbeta);
    first += cache.extent.outer;
  }
  return gradients;
}

template <class R>
RenormForward<R> renorm_forward(const Extent& extent, std::span<const R> x, std::span<const R> gamma,
                                std::span<const R> beta, R eps, const Renormalization<R>& renormalization) {
  constexpr auto operation = "reference::renorm_forward";
  const auto& [running_mean, running_var, r_max, d_max] = renormalization;
  require_length(operation, "running_mean", running_mean, extent.channels);
  require_length(operation, "running_var", running_var, extent.channels);
  require_positive(operation, running_var, eps);
  if (!(r_max >= 1)) refuse(operation, "r_max is " + std::to_string(r_max) + ", want >= 1");
  if (!(d_max >= 0)) refuse(operation, "d_max is " + std::to_string(d_max) + ", want >= 0");
  RenormForward<R> result{{}, {}, {}, forward(extent, x, gamma, beta, eps).cache};
  const Cache<R>& cache = result.cache;
  for (std::size_t c = 0; c < cache.mean.size(); ++c) {  // (B68)
    const R running_std = std::sqrt(running_var[c] + eps);
    result.r.push_back(std::clamp(1 / (cache.rstd[c] * running_std), 1 / r_max, r_max));
    result.d.push_back(std::clamp((cache.mean[c] - running_mean[c]) / running_std, -d_max, d_max));
  }
  const auto shift = or_constant(beta, extent.channels, R{0});
  result.y.resize(x.size());
  for_each_element(extent, [&](auto c, auto e) {  // (B69)
    result.y[e] = cache.gamma[c] * (cache.x_hat[e] * result.r[c] + result.d[c]) + shift[c];
  });
  return result;
}

template <class R>
Gradients<R> renorm_backward(const RenormForward<R>& forward, std::span<const R> dy) {
  Gradients<R> gradients = backward(forward.cache, dy);
  for_each_element(forward.cache.extent, [&](auto c, auto e) { gradients.dx[e] *= forward.r[c]; });  // (B70)
  for (std::size_t c = 0; c < forward.r.size(); ++c) {
    gradients.dgamma[c] = forward.r[c] * gradients.dgamma[c] + forward.d[c] * gradients.dbeta[c];
  }
  return gradients;
}

template <class R>
ScaleShift<R> scale_shift(std::span<const R> mean, std::span<const R> var, std::span<const R> gamma,
                          std::span<const R> beta, R eps) {
  constexpr auto operation = "reference::scale_shift";
  const std::int64_t channels = std::ssize(mean);
  require_length(operation, "var", var, channels);
  require_optional_length(operation, "gamma", gamma, channels);
  require_optional_length(operation, "beta", beta, channels);
  require_positive(operation, var, eps);
  ScaleShift<R> map{or_constant(gamma, channels, R{1}), or_constant(beta, channels, R{0})};
  for (std::size_t c = 0; c < mean.size(); ++c) {  // (B72)
    map.scale[c] /= std::sqrt(var[c] + eps);
    map.shift[c] -= mean[c] * map.scale[c];
  }
  return map;
}

template <class R>
LinearMap<R> fold(std::span<const R> weight, std::span<const R> bias, std::span<const R> mean, std::span<const R> var,
                  std::span<const R> gamma, std::span<const R> beta, R eps) {
  constexpr auto operation = "reference::fold";
  const auto channels = std::ssize(mean);
  const auto row = std::ssize(weight) / std::max<std::int64_t>(channels, 1);
  require_length(operation, "weight", weight, row * channels);
  require_optional_length(operation, "bias", bias, channels);
  const auto map = scale_shift(mean, var, gamma, beta, eps);
  LinearMap<R> folded{{weight.begin(), weight.end()}, or_constant(bias, channels, R{0})};
  for (std::size_t c = 0; c < mean.size(); ++c) {  // (B71)
    const auto begin = folded.weight.begin() + static_cast<std::ptrdiff_t>(c) * row;
    std::for_each(begin, begin + row, [&](R& of_row) { of_row *= map.scale[c]; });
    folded.bias[c] = map.scale[c] * folded.bias[c] + map.shift[c];
  }
  return folded;
}

#define UNITVAR_INSTANTIATE(R)                                                                                         \
  template std::vector<R> recover_x_hat(const Extent&, std::span<const R>, std::span<const R>, std::span<const R>, R); \
  template Gradients<R> backward_from_output(const Extent&, std::span<const R>, std::span<const R>,                    \
                                             std::span<const R>, std::span<const R>, R, std::span<const R>);           \
  template R digits_lost_in_place(R, R, R, R);                                                                         \
  template GhostForward<R> ghost_forward(const Extent&, std::int64_t, std::span<const R>, std::span<const R>,          \
                                         std::span<const R>, R);                                                       \
  template Gradients<R> ghost_backward(const GhostForward<R>&, std::span<const R>);                                    \
  template RenormForward<R> renorm_forward(const Extent&, std::span<const R>, std::span<const R>, std::span<const R>,  \
                                           R, const Renormalization<R>&);                                              \
  template Gradients<R> renorm_backward(const RenormForward<R>&, std::span<const R>);                                  \
  template ScaleShift<R> scale_shift(std::span<const R>, std::span<const R>, std::span<const R>, std::span<const R>,   \
                                     R);                                                                               \
  template LinearMap<R> fold(std::span<const R>, std::span<const R>, std::span<const R>, std::span<const R>,           \
                             std::span<const R>, std::span<const R>, R);
UNITVAR_INSTANTIATE(double)
UNITVAR_INSTANTIATE(long double)
#undef UNITVAR_INSTANTIATE

}  // namespace unitvar::reference
