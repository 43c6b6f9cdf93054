#include "unitvar/derivatives.hpp"

#include <algorithm>

#include "core/arguments.hpp"
#include "core/standard_arithmetic.hpp"
#include "core/vector_loop.hpp"
#include "cpu/passes/pass_runner.hpp"
#include "cpu/runtime/check_options.hpp"
#include "ops/batch_norm/training.hpp"
#include "unitvar/batch_norm.hpp"

namespace unitvar {
namespace {

using core::Arguments;
using core::vector_loop;
using math::beta_at;
using math::ChannelArrays;
using math::store_if_wanted;
using std::int64_t;

/// The mean of a tensor a over each channel, and its part along x_hat, mean(a * x_hat): what P takes away from a.
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
        gamma(args.gamma) {}

  /// values[c] = value(c) for every channel; returns values.
  template <class Value>
  double* fill(double* values, const Value& value) const noexcept {
    vector_loop(0, channels, [=](int64_t c) { values[c] = value(c); });
    return values;
  }
  double* zeros(double* values) const noexcept {
    return fill(values, [](int64_t) { return 0.0; });
  }

  /// sum(b) and sum(b * (a - center)), over all ranks; 0 if b is absent, or the batch empty. With them, count is that
  /// of all ranks. `here`, if given, gets those of this rank.
  void sums(const T* a, std::span<const T> b, const double* center, double* sum, double* sum_of_products,
            const math::ChannelPairs* here = nullptr) {
    zeros(sum), zeros(sum_of_products);
    if (!b.empty()) {
      runner.traversal().reduce(runner.gradient_sums(a, b.data(), center),
                                [&](int64_t begin, int64_t end, const auto& leaf) {
                                  runner.merge_sums_into(begin, end, leaf, sum, sum_of_products);
                                });
    }
    if (here != nullptr) {
      std::copy_n(sum, channels, here->first);
      std::copy_n(sum_of_products, channels, here->second);
    }
    if (ranks == nullptr) return;
    sync::Exchange exchange = ops::exchange_of(runner, *ranks, operation, sync::PairKind::sums);
    const auto nothing = [](int64_t, int64_t) {};
    exchange.in_blocks({sum, sum_of_products}, {sum, sum_of_products}, false, nothing, nothing, nothing);
    count = exchange.count();
  }

  /// The averages of an `a` with these sums, sum(a) and sum(a * (x - mean)), in their place (B51).
  Averages averages_from(double* sum, double* sum_xmu) const noexcept {
    if (count == 0) return {sum, sum_xmu};
    return {fill(sum, [=, n = count](int64_t c) { return sum[c] / n; }),
            fill(sum_xmu, [=, n = count, r = rstd](int64_t c) { return sum_xmu[c] * r[c] / n; })};
  }
  Averages averages(std::span<const T> a, double* mean_a, double* along) {
    sums(x, a, mean, mean_a, along);
    return averages_from(mean_a, along);
  }

  /// out = gamma * rstd * (v - v.mean - x_hat * v.along) + u * x_hat + w, which is (B52) and (B56), and if the averages
  /// of v are given as 0, (B55) and (B57).
  void write_tangent(std::span<const T> v, const Averages& of_v, std::span<const P> u, std::span<const P> w, T* out) {
    const ChannelArrays arrays(3, channels);
    const double* v_slope = gamma_rstd(arrays[0]);
    const double* x_slope =
        fill(arrays[1], [=, r = rstd](int64_t c) { return r[c] * (beta_at(u, c) - v_slope[c] * of_v.along[c]); });
    const double* offset = fill(arrays[2], [=](int64_t c) { return beta_at(w, c); });
    if (v.empty()) {
      runner.traversal().apply(runner.normalize(x, out, {mean, x_slope, offset}));
    } else {
      combine({x, v.data(), nullptr}, {mean, x_slope, of_v.mean, v_slope, nullptr, nullptr, offset}, out);
    }
  }

  void combine(const kernels::CombineTensors<T>& in, const math::CombineArrays& c, T* out) {
    runner.traversal().apply(runner.combine(in, out, c));
  }

  double* gamma_rstd(double* values) const noexcept {
    return fill(values, [g = gamma, r = rstd](int64_t c) { return math::gamma_at(g, c) * r[c]; });
  }

