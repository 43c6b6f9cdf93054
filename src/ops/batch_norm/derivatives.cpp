#include "unitvar/derivatives.hpp"

#include <algorithm>

#include "core/standard_arithmetic.hpp"
#include "cpu/passes/pass_runner.hpp"
#include "cpu/runtime/check_options.hpp"
#include "math/derivatives.hpp"
#include "ops/argument_checks.hpp"
#include "ops/batch_norm/training.hpp"
#include "unitvar/batch_norm.hpp"

namespace unitvar {
namespace {

using core::Arguments;
using std::int64_t;

/// The mean of a tensor a over each channel, and its part along x_hat (math::Averages).
struct Averages {
  const double* mean;
  const double* along;
};

/// What all derivatives of one call have in common, and the sums and maps that they are made of. Sums of several pairs
/// of tensors stand between the first pass and the last, so all passes stream.
template <class T>
struct Batch {
  using P = param_t<T>;

  /// `ranks`: those that share the batch; null where nothing is exchanged.
  template <class Args>
  Batch(const char* name, const Args& args, const Options& options, Communicator* communicator)
      : operation(name),
        ranks(communicator),
        runner(args.extent, cpu::in_one_pass(options), 2),
        channels(args.extent.channels),
        count(static_cast<double>(args.extent.count())),
        x(args.x.data()),
        mean(args.mean.data()),
        rstd(args.rstd.data()),
        gamma(core::data_or_null(args.gamma)) {}

  template <class Work>
  void for_all(const Work& work) const noexcept {
    cpu::for_channels(0, channels, work);
  }
  double* zeros(double* values) const noexcept {
    std::fill_n(values, channels, 0.0);
    return values;
  }

  /// sum(b) and sum(b * (a - center)), over all ranks; 0 if b is absent, or the batch empty. With them, count is that
  /// of all ranks. `here`, if given, gets those of this rank.
  void sums(const T* a, std::span<const T> b, const double* center, double* sum, double* sum_of_products,
            const math::ChannelPairs* here = nullptr) {
    zeros(sum), zeros(sum_of_products);
    if (!b.empty()) runner.traversal().reduce(runner.gradient_sums(a, b.data(), center, sum, sum_of_products));
    if (here != nullptr) {
      std::copy_n(sum, channels, here->first);
      std::copy_n(sum_of_products, channels, here->second);
    }
    if (ranks == nullptr) return;
    sync::Exchange exchange = ops::exchange_of(runner, *ranks, operation, sync::PairKind::sums);
    exchange.merge({sum, sum_of_products});
    count = exchange.count();
  }

  /// The averages of an `a` with these sums, in their place; sums of an empty batch are 0, and so are these.
  Averages averages_from(double* sum, double* sum_xmu) const noexcept {
    if (count != 0) for_all(math::Averages{.count = count, .rstd = rstd, .sum = sum, .sum_xmu = sum_xmu});
    return {sum, sum_xmu};
  }
  Averages averages(std::span<const T> a, double* mean_a, double* along) {
    sums(x, a, mean, mean_a, along);
    return averages_from(mean_a, along);
  }

  /// out = gamma * rstd * (v - v.mean - x_hat * v.along) + u * x_hat + w (math::TangentCoefficients).
  void write_tangent(std::span<const T> v, const Averages& of_v, std::span<const P> u, std::span<const P> w, T* out) {
    const cpu::ChannelArrays arrays(3, channels);
    const math::TangentCoefficients<P> of{.rstd = rstd,
                                          .gamma = gamma,
                                          .along_v = of_v.along,
                                          .u = core::data_or_null(u),
                                          .w = core::data_or_null(w),
                                          .v_slope = arrays[0],
                                          .x_slope = arrays[1],
                                          .offset = arrays[2]};
    for_all(of);
    if (v.empty()) {
      runner.traversal().apply(runner.normalize(x, out, {mean, of.x_slope, of.offset}));
    } else {
      combine({x, v.data(), nullptr}, {mean, of.x_slope, of_v.mean, of.v_slope, nullptr, nullptr, of.offset}, out);
    }
  }

  void combine(const kernels::CombineTensors<T>& in, const math::CombineArrays& c, T* out) {
    runner.traversal().apply(runner.combine(in, out, c));
  }

