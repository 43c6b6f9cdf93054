#include "unitvar/c/batch_norm.h"

#include "c/memory.hpp"

namespace unitvar::c {
namespace {

template <class T>
BatchNormForward<T> to(Typed<T> type, const unitvar_batch_norm_forward_args& a) {
  const Memory<T> of(type, a.extent);
  const BatchNormForward<T> args{.extent = of.extent,
                                 .x = of.tensor(a.x),
                                 .gamma = maybe(of.parameter(a.gamma)),
                                 .beta = maybe(of.parameter(a.beta)),
                                 .y = of.tensor(a.y),
                                 .mean = maybe(of.statistic(a.mean)),
                                 .var = maybe(of.statistic(a.var)),
                                 .rstd = maybe(of.statistic(a.rstd)),
                                 .eps = a.eps};
  need_apart(type.operation, "count", a.count, args.x, args.gamma, args.beta, args.y, args.mean, args.var, args.rstd);
  return args;
}

template <class T>
BatchNormInference<T> to(Typed<T> type, const unitvar_batch_norm_inference_args& a) {
  const Memory<T> of(type, a.extent);
  return {.extent = of.extent,
          .x = of.tensor(a.x),
          .mean = of.statistic(a.mean),
          .var = of.statistic(a.var),
          .gamma = maybe(of.parameter(a.gamma)),
          .beta = maybe(of.parameter(a.beta)),
          .y = of.tensor(a.y),
          .eps = a.eps};
}

template <class T>
BatchNormBackward<T> to(Typed<T> type, const unitvar_batch_norm_backward_args& a) {
  const Memory<T> of(type, a.extent);
  return {.extent = of.extent,
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
BatchNormFrozenBackward<T> to(Typed<T> type, const unitvar_batch_norm_frozen_backward_args& a) {
  const Memory<T> of(type, a.extent);
  return {.extent = of.extent,
          .x = a.dgamma == nullptr ? maybe(of.tensor(a.x)) : of.tensor(a.x),
          .dy = of.tensor(a.dy),
          .mean = of.statistic(a.mean),
          .var = of.statistic(a.var),
          .gamma = maybe(of.parameter(a.gamma)),
          .dx = maybe(of.tensor(a.dx)),
          .dgamma = maybe(of.parameter(a.dgamma)),
          .dbeta = maybe(of.parameter(a.dbeta)),
          .eps = a.eps};
}

constexpr auto kTo = [](auto type, const auto& given) { return to(type, given); };

}  // namespace
}  // namespace unitvar::c

using unitvar::c::call;
using unitvar::c::kTo;
using unitvar::c::Ranks;

unitvar_status unitvar_batch_norm_forward(const unitvar_batch_norm_forward_args* args,
                                          const unitvar_options* options) noexcept {
  return call("batch_norm_forward", Ranks::together, args, options, kTo,
              [](const auto& a, const auto& with, const auto& given) {
                const double count = unitvar::batch_norm_forward(a, with);
                if (given.count != nullptr) *given.count = count;
              });
}
unitvar_status unitvar_batch_norm_inference(const unitvar_batch_norm_inference_args* args,
                                            const unitvar_options* options) noexcept {
  return call("batch_norm_inference", Ranks::alone, args, options, kTo,
              [](const auto& a, const auto& with, const auto&) { unitvar::batch_norm_inference(a, with); });
}
unitvar_status unitvar_batch_norm_backward(const unitvar_batch_norm_backward_args* args,
                                           const unitvar_options* options) noexcept {
  return call("batch_norm_backward", Ranks::together, args, options, kTo,
              [](const auto& a, const auto& with, const auto&) { unitvar::batch_norm_backward(a, with); });
}
unitvar_status unitvar_batch_norm_frozen_backward(const unitvar_batch_norm_frozen_backward_args* args,
                                                  const unitvar_options* options) noexcept {
  return call("batch_norm_frozen_backward", Ranks::alone, args, options, kTo,
              [](const auto& a, const auto& with, const auto&) { unitvar::batch_norm_frozen_backward(a, with); });
}
