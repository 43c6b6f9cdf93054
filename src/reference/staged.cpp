#include "unitvar/reference/staged.hpp"

#include <cmath>

#include "reference/check.hpp"
#include "reference/walk.hpp"

namespace unitvar::reference {
namespace {

using namespace detail;

/// A tensor, element e of channel c being value(c, e).
template <class R, class F>
std::vector<R> tensor(const Extent& extent, F value) {
  std::vector<R> result(static_cast<std::size_t>(extent.size()));
  for_each_element(extent, [&](auto c, auto e) { result[e] = value(c, e); });
  return result;
}

/// One value per channel, value(c).
template <class R, class F>
std::vector<R> per_channel(const Extent& extent, F value) {
  std::vector<R> result(static_cast<std::size_t>(extent.channels));
  for (std::size_t c = 0; c < result.size(); ++c) result[c] = value(c);
  return result;
}

template <class R>
void require_stages(const StagedForward<R>& stages, std::span<const R> dy) {
  constexpr auto operation = "reference::staged_backward";
  check_extent(operation, stages.extent, sizeof(R));
  const std::int64_t size = stages.extent.size();
  const std::int64_t channels = stages.extent.channels;
  require_length(operation, "dy", dy, size);
  require_length<R>(operation, "stages.xmu", stages.xmu, size);
  require_length<R>(operation, "stages.x_hat", stages.x_hat, size);
  require_length<R>(operation, "stages.gamma", stages.gamma, channels);
  require_length<R>(operation, "stages.sqrtvar", stages.sqrtvar, channels);
  require_length<R>(operation, "stages.rstd", stages.rstd, channels);
}

}  // namespace

template <class R>
StagedForward<R> staged_forward(const Extent& extent, std::span<const R> x, std::span<const R> gamma,
                                std::span<const R> beta, R eps) {
  constexpr auto operation = "reference::staged_forward";
  check_extent(operation, extent, sizeof(R));
  require_length(operation, "x", x, extent.size());
  require_optional_length(operation, "gamma", gamma, extent.channels);
  require_optional_length(operation, "beta", beta, extent.channels);
  const auto shift = or_constant(beta, extent.channels, R{0});

  StagedForward<R> s;  // (B32), step by step
  s.extent = extent;
  s.gamma = or_constant(gamma, extent.channels, R{1});
  s.mean = channel_means<R>(extent, [&](auto, auto e) { return x[e]; });        // 1
  s.xmu = tensor<R>(extent, [&](auto c, auto e) { return x[e] - s.mean[c]; });  // 2
  s.sq = tensor<R>(extent, [&](auto, auto e) { return s.xmu[e] * s.xmu[e]; });  // 3
  s.var = channel_means<R>(extent, [&](auto, auto e) { return s.sq[e]; });      // 4
  require_positive<R>(operation, s.var, eps);
  s.sqrtvar = per_channel<R>(extent, [&](auto c) { return std::sqrt(s.var[c] + eps); });  // 5
  s.rstd = per_channel<R>(extent, [&](auto c) { return 1 / s.sqrtvar[c]; });              // 6
  s.x_hat = tensor<R>(extent, [&](auto c, auto e) { return s.xmu[e] * s.rstd[c]; });      // 7
  s.gammax = tensor<R>(extent, [&](auto c, auto e) { return s.gamma[c] * s.x_hat[e]; });  // 8
  s.y = tensor<R>(extent, [&](auto c, auto e) { return s.gammax[e] + shift[c]; });        // 9
  return s;
}

template <class R>
StagedBackward<R> staged_backward(const StagedForward<R>& s, std::span<const R> dy) {
  require_stages(s, dy);
  const Extent& extent = s.extent;
  const R n = number<R>(extent.count());

  StagedBackward<R> d;                                                                          // (B33), step by step
  d.dbeta = channel_sums<R>(extent, [&](auto, auto e) { return dy[e]; });                       // 9
  d.dgammax = {dy.begin(), dy.end()};                                                           // 9
  d.dgamma = channel_sums<R>(extent, [&](auto, auto e) { return d.dgammax[e] * s.x_hat[e]; });  // 8
  d.dx_hat = tensor<R>(extent, [&](auto c, auto e) { return d.dgammax[e] * s.gamma[c]; });      // 8
  d.drstd = channel_sums<R>(extent, [&](auto, auto e) { return d.dx_hat[e] * s.xmu[e]; });      // 7
  d.dxmu1 = tensor<R>(extent, [&](auto c, auto e) { return d.dx_hat[e] * s.rstd[c]; });         // 7
  d.dsqrtvar = per_channel<R>(extent, [&](auto c) { return -d.drstd[c] / (s.sqrtvar[c] * s.sqrtvar[c]); });  // 6
  d.dvar = per_channel<R>(extent, [&](auto c) { return d.dsqrtvar[c] / (2 * s.sqrtvar[c]); });               // 5
  d.dsq = tensor<R>(extent, [&](auto c, auto) { return d.dvar[c] / n; });                                    // 4
  d.dxmu2 = tensor<R>(extent, [&](auto, auto e) { return 2 * s.xmu[e] * d.dsq[e]; });                        // 3
  d.dmean = channel_sums<R>(extent, [&](auto, auto e) { return -(d.dxmu1[e] + d.dxmu2[e]); });               // 2
  d.dx1 = tensor<R>(extent, [&](auto, auto e) { return d.dxmu1[e] + d.dxmu2[e]; });                          // 2
  d.dx2 = tensor<R>(extent, [&](auto c, auto) { return d.dmean[c] / n; });                                   // 1
  d.dx = tensor<R>(extent, [&](auto, auto e) { return d.dx1[e] + d.dx2[e]; });
  return d;
}

#define UNITVAR_INSTANTIATE(R)                                                                                        \
  template StagedForward<R> staged_forward(const Extent&, std::span<const R>, std::span<const R>, std::span<const R>, \
                                           R);                                                                        \
  template StagedBackward<R> staged_backward(const StagedForward<R>&, std::span<const R>);
UNITVAR_INSTANTIATE(double)
UNITVAR_INSTANTIATE(long double)
#undef UNITVAR_INSTANTIATE

}  // namespace unitvar::reference
