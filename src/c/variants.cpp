#include "unitvar/c/variants.h"

#include "c/memory.hpp"

namespace unitvar::c {
namespace {

template <class T>
BatchNormGhostForward<T> to(Typed<T> type, const unitvar_batch_norm_ghost_forward_args& a) {
  const Memory<T> of(type, a.extent, a.ghost);
  return {.extent = of.extent,
          .ghost = a.ghost,
          .x = of.tensor(a.x),
          .gamma = maybe(of.parameter(a.gamma)),
          .beta = maybe(of.parameter(a.beta)),
          .y = of.tensor(a.y),
          .mean = maybe(of.statistic(a.mean)),
          .var = maybe(of.statistic(a.var)),
          .rstd = maybe(of.statistic(a.rstd)),
          .eps = a.eps};
}

template <class T>
BatchNormGhostBackward<T> to(Typed<T> type, const unitvar_batch_norm_ghost_backward_args& a) {
  const Memory<T> of(type, a.extent, a.ghost);
  return {.extent = of.extent,
          .ghost = a.ghost,
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
BatchNormInPlaceForward<T> to(Typed<T> type, const unitvar_batch_norm_in_place_forward_args& a) {
  const Memory<T> of(type, a.extent);
  return {.extent = of.extent,
          .x = of.tensor(a.x),
          .gamma = maybe(of.parameter(a.gamma)),
          .beta = maybe(of.parameter(a.beta)),
          .mean = maybe(of.statistic(a.mean)),
          .var = maybe(of.statistic(a.var)),
          .rstd = maybe(of.statistic(a.rstd)),
          .eps = a.eps,
          .negative_slope = a.negative_slope,
          .max_lost_digits = a.max_lost_digits};
}

template <class T>
BatchNormInPlaceBackward<T> to(Typed<T> type, const unitvar_batch_norm_in_place_backward_args& a) {
  const Memory<T> of(type, a.extent);
  return {.extent = of.extent,
          .y = of.tensor(a.y),
          .dy = of.tensor(a.dy),
          .rstd = of.statistic(a.rstd),
          .gamma = maybe(of.parameter(a.gamma)),
          .beta = maybe(of.parameter(a.beta)),
          .dx = maybe(of.tensor(a.dx)),
          .dgamma = maybe(of.parameter(a.dgamma)),
          .dbeta = maybe(of.parameter(a.dbeta)),
          .negative_slope = a.negative_slope,
          .max_lost_digits = a.max_lost_digits};
}

template <class T>
BatchNormRenormForward<T> to(Typed<T> type, const unitvar_batch_norm_renorm_forward_args& a) {
  const Memory<T> of(type, a.extent);
  return {.extent = of.extent,
          .x = of.tensor(a.x),
          .gamma = maybe(of.parameter(a.gamma)),
          .beta = maybe(of.parameter(a.beta)),
          .running_mean = of.statistic(a.running_mean),
          .running_var = of.statistic(a.running_var),
          .y = of.tensor(a.y),
          .mean = maybe(of.statistic(a.mean)),
          .var = maybe(of.statistic(a.var)),
          .rstd = maybe(of.statistic(a.rstd)),
          .r = maybe(of.statistic(a.r)),
          .d = maybe(of.statistic(a.d)),
          .r_max = a.r_max,
          .d_max = a.d_max,
          .eps = a.eps};
}

template <class T>
BatchNormRenormBackward<T> to(Typed<T> type, const unitvar_batch_norm_renorm_backward_args& a) {
  const Memory<T> of(type, a.extent);
  return {.extent = of.extent,
          .x = of.tensor(a.x),
          .dy = of.tensor(a.dy),
          .mean = of.statistic(a.mean),
          .rstd = of.statistic(a.rstd),
          .r = of.statistic(a.r),
          .d = of.statistic(a.d),
          .gamma = maybe(of.parameter(a.gamma)),
          .dx = maybe(of.tensor(a.dx)),
          .dgamma = maybe(of.parameter(a.dgamma)),
          .dbeta = maybe(of.parameter(a.dbeta))};
}

template <class T>
BatchNormWeightedForward<T> to(Typed<T> type, const unitvar_batch_norm_weighted_forward_args& a) {
  const Memory<T> of(type, a.extent);
  const BatchNormWeightedForward<T> args{.extent = of.extent,
                                         .x = of.tensor(a.x),
                                         .weight = of.weight(a.weight),
                                         .gamma = maybe(of.parameter(a.gamma)),
                                         .beta = maybe(of.parameter(a.beta)),
                                         .y = of.tensor(a.y),
                                         .mean = maybe(of.statistic(a.mean)),
                                         .var = maybe(of.statistic(a.var)),
                                         .rstd = maybe(of.statistic(a.rstd)),
                                         .eps = a.eps,
                                         .zero_unweighted = a.zero_unweighted != 0};
  need_apart(type.operation, "count", a.count, args.x, args.weight, args.gamma, args.beta, args.y, args.mean, args.var,
             args.rstd);
  return args;
}

template <class T>
BatchNormWeightedBackward<T> to(Typed<T> type, const unitvar_batch_norm_weighted_backward_args& a) {
  const Memory<T> of(type, a.extent);
  return {.extent = of.extent,
          .x = of.tensor(a.x),
          .dy = of.tensor(a.dy),
          .weight = of.weight(a.weight),
          .mean = of.statistic(a.mean),
          .rstd = of.statistic(a.rstd),
          .gamma = maybe(of.parameter(a.gamma)),
          .dx = maybe(of.tensor(a.dx)),
          .dgamma = maybe(of.parameter(a.dgamma)),
          .dbeta = maybe(of.parameter(a.dbeta))};
}

constexpr auto kTo = [](auto type, const auto& given) { return to(type, given); };

}  // namespace
}  // namespace unitvar::c

using unitvar::c::call;
using unitvar::c::kTo;
using unitvar::c::Ranks;

unitvar_status unitvar_batch_norm_ghost_forward(const unitvar_batch_norm_ghost_forward_args* args,
                                                const unitvar_options* options) noexcept {
  return call("batch_norm_ghost_forward", Ranks::alone, args, options, kTo,
              [](const auto& a, const auto& with, const auto&) { unitvar::batch_norm_ghost_forward(a, with); });
}
unitvar_status unitvar_batch_norm_ghost_backward(const unitvar_batch_norm_ghost_backward_args* args,
                                                 const unitvar_options* options) noexcept {
  return call("batch_norm_ghost_backward", Ranks::alone, args, options, kTo,
              [](const auto& a, const auto& with, const auto&) { unitvar::batch_norm_ghost_backward(a, with); });
}
unitvar_status unitvar_batch_norm_in_place_forward(const unitvar_batch_norm_in_place_forward_args* args,
                                                   const unitvar_options* options) noexcept {
  return call("batch_norm_in_place_forward", Ranks::together, args, options, kTo,
              [](const auto& a, const auto& with, const auto&) { unitvar::batch_norm_in_place_forward(a, with); });
}
unitvar_status unitvar_batch_norm_in_place_backward(const unitvar_batch_norm_in_place_backward_args* args,
                                                    const unitvar_options* options) noexcept {
  return call("batch_norm_in_place_backward", Ranks::together, args, options, kTo,
              [](const auto& a, const auto& with, const auto&) { unitvar::batch_norm_in_place_backward(a, with); });
}
unitvar_status unitvar_batch_norm_renorm_forward(const unitvar_batch_norm_renorm_forward_args* args,
                                                 const unitvar_options* options) noexcept {
  return call("batch_norm_renorm_forward", Ranks::together, args, options, kTo,
              [](const auto& a, const auto& with, const auto&) { unitvar::batch_norm_renorm_forward(a, with); });
}
unitvar_status unitvar_batch_norm_renorm_backward(const unitvar_batch_norm_renorm_backward_args* args,
                                                  const unitvar_options* options) noexcept {
  return call("batch_norm_renorm_backward", Ranks::together, args, options, kTo,
              [](const auto& a, const auto& with, const auto&) { unitvar::batch_norm_renorm_backward(a, with); });
}
unitvar_status unitvar_batch_norm_weighted_forward(const unitvar_batch_norm_weighted_forward_args* args,
                                                   const unitvar_options* options) noexcept {
  return call("batch_norm_weighted_forward", Ranks::together, args, options, kTo,
              [](const auto& a, const auto& with, const auto& given) {
                const double count = unitvar::batch_norm_weighted_forward(a, with);
                if (given.count != nullptr) *given.count = count;
              });
}
unitvar_status unitvar_batch_norm_weighted_backward(const unitvar_batch_norm_weighted_backward_args* args,
                                                    const unitvar_options* options) noexcept {
  return call("batch_norm_weighted_backward", Ranks::together, args, options, kTo,
              [](const auto& a, const auto& with, const auto&) { unitvar::batch_norm_weighted_backward(a, with); });
}
