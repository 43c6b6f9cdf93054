#include "unitvar/derivatives.hpp"

#include <algorithm>

#include "core/standard_arithmetic.hpp"
#include "cpu/passes/pass_runner.hpp"
#include "cpu/runtime/check_options.hpp"
#include "math/derivatives.hpp"
#include "ops/argument_checks.hpp"
#include "ops/batch_norm/batch_derivatives.hpp"
#include "unitvar/batch_norm.hpp"

namespace unitvar {
namespace {

using core::Arguments;
using std::int64_t;

template <class T>
void check_arguments(const BatchNormStatisticsBackward<T>& a, const Options& options) {
  Arguments check("batch_norm_statistics_backward");
  ops::check_backward_spans(check, a, ops::checked_lengths<T>(check, a.extent));
  check.more_than_one_value(a.extent.count(), options);
  cpu::check_options(check, options);
}

template <class T>
Arguments checked(const char* operation, const BatchNormJvp<T>& a, const Options& options) {
  Arguments check(operation);
  const ops::Lengths n = ops::checked_lengths<T>(check, a.extent);
  ops::check_saved_spans(check, a, n);
  check.optional_input("x_dot", a.x_dot, n.tensor);
  check.optional_input("gamma_dot", a.gamma_dot, n.parameters);
  check.optional_input("beta_dot", a.beta_dot, n.parameters);
  check.optional_output("y_dot", a.y_dot, n.tensor);
  check.optional_output("mean_dot", a.mean_dot, n.statistics);
  check.optional_output("var_dot", a.var_dot, n.statistics);
  check.no_overlap();
  cpu::check_options(check, options);
  return check;
}

}  // namespace

template <class T>
void batch_norm_statistics_backward(const BatchNormStatisticsBackward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  constexpr const char* operation = "batch_norm_statistics_backward";
  sync::prepare_together(options, [&] { check_arguments(args, options); });
  const bool wants_dx = !args.dx.empty() || args.extent.outer == 0;  // as ranks with a batch do
  if (!wants_dx || (args.dmean.empty() && args.dvar.empty())) {      // the statistics reach nothing but dx
    batch_norm_backward<T>(
        {args.extent, args.x, args.dy, args.mean, args.rstd, args.gamma, args.dx, args.dgamma, args.dbeta}, options);
    return;
  }
  auto batch = sync::prepare_together(
      options, [&] { return ops::Batch<T>(operation, args, options, core::ranks_of(options), 7); });
  const cpu::ChannelArrays& arrays = batch.arrays;
  double *sum_dy = arrays[0], *sum_dy_xmu = arrays[1];
  const math::ChannelPairs here{arrays[2], arrays[3]}, all{sum_dy, sum_dy_xmu};
  batch.sums(batch.x, args.dy, batch.mean, sum_dy, sum_dy_xmu, &here);
  const math::ChannelPairs wanted = ops::wanted_gradients(batch.ranks) == ParameterGradients::local ? here : all;
  auto parameters = ops::parameter_gradients<T>(args);
  parameters.sum_dy = wanted.first;
  parameters.sum_dy_xmu = wanted.second;
  batch.for_all(parameters);

  const ops::Averages dy = batch.averages_from(sum_dy, sum_dy_xmu);
  const math::StatisticsGradient<param_t<T>> of{.count = batch.count,
                                                .rstd = batch.rstd,
                                                .gamma = batch.gamma,
                                                .along_dy = dy.along,
                                                .dmean = core::data_or_null(args.dmean),
                                                .dvar = core::data_or_null(args.dvar),
                                                .dy_slope = arrays[4],
                                                .x_slope = arrays[5],
                                                .offset = arrays[6]};
  batch.for_all(of);
  batch.combine({batch.x, args.dy.data(), nullptr},
                {batch.mean, of.x_slope, dy.mean, of.dy_slope, nullptr, nullptr, of.offset}, args.dx.data());
}

template <class T>
void batch_norm_jvp(const BatchNormJvp<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  constexpr const char* operation = "batch_norm_jvp";
  sync::prepare_together(options,
                         [&] { checked(operation, args, options).more_than_one_value(args.extent.count(), options); });
  if (core::ranks_of(options) == nullptr && args.y_dot.empty() && args.mean_dot.empty() && args.var_dot.empty()) return;
  auto batch = sync::prepare_together(
      options, [&] { return ops::Batch<T>(operation, args, options, core::ranks_of(options), 3); });
  const cpu::ChannelArrays& arrays = batch.arrays;
  const ops::Averages x_dot = batch.averages(args.x_dot, arrays[0], arrays[1]);
  if (!args.y_dot.empty()) {
    batch.write_tangent(args.x_dot, x_dot, args.gamma_dot, args.beta_dot, args.y_dot.data());
  }
  cpu::store_if_wanted(x_dot.mean, args.mean_dot);
  batch.for_all(math::VarianceTangent{.along = x_dot.along, .rstd = batch.rstd, .out = arrays[2]});
  cpu::store_if_wanted(arrays[2], args.var_dot);
}

template <class T>
void batch_norm_frozen_jvp(const BatchNormJvp<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  constexpr const char* operation = "batch_norm_frozen_jvp";
  checked(operation, args, options);
  if (!args.y_dot.empty()) {
    ops::Batch<T> batch(operation, args, options, nullptr, 1);
    const double* none = batch.zeros(batch.arrays[0]);
    batch.write_tangent(args.x_dot, {none, none}, args.gamma_dot, args.beta_dot, args.y_dot.data());
  }
  std::fill(args.mean_dot.begin(), args.mean_dot.end(), 0.0);
  std::fill(args.var_dot.begin(), args.var_dot.end(), 0.0);
}

#define UNITVAR_INSTANTIATE(T)                                                                            \
  template void batch_norm_statistics_backward<T>(const BatchNormStatisticsBackward<T>&, const Options&); \
  template void batch_norm_jvp<T>(const BatchNormJvp<T>&, const Options&);                                \
  template void batch_norm_frozen_jvp<T>(const BatchNormJvp<T>&, const Options&);
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar
