#include "unitvar/c/layer_norm_add.h"

#include "c/memory.hpp"

namespace unitvar::c {
namespace {

template <class T>
LayerNormAddForward<T> to(Typed<T> type, const unitvar_layer_norm_add_forward_args& a) {
  const Memory<T> of(type, a.extent);
  return {.extent = of.rows,
          .x = of.tensor(a.x),
          .residual = of.tensor(a.residual),
          .gamma = maybe(of.parameter(a.gamma)),
          .beta = maybe(of.parameter(a.beta)),
          .y = of.tensor(a.y),
          .h = of.tensor(a.h),
          .mean = maybe(of.statistic(a.mean)),
          .rstd = maybe(of.statistic(a.rstd)),
          .eps = a.eps,
          .one_plus_gamma = a.one_plus_gamma != 0};
}

template <class T>
LayerNormAddBackward<T> to(Typed<T> type, const unitvar_layer_norm_add_backward_args& a) {
  const Memory<T> of(type, a.extent);
  return {.extent = of.rows,
          .h = of.tensor(a.h),
          .dy = of.tensor(a.dy),
          .dh = maybe(of.tensor(a.dh)),
          .mean = of.statistic(a.mean),
          .rstd = of.statistic(a.rstd),
          .gamma = maybe(of.parameter(a.gamma)),
          .dx = maybe(of.tensor(a.dx)),
          .dgamma = maybe(of.parameter(a.dgamma)),
          .dbeta = maybe(of.parameter(a.dbeta)),
          .one_plus_gamma = a.one_plus_gamma != 0};
}

template <class T>
RmsNormAddForward<T> to(Typed<T> type, const unitvar_rms_norm_add_forward_args& a) {
  const Memory<T> of(type, a.extent);
  return {.extent = of.rows,
          .x = of.tensor(a.x),
          .residual = of.tensor(a.residual),
          .gamma = maybe(of.parameter(a.gamma)),
          .beta = maybe(of.parameter(a.beta)),
          .y = of.tensor(a.y),
          .h = of.tensor(a.h),
          .rstd = maybe(of.statistic(a.rstd)),
          .eps = a.eps,
          .one_plus_gamma = a.one_plus_gamma != 0};
}

template <class T>
RmsNormAddBackward<T> to(Typed<T> type, const unitvar_rms_norm_add_backward_args& a) {
  const Memory<T> of(type, a.extent);
  return {.extent = of.rows,
          .h = of.tensor(a.h),
          .dy = of.tensor(a.dy),
          .dh = maybe(of.tensor(a.dh)),
          .rstd = of.statistic(a.rstd),
          .gamma = maybe(of.parameter(a.gamma)),
          .dx = maybe(of.tensor(a.dx)),
          .dgamma = maybe(of.parameter(a.dgamma)),
          .dbeta = maybe(of.parameter(a.dbeta)),
          .one_plus_gamma = a.one_plus_gamma != 0};
}

constexpr auto kTo = [](auto type, const auto& given) { return to(type, given); };

}  // namespace
}  // namespace unitvar::c

using unitvar::c::call;
using unitvar::c::kTo;
using unitvar::c::Ranks;

unitvar_status unitvar_layer_norm_add_forward(const unitvar_layer_norm_add_forward_args* args,
                                              const unitvar_options* options) noexcept {
  return call("layer_norm_add_forward", Ranks::alone, args, options, kTo,
              [](const auto& a, const auto& with, const auto&) { unitvar::layer_norm_add_forward(a, with); });
}
unitvar_status unitvar_layer_norm_add_backward(const unitvar_layer_norm_add_backward_args* args,
                                               const unitvar_options* options) noexcept {
  return call("layer_norm_add_backward", Ranks::alone, args, options, kTo,
              [](const auto& a, const auto& with, const auto&) { unitvar::layer_norm_add_backward(a, with); });
}
unitvar_status unitvar_rms_norm_add_forward(const unitvar_rms_norm_add_forward_args* args,
                                            const unitvar_options* options) noexcept {
  return call("rms_norm_add_forward", Ranks::alone, args, options, kTo,
              [](const auto& a, const auto& with, const auto&) { unitvar::rms_norm_add_forward(a, with); });
}
unitvar_status unitvar_rms_norm_add_backward(const unitvar_rms_norm_add_backward_args* args,
                                             const unitvar_options* options) noexcept {
  return call("rms_norm_add_backward", Ranks::alone, args, options, kTo,
              [](const auto& a, const auto& with, const auto&) { unitvar::rms_norm_add_backward(a, with); });
}
