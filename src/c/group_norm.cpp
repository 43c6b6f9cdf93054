#include "unitvar/c/group_norm.h"

#include "c/memory.hpp"

namespace unitvar::c {
namespace {

template <class T>
GroupNormForward<T> to(Typed<T> type, const unitvar_group_norm_forward_args& a) {
  const Memory<T> of(type, a.groups);
  return {.groups = of.groups,
          .x = of.tensor(a.x),
          .gamma = maybe(of.parameter(a.gamma)),
          .beta = maybe(of.parameter(a.beta)),
          .y = of.tensor(a.y),
          .mean = maybe(of.statistic(a.mean)),
          .rstd = maybe(of.statistic(a.rstd)),
          .eps = a.eps};
}

template <class T>
GroupNormBackward<T> to(Typed<T> type, const unitvar_group_norm_backward_args& a) {
  const Memory<T> of(type, a.groups);
  return {.groups = of.groups,
          .x = of.tensor(a.x),
          .dy = of.tensor(a.dy),
          .mean = of.statistic(a.mean),
          .rstd = of.statistic(a.rstd),
          .gamma = maybe(of.parameter(a.gamma)),
          .dx = maybe(of.tensor(a.dx)),
          .dgamma = maybe(of.parameter(a.dgamma)),
          .dbeta = maybe(of.parameter(a.dbeta))};
}

template <class T>
GroupNormDoubleBackward<T> to(Typed<T> type, const unitvar_group_norm_double_backward_args& a) {
  const Memory<T> of(type, a.groups);
  return {.groups = of.groups,
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

constexpr auto kTo = [](auto type, const auto& given) { return to(type, given); };

}  // namespace
}  // namespace unitvar::c

using unitvar::c::call;
using unitvar::c::kTo;
using unitvar::c::Ranks;

unitvar_status unitvar_group_norm_forward(const unitvar_group_norm_forward_args* args,
                                          const unitvar_options* options) noexcept {
  return call("group_norm_forward", Ranks::alone, args, options, kTo,
              [](const auto& a, const auto& with, const auto&) { unitvar::group_norm_forward(a, with); });
}
unitvar_status unitvar_instance_norm_forward(const unitvar_group_norm_forward_args* args,
                                             const unitvar_options* options) noexcept {
  return call("instance_norm_forward", Ranks::alone, args, options, kTo,
              [](const auto& a, const auto& with, const auto&) { unitvar::instance_norm_forward(a, with); });
}
unitvar_status unitvar_group_norm_backward(const unitvar_group_norm_backward_args* args,
                                           const unitvar_options* options) noexcept {
  return call("group_norm_backward", Ranks::alone, args, options, kTo,
              [](const auto& a, const auto& with, const auto&) { unitvar::group_norm_backward(a, with); });
}
unitvar_status unitvar_instance_norm_backward(const unitvar_group_norm_backward_args* args,
                                              const unitvar_options* options) noexcept {
  return call("instance_norm_backward", Ranks::alone, args, options, kTo,
              [](const auto& a, const auto& with, const auto&) { unitvar::instance_norm_backward(a, with); });
}
unitvar_status unitvar_group_norm_double_backward(const unitvar_group_norm_double_backward_args* args,
                                                  const unitvar_options* options) noexcept {
  return call("group_norm_double_backward", Ranks::alone, args, options, kTo,
              [](const auto& a, const auto& with, const auto&) { unitvar::group_norm_double_backward(a, with); });
}
unitvar_status unitvar_instance_norm_double_backward(const unitvar_group_norm_double_backward_args* args,
                                                     const unitvar_options* options) noexcept {
  return call("instance_norm_double_backward", Ranks::alone, args, options, kTo,
              [](const auto& a, const auto& with, const auto&) { unitvar::instance_norm_double_backward(a, with); });
}