  const char* operation;
  Communicator* ranks;
  cpu::PassRunner<T> runner;
  int64_t channels;
  double count;  ///< values of a channel: here until the first sums, then over all ranks
  const T* x;
  const double* mean;
  const double* rstd;
  std::span<const P> gamma;
};

template <class T>
void check_arguments(const BatchNormStatisticsBackward<T>& a, const Options& options) {
  Arguments check("batch_norm_statistics_backward");
  check_extent(check.operation(), a.extent, sizeof(T));
  const int64_t C = a.extent.channels;
  check.input("x", a.x, a.extent.size(), "N*C*S");
  check.input("dy", a.dy, a.extent.size(), "N*C*S");
  check.input("mean", a.mean, C, "C");
  check.input("rstd", a.rstd, C, "C");
  check.optional_input("gamma", a.gamma, C, "C");
  check.optional_input("dmean", a.dmean, C, "C");
  check.optional_input("dvar", a.dvar, C, "C");
  check.optional_output("dx", a.dx, a.extent.size(), "N*C*S");
  check.optional_output("dgamma", a.dgamma, C, "C");
  check.optional_output("dbeta", a.dbeta, C, "C");
  check.no_overlap("dx", "dy");
  check.more_than_one_value(a.extent.count(), options);
  cpu::check_options(check, options);
}

template <class T>
Arguments checked(const char* operation, const BatchNormDoubleBackward<T>& a, const Options& options) {
  Arguments check(operation);
  check_extent(check.operation(), a.extent, sizeof(T));
  const int64_t C = a.extent.channels;
  check.input("x", a.x, a.extent.size(), "N*C*S");
  check.input("dy", a.dy, a.extent.size(), "N*C*S");
  check.input("mean", a.mean, C, "C");
  check.input("rstd", a.rstd, C, "C");
  check.optional_input("gamma", a.gamma, C, "C");
  check.optional_input("grad_dx", a.grad_dx, a.extent.size(), "N*C*S");
  check.optional_input("grad_dgamma", a.grad_dgamma, C, "C");
  check.optional_input("grad_dbeta", a.grad_dbeta, C, "C");
  check.optional_output("grad_x", a.grad_x, a.extent.size(), "N*C*S");
  check.optional_output("grad_dy", a.grad_dy, a.extent.size(), "N*C*S");
  check.optional_output("grad_gamma", a.grad_gamma, C, "C");
  check.no_overlap();
  cpu::check_options(check, options);
  return check;
}

template <class T>
Arguments checked(const char* operation, const BatchNormJvp<T>& a, const Options& options) {
  Arguments check(operation);
  check_extent(check.operation(), a.extent, sizeof(T));
  const int64_t C = a.extent.channels;
  check.input("x", a.x, a.extent.size(), "N*C*S");
  check.input("mean", a.mean, C, "C");
  check.input("rstd", a.rstd, C, "C");
  check.optional_input("gamma", a.gamma, C, "C");
  check.optional_input("x_dot", a.x_dot, a.extent.size(), "N*C*S");
  check.optional_input("gamma_dot", a.gamma_dot, C, "C");
  check.optional_input("beta_dot", a.beta_dot, C, "C");
  check.optional_output("y_dot", a.y_dot, a.extent.size(), "N*C*S");
  check.optional_output("mean_dot", a.mean_dot, C, "C");
  check.optional_output("var_dot", a.var_dot, C, "C");
  check.no_overlap();
  cpu::check_options(check, options);
  return check;
}

/// grad_x (B54), collected: a (v - mean(v)) + b (dy - mean(dy)) + c (x - mean), where form is N (A - p q).
template <class T>
void write_grad_x(Batch<T>& batch, const BatchNormDoubleBackward<T>& args, const Averages& v, const Averages& dy,
                  const double* form) {
  const ChannelArrays arrays(5, batch.channels);
  const double *rstd = batch.rstd, *p = v.along, *q = dy.along, *scale = batch.gamma_rstd(arrays[0]);
  const double n = batch.count;
  const double* a = batch.fill(arrays[1], [=](int64_t c) { return -(scale[c] * rstd[c] * q[c]); });
  const double* b = batch.fill(
      arrays[2], [=, u = args.grad_dgamma](int64_t c) { return rstd[c] * (beta_at(u, c) - scale[c] * p[c]); });
  const double* c = batch.fill(arrays[3], [=](int64_t k) {
    return -rstd[k] * (scale[k] * rstd[k] * (form[k] / n) + a[k] * p[k] + b[k] * q[k]);
  });
  const double* zeros = batch.zeros(arrays[4]);
  if (args.grad_dx.empty()) {
    batch.combine({batch.x, args.dy.data(), nullptr}, {batch.mean, c, dy.mean, b, nullptr, nullptr, zeros},
                  args.grad_x.data());
  } else {
    batch.combine({batch.x, args.dy.data(), args.grad_dx.data()}, {batch.mean, c, dy.mean, b, v.mean, a, zeros},
                  args.grad_x.data());
  }
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
  const ChannelArrays arrays(8, batch.channels);
  double *sum_dy = arrays[0], *sum_dy_xmu = arrays[1];
  const math::ChannelPairs here{arrays[6], arrays[7]};
  const double* rstd = batch.rstd;
  batch.sums(batch.x, args.dy, batch.mean, sum_dy, sum_dy_xmu, &here);
  const double n = batch.count;
  const bool local = batch.ranks == nullptr || batch.ranks->options().parameter_gradients == ParameterGradients::local;
  const math::ChannelPairs wanted = local ? here : math::ChannelPairs{sum_dy, sum_dy_xmu};
  math::parameter_gradients(0, batch.channels, rstd, wanted.first, wanted.second, args.dgamma, args.dbeta);

  const Averages dy = batch.averages_from(sum_dy, sum_dy_xmu);
  const double* scale = batch.gamma_rstd(arrays[3]);
  const double* x_slope = batch.fill(arrays[4], [=, dvar = args.dvar](int64_t c) {
    return 2 * beta_at(dvar, c) / n - scale[c] * rstd[c] * dy.along[c];
  });
  const double* offset = batch.fill(arrays[5], [=, dmean = args.dmean](int64_t c) { return beta_at(dmean, c) / n; });
  batch.combine({batch.x, args.dy.data(), nullptr}, {batch.mean, x_slope, dy.mean, scale, nullptr, nullptr, offset},
                args.dx.data());  // (B50)
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
  const ChannelArrays arrays(6, batch.channels);
  const Averages v = batch.averages(args.grad_dx, arrays[0], arrays[1]);
  if (!args.grad_x.empty() || !args.grad_gamma.empty()) {
    const Averages dy = batch.averages(args.dy, arrays[2], arrays[3]);
    double *form = arrays[4], *sum_v = arrays[5];
    batch.sums(args.dy.data(), args.grad_dx, dy.mean, sum_v, form);
    batch.fill(form,
               [=, n = batch.count](int64_t c) { return form[c] - n * v.along[c] * dy.along[c]; });  // N (A - p q)
    if (!args.grad_x.empty()) write_grad_x(batch, args, v, dy, form);
    store_if_wanted(batch.fill(form, [=, r = batch.rstd](int64_t c) { return r[c] * form[c]; }), args.grad_gamma);
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
  const ChannelArrays arrays(3, batch.channels);
  const double* none = batch.zeros(arrays[0]);
  if (!args.grad_x.empty()) {
    const double* scale =
        batch.fill(arrays[1], [r = batch.rstd, u = args.grad_dgamma](int64_t c) { return beta_at(u, c) * r[c]; });
    batch.runner.traversal().apply(batch.runner.normalize(args.dy.data(), args.grad_x.data(), {none, scale, none}));
  }
  if (!args.grad_gamma.empty()) {
    double *sum_v = arrays[1], *sum_v_dy = arrays[2];
    batch.sums(args.dy.data(), args.grad_dx, none, sum_v, sum_v_dy);
    store_if_wanted(batch.fill(sum_v_dy, [=, r = batch.rstd](int64_t c) { return r[c] * sum_v_dy[c]; }),
                    args.grad_gamma);
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
  const ChannelArrays arrays(3, batch.channels);
  const Averages x_dot = batch.averages(args.x_dot, arrays[0], arrays[1]);
  if (!args.y_dot.empty()) {
    batch.write_tangent(args.x_dot, x_dot, args.gamma_dot, args.beta_dot, args.y_dot.data());
  }
  store_if_wanted(x_dot.mean, args.mean_dot);
  const double* var_dot = batch.fill(arrays[2], [=, r = batch.rstd](int64_t c) { return 2 * x_dot.along[c] / r[c]; });
  store_if_wanted(var_dot, args.var_dot);
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
  const ChannelArrays arrays(1, batch.channels);
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
