#include "core/standard_arithmetic.hpp"
#include "cpu/runtime/check_options.hpp"
#include "ops/argument_checks.hpp"
#include "ops/batch_norm/batch_derivatives.hpp"

namespace unitvar::ops {

template <class T>
DoubleBackward<T>::DoubleBackward(const char* operation, const BatchNormDoubleBackward<T>& args, const Options& options)
    : args_(args), batch_(operation, args, options, core::ranks_of(options), 10) {}

template <class T>
void DoubleBackward<T>::run() {
  if (batch_.ranks == nullptr && args_.grad_x.empty() && args_.grad_dy.empty() && args_.grad_gamma.empty()) return;
  const cpu::ChannelArrays& arrays = batch_.arrays;
  const Averages v = batch_.averages(args_.grad_dx, arrays[0], arrays[1]);
  // All ranks exchange the same, whatever each asks for: that of a rank without samples is empty.
  if (batch_.ranks != nullptr || !args_.grad_x.empty() || !args_.grad_gamma.empty()) {
    const Averages dy = batch_.averages(args_.dy, arrays[2], arrays[3]);
    double *form = arrays[4], *sum_v = arrays[5];
    batch_.sums(args_.dy.data(), args_.grad_dx, dy.mean, sum_v, form);
    batch_.for_all(math::CovarianceForm{.count = batch_.count, .p = v.along, .q = dy.along, .form = form});
    if (!args_.grad_x.empty()) write_grad_x(v, dy, form);
    batch_.for_all(math::Multiply{.a = batch_.rstd, .b = form, .out = form});
    cpu::store_if_wanted(form, args_.grad_gamma);
  }
  if (args_.grad_dy.empty()) return;
  batch_.write_tangent(args_.grad_dx, v, args_.grad_dgamma, args_.grad_dbeta, args_.grad_dy.data());
}

/// math::SecondGradient. `form` is N (A - p q).
template <class T>
void DoubleBackward<T>::write_grad_x(const Averages& v, const Averages& dy, const double* form) {
  const cpu::ChannelArrays& arrays = batch_.arrays;
  const math::SecondGradient<param_t<T>> of{.count = batch_.count,
                                            .rstd = batch_.rstd,
                                            .gamma = batch_.gamma,
                                            .u = core::data_or_null(args_.grad_dgamma),
                                            .p = v.along,
                                            .q = dy.along,
                                            .form = form,
                                            .v_slope = arrays[6],
                                            .dy_slope = arrays[7],
                                            .x_slope = arrays[8]};
  batch_.for_all(of);
  const bool has_v = !args_.grad_dx.empty();
  batch_.combine({batch_.x, args_.dy.data(), has_v ? args_.grad_dx.data() : nullptr},
                 {.x_center = batch_.mean,
                  .x_slope = of.x_slope,
                  .a_center = dy.mean,
                  .a_slope = of.dy_slope,
                  .b_center = has_v ? v.mean : nullptr,
                  .b_slope = has_v ? of.v_slope : nullptr,
                  .offset = batch_.zeros(arrays[9])},
                 args_.grad_x.data());
}

template <class T>
FrozenDoubleBackward<T>::FrozenDoubleBackward(const char* operation, const BatchNormDoubleBackward<T>& args,
                                              const Options& options)
    : args_(args), batch_(operation, args, options, nullptr, 3) {}

template <class T>
void FrozenDoubleBackward<T>::run() {
  const cpu::ChannelArrays& arrays = batch_.arrays;
  const double* none = batch_.zeros(arrays[0]);
  if (!args_.grad_x.empty()) {
    const math::FrozenSlope<param_t<T>> of{
        .rstd = batch_.rstd, .u = core::data_or_null(args_.grad_dgamma), .slope = arrays[1]};
    batch_.for_all(of);
    batch_.runner.traversal().apply(
        batch_.runner.normalize(args_.dy.data(), args_.grad_x.data(), {none, of.slope, none}));
  }
  if (!args_.grad_gamma.empty()) {
    double *sum_v = arrays[1], *sum_v_dy = arrays[2];
    batch_.sums(args_.dy.data(), args_.grad_dx, none, sum_v, sum_v_dy);
    batch_.for_all(math::Multiply{.a = batch_.rstd, .b = sum_v_dy, .out = sum_v_dy});
    cpu::store_if_wanted(sum_v_dy, args_.grad_gamma);
  }
  if (args_.grad_dy.empty()) return;
  batch_.write_tangent(args_.grad_dx, {none, none}, args_.grad_dgamma, args_.grad_dbeta, args_.grad_dy.data());
}

#define UNITVAR_INSTANTIATE(T)      \
  template class DoubleBackward<T>; \
  template class FrozenDoubleBackward<T>;
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)
#undef UNITVAR_INSTANTIATE

}  // namespace unitvar::ops

namespace unitvar {
namespace {

template <class T>
core::Arguments checked(const char* operation, const BatchNormDoubleBackward<T>& a, const Options& options) {
  core::Arguments check(operation);
  ops::check_double_backward_spans(check, a, ops::checked_lengths<T>(check, a.extent));
  cpu::check_options(check, options);
  return check;
}

}  // namespace

template <class T>
void batch_norm_double_backward(const BatchNormDoubleBackward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  constexpr const char* operation = "batch_norm_double_backward";
  auto backward = sync::prepare_together(options, [&] {
    checked(operation, args, options).more_than_one_value(args.extent.count(), options);
    return ops::DoubleBackward<T>(operation, args, options);
  });
  backward.run();
}

template <class T>
void batch_norm_frozen_double_backward(const BatchNormDoubleBackward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  constexpr const char* operation = "batch_norm_frozen_double_backward";
  checked(operation, args, options);
  ops::FrozenDoubleBackward<T>(operation, args, options).run();
}

#define UNITVAR_INSTANTIATE(T)                                                                    \
  template void batch_norm_double_backward<T>(const BatchNormDoubleBackward<T>&, const Options&); \
  template void batch_norm_frozen_double_backward<T>(const BatchNormDoubleBackward<T>&, const Options&);
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar
