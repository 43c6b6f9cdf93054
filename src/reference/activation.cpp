#include "unitvar/reference/activation.hpp"

#include <string>

#include "reference/check.hpp"
#include "unitvar/error.hpp"

namespace unitvar::reference {
namespace {

using namespace detail;

template <class R>
void require_slope(const char* operation, R slope) {
  if (!std::isfinite(slope)) throw Error(ErrorCode::bad_argument, std::string(operation) + ": slope is not finite");
}

}  // namespace

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
  template FusedGradients<R> fused_backward(const Cache<R>&, const std::vector<bool>&, R, std::span<const R>);
UNITVAR_INSTANTIATE(double)
UNITVAR_INSTANTIATE(long double)
#undef UNITVAR_INSTANTIATE

}  // namespace unitvar::reference
