#include "unitvar/c/derivatives.h"

#include "c/memory.hpp"

namespace unitvar::c {
namespace {

template <class T>
BatchNormStatisticsBackward<T> to(Typed<T> type, const unitvar_batch_norm_statistics_backward_args& a) {
  const Memory<T> of(type, a.extent);
  return {.extent = of.extent,
          .x = of.tensor(a.x),
          .dy = of.tensor(a.dy),
          .mean = of.statistic(a.mean),
          .rstd = of.statistic(a.rstd),
          .gamma = maybe(of.parameter(a.gamma)),
          .dmean = maybe(of.statistic(a.dmean)),
          .dvar = maybe(of.statistic(a.dvar)),
          .dx = maybe(of.tensor(a.dx)),
          .dgamma = maybe(of.parameter(a.dgamma)),
          .dbeta = maybe(of.parameter(a.dbeta))};
}

template <class T>
BatchNormDoubleBackward<T> to(Typed<T> type, const unitvar_batch_norm_double_backward_args& a) {
  const Memory<T> of(type, a.extent);
  return {.extent = of.extent,
          .x = of.tensor(a.x),
          .dy = of.tensor(a.dy),
          .mean = of.statistic(a.mean),
          .rstd = of.statistic(a.rstd),
          .gamma = maybe(of.parameter(a.gamma)),
          .grad_dx = maybe(of.tensor(a.grad_dx)),
          .grad_dgamma = maybe(of.parameter(a.grad_dgamma)),
          .grad_dbeta = maybe(of.parameter(a.grad_dbeta)),
          .grad_x = maybe(of.tensor(a.grad_x)),
          .grad_dy = maybe(of.tensor(a.grad_dy)),
          .grad_gamma = maybe(of.parameter(a.grad_gamma))};
}

template <class T>
BatchNormJvp<T> to(Typed<T> type, const unitvar_batch_norm_jvp_args& a) {
  const Memory<T> of(type, a.extent);
  return {.extent = of.extent,
          .x = of.tensor(a.x),
          .mean = of.statistic(a.mean),
          .rstd = of.statistic(a.rstd),
          .gamma = maybe(of.parameter(a.gamma)),
          .x_dot = maybe(of.tensor(a.x_dot)),
          .gamma_dot = maybe(of.parameter(a.gamma_dot)),
          .beta_dot = maybe(of.parameter(a.beta_dot)),
          .y_dot = maybe(of.tensor(a.y_dot)),
          .mean_dot = maybe(of.statistic(a.mean_dot)),
          .var_dot = maybe(of.statistic(a.var_dot))};
}

constexpr auto kTo = [](auto type, const auto& given) { return to(type, given); };

}  // namespace
}  // namespace unitvar::c

using unitvar::c::call;
using unitvar::c::kTo;
using unitvar::c::Ranks;

unitvar_status unitvar_batch_norm_statistics_backward(const unitvar_batch_norm_statistics_backward_args* args,
                                                      const unitvar_options* options) noexcept {
  return call("batch_norm_statistics_backward", Ranks::together, args, options, kTo,
              [](const auto& a, const auto& with, const auto&) { unitvar::batch_norm_statistics_backward(a, with); });
}
unitvar_status unitvar_batch_norm_double_backward(const unitvar_batch_norm_double_backward_args* args,
                                                  const unitvar_options* options) noexcept {
  return call("batch_norm_double_backward", Ranks::together, args, options, kTo,
              [](const auto& a, const auto& with, const auto&) { unitvar::batch_norm_double_backward(a, with); });
}
unitvar_status unitvar_batch_norm_frozen_double_backward(const unitvar_batch_norm_double_backward_args* args,
                                                         const unitvar_options* options) noexcept {
  return call(
      "batch_norm_frozen_double_backward", Ranks::alone, args, options, kTo,
      [](const auto& a, const auto& with, const auto&) { unitvar::batch_norm_frozen_double_backward(a, with); });
}
unitvar_status unitvar_batch_norm_jvp(const unitvar_batch_norm_jvp_args* args,
                                      const unitvar_options* options) noexcept {
  return call("batch_norm_jvp", Ranks::together, args, options, kTo,
              [](const auto& a, const auto& with, const auto&) { unitvar::batch_norm_jvp(a, with); });
}
unitvar_status unitvar_batch_norm_frozen_jvp(const unitvar_batch_norm_jvp_args* args,
                                             const unitvar_options* options) noexcept {
  return call("batch_norm_frozen_jvp", Ranks::alone, args, options, kTo,
              [](const auto& a, const auto& with, const auto&) { unitvar::batch_norm_frozen_jvp(a, with); });
}
