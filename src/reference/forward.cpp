#include "unitvar/reference/forward.hpp"

#include <cmath>

#include "reference/check.hpp"
#include "reference/walk.hpp"

namespace unitvar::reference {
namespace {

using namespace detail;

template <class R>
std::vector<R> batch_mean(const Extent& extent, std::span<const R> x) {
  std::vector<R> mean = channel_means<R>(extent, [&](auto, auto e) { return x[e]; });  // (B1)
  // Exactly, the residuals sum to zero (B10); what is left of them is the rounding error of the first mean.
  const auto residual = channel_means<R>(extent, [&](auto c, auto e) { return x[e] - mean[c]; });
  for (std::size_t c = 0; c < mean.size(); ++c) mean[c] += residual[c];
  return mean;
}

template <class R>
std::vector<R> reciprocal_std(std::span<const R> var, R eps) {
  std::vector<R> rstd(var.size());
  for (std::size_t c = 0; c < var.size(); ++c) rstd[c] = 1 / std::sqrt(var[c] + eps);
  return rstd;
}

}  // namespace

template <class R>
Forward<R> forward(const Extent& extent, std::span<const R> x, std::span<const R> gamma, std::span<const R> beta,
                   R eps) {
  constexpr auto operation = "reference::forward";
  check_extent(operation, extent, sizeof(R));
  require_length(operation, "x", x, extent.size());
  require_optional_length(operation, "gamma", gamma, extent.channels);
  require_optional_length(operation, "beta", beta, extent.channels);

  const auto mean = batch_mean(extent, x);
  const auto var = channel_means<R>(extent, [&](auto c, auto e) {  // (B2), (B3)
    const R xmu = x[e] - mean[c];
    return xmu * xmu;
  });
  require_positive<R>(operation, var, eps);
  const auto rstd = reciprocal_std<R>(var, eps);  // (B3)
  const auto scale = or_constant(gamma, extent.channels, R{1});
  const auto shift = or_constant(beta, extent.channels, R{0});
  std::vector<R> x_hat(x.size());
  std::vector<R> y(x.size());
  for_each_element(extent, [&](auto c, auto e) {
    x_hat[e] = (x[e] - mean[c]) * rstd[c];  // (B4)
    y[e] = scale[c] * x_hat[e] + shift[c];  // (B5)
  });
  return {y, {extent, mean, var, rstd, x_hat, scale}};
}

template <class R>
std::vector<R> inference(const Extent& extent, std::span<const R> x, std::span<const R> mean, std::span<const R> var,
                         std::span<const R> gamma, std::span<const R> beta, R eps) {
  constexpr auto operation = "reference::inference";
  check_extent(operation, extent, sizeof(R));
  require_length(operation, "x", x, extent.size());
  require_length(operation, "mean", mean, extent.channels);
  require_length(operation, "var", var, extent.channels);
  require_optional_length(operation, "gamma", gamma, extent.channels);
  require_optional_length(operation, "beta", beta, extent.channels);
  require_positive(operation, var, eps);

  const auto rstd = reciprocal_std(var, eps);
  const auto scale = or_constant(gamma, extent.channels, R{1});
  const auto shift = or_constant(beta, extent.channels, R{0});
  std::vector<R> y(x.size());
  for_each_element(extent, [&](auto c, auto e) { y[e] = scale[c] * ((x[e] - mean[c]) * rstd[c]) + shift[c]; });  // (B6)
  return y;
}

template <class R>
Parameters<R> identity_parameters(std::span<const R> mean, std::span<const R> var, R eps) {
  constexpr auto operation = "reference::identity_parameters";
  require_length(operation, "var", var, std::ssize(mean));
  require_positive(operation, var, eps);
  std::vector<R> gamma(var.size());
  for (std::size_t c = 0; c < var.size(); ++c) gamma[c] = std::sqrt(var[c] + eps);  // (B9)
  return {gamma, {mean.begin(), mean.end()}};
}

#define UNITVAR_INSTANTIATE(R)                                                                                 \
  template Forward<R> forward(const Extent&, std::span<const R>, std::span<const R>, std::span<const R>, R);   \
  template std::vector<R> inference(const Extent&, std::span<const R>, std::span<const R>, std::span<const R>, \
                                    std::span<const R>, std::span<const R>, R);                                \
  template Parameters<R> identity_parameters(std::span<const R>, std::span<const R>, R);
UNITVAR_INSTANTIATE(double)
UNITVAR_INSTANTIATE(long double)
#undef UNITVAR_INSTANTIATE

}  // namespace unitvar::reference