  const char* operation;
  Communicator* ranks;
  cpu::PassRunner<T> runner;
  int64_t channels;
  double count;  ///< values of a channel: here until the first sums, then over all ranks
  const T* x;
  const double* mean;
  const double* rstd;
  const P* gamma;  ///< null: absent
};

template <class T>
void check_arguments(const BatchNormStatisticsBackward<T>& a, const Options& options) {
  Arguments check("batch_norm_statistics_backward");
  ops::check_backward_spans(check, a, ops::checked_lengths<T>(check, a.extent));
  check.more_than_one_value(a.extent.count(), options);
  cpu::check_options(check, options);
}

template <class T>
Arguments checked(const char* operation, const BatchNormDoubleBackward<T>& a, const Options& options) {
  Arguments check(operation);
  ops::check_double_backward_spans(check, a, ops::checked_lengths<T>(check, a.extent));
  cpu::check_options(check, options);
  return check;
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

/// math::SecondGradient. `form` is N (A - p q).
template <class T>
void write_grad_x(Batch<T>& batch, const BatchNormDoubleBackward<T>& args, const Averages& v, const Averages& dy,
                  const double* form) {
  const cpu::ChannelArrays arrays(4, batch.channels);
  const math::SecondGradient<param_t<T>> of{.count = batch.count,
                                            .rstd = batch.rstd,
                                            .gamma = batch.gamma,
                                            .u = core::data_or_null(args.grad_dgamma),
                                            .p = v.along,
                                            .q = dy.along,
                                            .form = form,
                                            .v_slope = arrays[0],
                                            .dy_slope = arrays[1],
                                            .x_slope = arrays[2]};
  batch.for_all(of);
  const bool has_v = !args.grad_dx.empty();
  batch.combine({batch.x, args.dy.data(), has_v ? args.grad_dx.data() : nullptr},
                {.x_center = batch.mean,
                 .x_slope = of.x_slope,
                 .a_center = dy.mean,
                 .a_slope = of.dy_slope,
                 .b_center = has_v ? v.mean : nullptr,
                 .b_slope = has_v ? of.v_slope : nullptr,
                 .offset = batch.zeros(arrays[3])},
                args.grad_x.data());
}

}  // namespace

template <class T>
void batch_norm_statistics_backward(const BatchNormStatisticsBackward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  constexpr const char* operation = "batch_norm_statistics_backward";
  sync::check_together(options, [&] { check_arguments(args, options); });
  const bool wants_dx = !args.dx.empty() || args.extent.outer == 0;  // as ranks with a batch do
  if (!wants_dx || (args.dmean.empty() && args.dvar.empty())) {      // the statistics reach nothing but dx
    batch_norm_backward<T>(
        {args.extent, args.x, args.dy, args.mean, args.rstd, args.gamma, args.dx, args.dgamma, args.dbeta}, options);
    return;
  }
  Batch<T> batch(operation, args, options, core::ranks_of(options));
  const cpu::ChannelArrays arrays(7, batch.channels);
  double *sum_dy = arrays[0], *sum_dy_xmu = arrays[1];
  const math::ChannelPairs here{arrays[2], arrays[3]}, all{sum_dy, sum_dy_xmu};
  batch.sums(batch.x, args.dy, batch.mean, sum_dy, sum_dy_xmu, &here);
  const math::ChannelPairs wanted = ops::wants_local_gradients(batch.ranks) ? here : all;
  auto parameters = ops::parameter_gradients<T>(args);
  parameters.sum_dy = wanted.first;
  parameters.sum_dy_xmu = wanted.second;
  batch.for_all(parameters);

  const Averages dy = batch.averages_from(sum_dy, sum_dy_xmu);
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
void batch_norm_double_backward(const BatchNormDoubleBackward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  constexpr const char* operation = "batch_norm_double_backward";
  sync::check_together(options,
                       [&] { checked(operation, args, options).more_than_one_value(args.extent.count(), options); });
  if (core::ranks_of(options) == nullptr && args.grad_x.empty() && args.grad_dy.empty() && args.grad_gamma.empty())
    return;
  Batch<T> batch(operation, args, options, core::ranks_of(options));
  const cpu::ChannelArrays arrays(6, batch.channels);
  const Averages v = batch.averages(args.grad_dx, arrays[0], arrays[1]);
  if (!args.grad_x.empty() || !args.grad_gamma.empty()) {
    const Averages dy = batch.averages(args.dy, arrays[2], arrays[3]);
    double *form = arrays[4], *sum_v = arrays[5];
    batch.sums(args.dy.data(), args.grad_dx, dy.mean, sum_v, form);
    batch.for_all(math::CovarianceForm{.count = batch.count, .p = v.along, .q = dy.along, .form = form});
    if (!args.grad_x.empty()) write_grad_x(batch, args, v, dy, form);
    batch.for_all(math::Multiply{.a = batch.rstd, .b = form, .out = form});
    cpu::store_if_wanted(form, args.grad_gamma);
  }
  if (args.grad_dy.empty()) return;
  batch.write_tangent(args.grad_dx, v, args.grad_dgamma, args.grad_dbeta, args.grad_dy.data());
}

template <class T>
void batch_norm_frozen_double_backward(const BatchNormDoubleBackward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  constexpr const char* operation = "batch_norm_frozen_double_backward";
  checked(operation, args, options);
  Batch<T> batch(operation, args, options, nullptr);
  const cpu::ChannelArrays arrays(3, batch.channels);
  const double* none = batch.zeros(arrays[0]);
  if (!args.grad_x.empty()) {
    const math::FrozenSlope<param_t<T>> of{
        .rstd = batch.rstd, .u = core::data_or_null(args.grad_dgamma), .slope = arrays[1]};
    batch.for_all(of);
    batch.runner.traversal().apply(batch.runner.normalize(args.dy.data(), args.grad_x.data(), {none, of.slope, none}));
  }
  if (!args.grad_gamma.empty()) {
    double *sum_v = arrays[1], *sum_v_dy = arrays[2];
    batch.sums(args.dy.data(), args.grad_dx, none, sum_v, sum_v_dy);
    batch.for_all(math::Multiply{.a = batch.rstd, .b = sum_v_dy, .out = sum_v_dy});
    cpu::store_if_wanted(sum_v_dy, args.grad_gamma);
  }
  if (args.grad_dy.empty()) return;
  batch.write_tangent(args.grad_dx, {none, none}, args.grad_dgamma, args.grad_dbeta, args.grad_dy.data());
}

template <class T>
void batch_norm_jvp(const BatchNormJvp<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  constexpr const char* operation = "batch_norm_jvp";
  sync::check_together(options,
                       [&] { checked(operation, args, options).more_than_one_value(args.extent.count(), options); });
  if (core::ranks_of(options) == nullptr && args.y_dot.empty() && args.mean_dot.empty() && args.var_dot.empty()) return;
  Batch<T> batch(operation, args, options, core::ranks_of(options));
  const cpu::ChannelArrays arrays(3, batch.channels);
  const Averages x_dot = batch.averages(args.x_dot, arrays[0], arrays[1]);
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
  std::fill(args.mean_dot.begin(), args.mean_dot.end(), 0.0);
  std::fill(args.var_dot.begin(), args.var_dot.end(), 0.0);
  if (args.y_dot.empty()) return;
  Batch<T> batch(operation, args, options, nullptr);
  const cpu::ChannelArrays arrays(1, batch.channels);
  const double* none = batch.zeros(arrays[0]);
  batch.write_tangent(args.x_dot, {none, none}, args.gamma_dot, args.beta_dot, args.y_dot.data());
}

#define UNITVAR_INSTANTIATE(T)                                                                            \
  template void batch_norm_statistics_backward<T>(const BatchNormStatisticsBackward<T>&, const Options&); \
  template void batch_norm_double_backward<T>(const BatchNormDoubleBackward<T>&, const Options&);         \
  template void batch_norm_frozen_double_backward<T>(const BatchNormDoubleBackward<T>&, const Options&);  \
  template void batch_norm_jvp<T>(const BatchNormJvp<T>&, const Options&);                                \
  template void batch_norm_frozen_jvp<T>(const BatchNormJvp<T>&, const Options&);
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar
