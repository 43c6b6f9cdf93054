#include "unitvar/c/phases.h"

#include "c/memory.hpp"

namespace unitvar::c {
namespace {

template <class T>
Moments<T> to(Typed<T> type, const unitvar_moments_args& a) {
  const Memory<T> of(type, a.extent);
  return {.extent = of.extent, .x = of.tensor(a.x), .mean = of.statistic(a.mean), .m2 = of.statistic(a.m2)};
}

template <class T>
Normalize<T> to(Typed<T> type, const unitvar_normalize_args& a) {
  const Memory<T> of(type, a.extent);
  return {.extent = of.extent,
          .x = of.tensor(a.x),
          .mean = of.statistic(a.mean),
          .rstd = of.statistic(a.rstd),
          .gamma = maybe(of.parameter(a.gamma)),
          .beta = maybe(of.parameter(a.beta)),
          .y = of.tensor(a.y)};
}

template <class T>
GradientSums<T> to(Typed<T> type, const unitvar_gradient_sums_args& a) {
  const Memory<T> of(type, a.extent);
  return {.extent = of.extent,
          .x = of.tensor(a.x),
          .dy = of.tensor(a.dy),
          .mean = of.statistic(a.mean),
          .sum_dy = of.statistic(a.sum_dy),
          .sum_dy_xmu = of.statistic(a.sum_dy_xmu)};
}

template <class T>
InputGradient<T> to(Typed<T> type, const unitvar_input_gradient_args& a) {
  const Memory<T> of(type, a.extent);
  return {.extent = of.extent,
          .x = of.tensor(a.x),
          .dy = of.tensor(a.dy),
          .mean = of.statistic(a.mean),
          .rstd = of.statistic(a.rstd),
          .gamma = maybe(of.parameter(a.gamma)),
          .sum_dy = of.statistic(a.sum_dy),
          .sum_dy_xmu = of.statistic(a.sum_dy_xmu),
          .count = a.count,
          .dx = of.tensor(a.dx)};
}

template <class T>
BatchNormFold<T> to(Typed<T> type, const unitvar_batch_norm_fold_args& a) {
  const Memory<T> of(type, a.extent);
  return {.extent = of.weights,
          .weight = of.tensor(a.weight),
          .bias = maybe(of.parameter(a.bias)),
          .mean = of.statistic(a.mean),
          .var = of.statistic(a.var),
          .gamma = maybe(of.parameter(a.gamma)),
          .beta = maybe(of.parameter(a.beta)),
          .folded_weight = of.tensor(a.folded_weight),
          .folded_bias = of.parameter(a.folded_bias),
          .eps = a.eps};
}

constexpr auto kTo = [](auto type, const auto& given) { return to(type, given); };

}  // namespace
}  // namespace unitvar::c

using unitvar::c::call;
using unitvar::c::kTo;
using unitvar::c::Ranks;

unitvar_status unitvar_moments(const unitvar_moments_args* args, const unitvar_options* options) noexcept {
  return call("moments", Ranks::alone, args, options, kTo,
              [](const auto& a, const auto& with, const auto&) { unitvar::moments(a, with); });
}
unitvar_status unitvar_normalize(const unitvar_normalize_args* args, const unitvar_options* options) noexcept {
  return call("normalize", Ranks::alone, args, options, kTo,
              [](const auto& a, const auto& with, const auto&) { unitvar::normalize(a, with); });
}
unitvar_status unitvar_gradient_sums(const unitvar_gradient_sums_args* args, const unitvar_options* options) noexcept {
  return call("gradient_sums", Ranks::alone, args, options, kTo,
              [](const auto& a, const auto& with, const auto&) { unitvar::gradient_sums(a, with); });
}
unitvar_status unitvar_input_gradient(const unitvar_input_gradient_args* args,
                                      const unitvar_options* options) noexcept {
  return call("input_gradient", Ranks::alone, args, options, kTo,
              [](const auto& a, const auto& with, const auto&) { unitvar::input_gradient(a, with); });
}
unitvar_status unitvar_batch_norm_fold(const unitvar_batch_norm_fold_args* args) noexcept {
  return call("batch_norm_fold", Ranks::alone, args, nullptr, kTo,
              [](const auto& a, const auto&, const auto&) { unitvar::batch_norm_fold(a); });
}
