#include "unitvar/reference/activation.hpp"

#include <cmath>
#include <string>

#include "reference/check.hpp"
#include "unitvar/error.hpp"
#include "unitvar/reference/derivatives.hpp"

namespace unitvar::reference {
namespace {

using namespace detail;

template <class R>
void require_slope(const char* operation, R slope) {
  if (!std::isfinite(slope)) throw Error(ErrorCode::bad_argument, std::string(operation) + ": slope is not finite");
}

template <class R>
R sigmoid(R v) {
  return 1 / (1 + std::exp(-v));
}

/// Value, derivative, or second derivative.
template <class R>
R of_order(const Activation& a, int order, R v) {
  const auto pick = [order](R value, R first, R second) { return order == 0 ? value : order == 1 ? first : second; };
  const auto low = static_cast<R>(a.low), high = static_cast<R>(a.high), slope = static_cast<R>(a.negative_slope);
  switch (a.kind) {
    case Activation::Kind::identity:
      return pick(v, 1, 0);
    case Activation::Kind::leaky_relu:  // (B46)
      return v <= 0 ? pick(slope * v, slope, 0) : pick(v, 1, 0);
    case Activation::Kind::clip:  // (B90)
      return v <= low ? pick(low, 0, 0) : v >= high ? pick(high, 0, 0) : pick(v, 1, 0);
    case Activation::Kind::hard_swish:  // (B91)
      return v <= -3 ? pick(0, 0, 0) : v >= 3 ? pick(v, 1, 0) : pick(v * (v + 3) / 6, v / 3 + R(0.5), R(1) / 3);
    case Activation::Kind::silu:  // (B88), (B89)
      return pick(v * sigmoid(v), sigmoid(v) * (1 + v * sigmoid(-v)),
                  sigmoid(v) * sigmoid(-v) * (2 + v * (sigmoid(-v) - sigmoid(v))));
  }
  return v;
}

/// b[e] * the function of v[e].
template <class R>
std::vector<R> times(std::span<const R> b, const Activation& activation, int order, std::span<const R> v) {
  std::vector<R> result(b.size());
  for (std::size_t e = 0; e < b.size(); ++e) result[e] = b[e] * of_order(activation, order, v[e]);
  return result;
}

}  // namespace

template <class R>
R activation_value(const Activation& activation, R v) {
  return of_order(activation, 0, v);
}
template <class R>
R activation_derivative(const Activation& activation, R v) {
  return of_order(activation, 1, v);
}
template <class R>
R activation_second_derivative(const Activation& activation, R v) {
  return of_order(activation, 2, v);
}

template <class R>
ActForward<R> act_forward(const Extent& extent, std::span<const R> x, std::span<const R> gamma, std::span<const R> beta,
                          R eps, std::span<const R> z, const Activation& activation) {
  require_optional_length("reference::act_forward", "z", z, extent.size());
  auto plain = forward(extent, x, gamma, beta, eps);
  ActForward<R> result{plain.y, plain.y, plain.cache};
  for (std::size_t e = 0; e < result.y.size(); ++e) {
    if (!z.empty()) result.v[e] += z[e];
    result.y[e] = activation_value(activation, result.v[e]);
  }
  return result;
}

template <class R>
FusedGradients<R> act_backward(const Cache<R>& cache, std::span<const R> v, const Activation& activation,
                               std::span<const R> dy) {
  require_length("reference::act_backward", "v", v, cache.extent.size());
  require_length("reference::act_backward", "dy", dy, cache.extent.size());
  const auto g = times(dy, activation, 1, v);
  const auto plain = backward<R>(cache, g);
  return {plain.dx, plain.dgamma, plain.dbeta, g};
}

/// (B92)
template <class R>
ActDoubleGradients<R> act_double_backward(const Cache<R>& cache, std::span<const R> v, const Activation& activation,
                                          std::span<const R> dy, const ActCotangents<R>& of) {
  require_length("reference::act_double_backward", "v", v, cache.extent.size());
  require_length("reference::act_double_backward", "dy", dy, cache.extent.size());
  require_optional_length("reference::act_double_backward", "dz", of.dz, cache.extent.size());
  const auto g = times(dy, activation, 1, v);
  auto behind = double_backward<R>(cache, g, of.dx, of.dgamma, of.dbeta);
  for (std::size_t e = 0; e < of.dz.size(); ++e) behind.grad_dy[e] += of.dz[e];
  const std::span<const R> t = behind.grad_dy;
  auto h = times(dy, activation, 2, v);
  for (std::size_t e = 0; e < h.size(); ++e) h[e] *= t[e];
  const auto through_v = backward<R>(cache, h);
  ActDoubleGradients<R> result{behind.grad_x, times(t, activation, 1, v), h, behind.grad_gamma, through_v.dbeta};
  for (std::size_t e = 0; e < h.size(); ++e) result.grad_x[e] += through_v.dx[e];
  for (std::size_t c = 0; c < result.grad_gamma.size(); ++c) result.grad_gamma[c] += through_v.dgamma[c];
  return result;
}

template <class R>
Activated<R> activation(std::span<const R> h, std::span<const R> z, R slope) {
  constexpr auto operation = "reference::activation";
  require_length(operation, "h", h, std::ssize(h));
  require_optional_length(operation, "z", z, std::ssize(h));
  require_slope(operation, slope);
  Activated<R> result{std::vector<R>(h.size()), std::vector<bool>(h.size())};
  for (std::size_t e = 0; e < h.size(); ++e) {
    const R sum = z.empty() ? h[e] : h[e] + z[e];
    result.mask[e] = sum > 0;                             // (B47)
    result.y[e] = result.mask[e] ? sum : R(slope * sum);  // (B46)
  }
  return result;
}

template <class R>
std::vector<R> activation_backward(const std::vector<bool>& mask, R slope, std::span<const R> dy) {
  constexpr auto operation = "reference::activation_backward";
  require_length(operation, "dy", dy, std::ssize(mask));
  require_slope(operation, slope);
  std::vector<R> g(dy.size());
  for (std::size_t e = 0; e < g.size(); ++e) g[e] = mask[e] ? dy[e] : slope * dy[e];  // (B48)
  return g;
}

template <class R>
FusedForward<R> fused_forward(const Extent& extent, std::span<const R> x, std::span<const R> gamma,
                              std::span<const R> beta, R eps, std::span<const R> z, R slope) {
  const auto plain = forward(extent, x, gamma, beta, eps);
  const auto activated = activation<R>(plain.y, z, slope);
  return {activated.y, activated.mask, plain.cache};
}

template <class R>
FusedGradients<R> fused_backward(const Cache<R>& cache, const std::vector<bool>& mask, R slope, std::span<const R> dy) {
  const auto g = activation_backward(mask, slope, dy);
  const auto plain = backward<R>(cache, g);  // (B49)
  return {plain.dx, plain.dgamma, plain.dbeta, g};
}

#define UNITVAR_INSTANTIATE(R)                                                                                         \
  template Activated<R> activation(std::span<const R>, std::span<const R>, R);                                         \
  template std::vector<R> activation_backward(const std::vector<bool>&, R, std::span<const R>);                        \
  template FusedForward<R> fused_forward(const Extent&, std::span<const R>, std::span<const R>, std::span<const R>, R, \
                                         std::span<const R>, R);                                                       \
  template FusedGradients<R> fused_backward(const Cache<R>&, const std::vector<bool>&, R, std::span<const R>);         \
  template R activation_value(const Activation&, R);                                                                   \
  template R activation_derivative(const Activation&, R);                                                              \
  template R activation_second_derivative(const Activation&, R);                                                       \
  template ActForward<R> act_forward(const Extent&, std::span<const R>, std::span<const R>, std::span<const R>, R,     \
                                     std::span<const R>, const Activation&);                                           \
  template FusedGradients<R> act_backward(const Cache<R>&, std::span<const R>, const Activation&, std::span<const R>); \
  template ActDoubleGradients<R> act_double_backward(const Cache<R>&, std::span<const R>, const Activation&,           \
                                                     std::span<const R>, const ActCotangents<R>&);
UNITVAR_INSTANTIATE(double)
UNITVAR_INSTANTIATE(long double)
#undef UNITVAR_INSTANTIATE

}  // namespace unitvar::reference
