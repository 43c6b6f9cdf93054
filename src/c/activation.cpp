#include "unitvar/c/activation.h"

#include "c/memory.hpp"

namespace unitvar::c {
namespace {

Activation activation_of(const char* operation, const unitvar_activation& a) {
  if (a.kind < UNITVAR_IDENTITY || a.kind > UNITVAR_SILU) {
    throw Error(ErrorCode::bad_argument, std::string(operation) + ": activation.kind is " + std::to_string(a.kind) +
                                             ", want UNITVAR_IDENTITY to UNITVAR_SILU, 0 to 4");
  }
  Activation activation{.kind = static_cast<Activation::Kind>(a.kind)};
  if (a.kind == UNITVAR_LEAKY_RELU) activation.negative_slope = a.negative_slope;
  if (a.kind == UNITVAR_CLIP) {
    activation.low = a.low;
    activation.high = a.high;
  }
  return activation;
}

template <class T>
BatchNormActForward<T> to(Typed<T> type, const unitvar_batch_norm_act_forward_args& a) {
  const Memory<T> of(type, a.extent);
  const Activation activation = activation_of(type.operation, a.activation);
  return {.extent = of.extent,
          .x = of.tensor(a.x),
          .residual = maybe(of.tensor(a.residual)),
          .gamma = maybe(of.parameter(a.gamma)),
          .beta = maybe(of.parameter(a.beta)),
          .y = of.tensor(a.y),
          .mask = maybe(of.mask(a.mask, activation)),
          .mean = maybe(of.statistic(a.mean)),
          .var = maybe(of.statistic(a.var)),
          .rstd = maybe(of.statistic(a.rstd)),
          .eps = a.eps,
          .activation = activation};
}

template <class T>
BatchNormActInference<T> to(Typed<T> type, const unitvar_batch_norm_act_inference_args& a) {
  const Memory<T> of(type, a.extent);
  const Activation activation = activation_of(type.operation, a.activation);
  return {.extent = of.extent,
          .x = of.tensor(a.x),
          .residual = maybe(of.tensor(a.residual)),
          .mean = of.statistic(a.mean),
          .var = of.statistic(a.var),
          .gamma = maybe(of.parameter(a.gamma)),
          .beta = maybe(of.parameter(a.beta)),
          .y = of.tensor(a.y),
          .eps = a.eps,
          .activation = activation};
}

template <class T>
BatchNormActBackward<T> to(Typed<T> type, const unitvar_batch_norm_act_backward_args& a) {
  const Memory<T> of(type, a.extent);
  const Activation activation = activation_of(type.operation, a.activation);
  return {.extent = of.extent,
          .x = of.tensor(a.x),
          .dy = of.tensor(a.dy),
          .mask = of.mask(a.mask, activation),
          .residual = maybe(of.tensor(a.residual)),
          .mean = of.statistic(a.mean),
          .rstd = of.statistic(a.rstd),
          .gamma = maybe(of.parameter(a.gamma)),
          .beta = maybe(of.parameter(a.beta)),
          .dx = maybe(of.tensor(a.dx)),
          .dresidual = maybe(of.tensor(a.dresidual)),
          .dgamma = maybe(of.parameter(a.dgamma)),
          .dbeta = maybe(of.parameter(a.dbeta)),
          .activation = activation};
}

template <class T>
BatchNormActDoubleBackward<T> to(Typed<T> type, const unitvar_batch_norm_act_double_backward_args& a) {
  const Memory<T> of(type, a.extent);
  const Activation activation = activation_of(type.operation, a.activation);
  return {.extent = of.extent,
          .x = of.tensor(a.x),
          .dy = of.tensor(a.dy),
          .residual = maybe(of.tensor(a.residual)),
          .mean = of.statistic(a.mean),
          .rstd = of.statistic(a.rstd),
          .gamma = maybe(of.parameter(a.gamma)),
          .beta = maybe(of.parameter(a.beta)),
          .grad_dx = maybe(of.tensor(a.grad_dx)),
          .grad_dresidual = maybe(of.tensor(a.grad_dresidual)),
          .grad_dgamma = maybe(of.parameter(a.grad_dgamma)),
          .grad_dbeta = maybe(of.parameter(a.grad_dbeta)),
          .grad_x = maybe(of.tensor(a.grad_x)),
          .grad_dy = maybe(of.tensor(a.grad_dy)),
          .grad_residual = maybe(of.tensor(a.grad_residual)),
          .grad_gamma = maybe(of.parameter(a.grad_gamma)),
          .grad_beta = maybe(of.parameter(a.grad_beta)),
          .activation = activation};
}

constexpr auto kTo = [](auto type, const auto& given) { return to(type, given); };

}  // namespace
}  // namespace unitvar::c

using unitvar::c::call;
using unitvar::c::kTo;
using unitvar::c::Ranks;

unitvar_status unitvar_batch_norm_act_forward(const unitvar_batch_norm_act_forward_args* args,
                                              const unitvar_options* options) noexcept {
  return call("batch_norm_act_forward", Ranks::together, args, options, kTo,
              [](const auto& a, const auto& with, const auto&) { unitvar::batch_norm_act_forward(a, with); });
}
unitvar_status unitvar_batch_norm_act_inference(const unitvar_batch_norm_act_inference_args* args,
                                                const unitvar_options* options) noexcept {
  return call("batch_norm_act_inference", Ranks::alone, args, options, kTo,
              [](const auto& a, const auto& with, const auto&) { unitvar::batch_norm_act_inference(a, with); });
}
unitvar_status unitvar_batch_norm_act_backward(const unitvar_batch_norm_act_backward_args* args,
                                               const unitvar_options* options) noexcept {
  return call("batch_norm_act_backward", Ranks::together, args, options, kTo,
              [](const auto& a, const auto& with, const auto&) { unitvar::batch_norm_act_backward(a, with); });
}
unitvar_status unitvar_batch_norm_act_double_backward(const unitvar_batch_norm_act_double_backward_args* args,
                                                      const unitvar_options* options) noexcept {
  return call("batch_norm_act_double_backward", Ranks::together, args, options, kTo,
              [](const auto& a, const auto& with, const auto&) { unitvar::batch_norm_act_double_backward(a, with); });
}
unitvar_status unitvar_batch_norm_act_frozen_double_backward(const unitvar_batch_norm_act_double_backward_args* args,
                                                             const unitvar_options* options) noexcept {
  return call(
      "batch_norm_act_frozen_double_backward", Ranks::alone, args, options, kTo,
      [](const auto& a, const auto& with, const auto&) { unitvar::batch_norm_act_frozen_double_backward(a, with); });
}

unitvar_status unitvar_batch_norm_act_mask_bytes(const unitvar_extent* extent, const unitvar_activation* activation,
                                                 int64_t* bytes) noexcept {
  constexpr const char* kName = "batch_norm_act_mask_bytes";
  return unitvar::c::guarded(kName, [&] {
    unitvar::c::need(kName, "the extent", extent);
    unitvar::c::need(kName, "the activation", activation);
    unitvar::c::need(kName, "the result", bytes);
    unitvar::c::need_apart(kName, "the result", bytes, std::span(extent, 1), std::span(activation, 1));
    *bytes = unitvar::batch_norm_act_mask_bytes(unitvar::c::extent_of(*extent),
                                                unitvar::c::activation_of(kName, *activation));
  });
}
