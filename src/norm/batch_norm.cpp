#include "unitvar/batch_norm.hpp"

#include <algorithm>

#include "core/arguments.hpp"
#include "core/vector_loop.hpp"
#include "norm/engine.hpp"

namespace unitvar {
namespace {

using core::Arguments;
using core::vector_loop;
using std::int64_t;

template <class T>
void check_arguments(const BatchNormForward<T>& a, const Options& options) {
  Arguments check("batch_norm_forward");
  check_extent(check.operation(), a.extent, sizeof(T));
  const int64_t C = a.extent.channels;
  check.input("x", a.x, a.extent.size(), "N*C*S");
  check.optional_input("gamma", a.gamma, C, "C");
  check.optional_input("beta", a.beta, C, "C");
  check.output("y", a.y, a.extent.size(), "N*C*S");
  check.optional_output("mean", a.mean, C, "C");
  check.optional_output("var", a.var, C, "C");
  check.optional_output("rstd", a.rstd, C, "C");
  check.no_overlap();
  check.finite("eps", a.eps, ErrorCode::bad_epsilon);
  check.more_than_one_value(a.extent.count());
  check.options(options);
}

template <class T>
void check_arguments(const BatchNormInference<T>& a, const Options& options) {
  Arguments check("batch_norm_inference");
  check_extent(check.operation(), a.extent, sizeof(T));
  const int64_t C = a.extent.channels;
  check.input("x", a.x, a.extent.size(), "N*C*S");
  check.input("mean", a.mean, C, "C");
  check.input("var", a.var, C, "C");
  check.optional_input("gamma", a.gamma, C, "C");
  check.optional_input("beta", a.beta, C, "C");
  check.output("y", a.y, a.extent.size(), "N*C*S");
  check.no_overlap("y", "x");
  check.finite("eps", a.eps, ErrorCode::bad_epsilon);
  for (int64_t c = 0; c < C; ++c) check.positive_variance(a.var[static_cast<std::size_t>(c)], a.eps, c);
  check.options(options);
}

template <class T>
void check_arguments(const BatchNormBackward<T>& a, const Options& options) {
  Arguments check("batch_norm_backward");
  check_extent(check.operation(), a.extent, sizeof(T));
  const int64_t C = a.extent.channels;
  check.input("x", a.x, a.extent.size(), "N*C*S");
  check.input("dy", a.dy, a.extent.size(), "N*C*S");
  check.input("mean", a.mean, C, "C");
  check.input("rstd", a.rstd, C, "C");
  check.optional_input("gamma", a.gamma, C, "C");
  check.optional_output("dx", a.dx, a.extent.size(), "N*C*S");
  check.optional_output("dgamma", a.dgamma, C, "C");
  check.optional_output("dbeta", a.dbeta, C, "C");
  check.no_overlap("dx", "dy");
  check.more_than_one_value(a.extent.count());
  check.options(options);
}

void copy_if_wanted(const double* from, std::span<double> to) { std::copy_n(from, to.size(), to.data()); }

}  // namespace

template <class T>
void batch_norm_forward(const BatchNormForward<T>& args, const Options& options) {
  check_arguments(args, options);
  const int64_t C = args.extent.channels;
  const bool variance_may_fail = args.eps <= 0;
  Options run = options;
  if (variance_may_fail) run.walk = Walk::streamed;  // all variances are known before the first write

  norm::Engine<T> engine(args.extent, run, 1);
  const norm::ChannelArrays arrays(5, C);
  double *mean = arrays[0], *var = arrays[1], *rstd = arrays[2], *scale = arrays[3], *beta = arrays[4];
  const auto count = static_cast<double>(args.extent.count());

  const auto merge = [&](int64_t begin, int64_t end, const auto& leaf) {
    engine.merge_moments_into(begin, end, leaf, mean, var);
    vector_loop(begin, end, [=](int64_t c) { var[c] = norm::biased_variance(var[c], count); });
    vector_loop(begin, end, [=, eps = args.eps](int64_t c) { rstd[c] = norm::rstd_of(var[c], eps); });
    const auto rstd_at = [=](int64_t c) { return rstd[c]; };
    norm::normalize_coefficients(begin, end, rstd_at, args.gamma, args.beta, scale, beta);
  };
  const auto check = [&] {
    if (!variance_may_fail) return;
    const Arguments arguments("batch_norm_forward");
    for (int64_t c = 0; c < C; ++c) arguments.positive_variance(var[c], args.eps, c);
  };
  const T* x = args.x.data();
  T* y = args.y.data();
  const norm::NormalizeArrays c{mean, scale, beta};
  engine.walker().reduce_and_apply(engine.moments(x), merge, check, engine.normalize(x, y, c),
                                   engine.normalize_and_moments(x, y, c));
  copy_if_wanted(mean, args.mean);
  copy_if_wanted(var, args.var);
  copy_if_wanted(rstd, args.rstd);
}

template <class T>
void batch_norm_inference(const BatchNormInference<T>& args, const Options& options) {
  check_arguments(args, options);
  const int64_t C = args.extent.channels;
  norm::Engine<T> engine(args.extent, norm::in_one_pass(options), 1);
  const norm::ChannelArrays arrays(2, C);
  const auto rstd_at = [var = args.var.data(), eps = args.eps](int64_t c) { return norm::rstd_of(var[c], eps); };
  norm::normalize_coefficients(0, C, rstd_at, args.gamma, args.beta, arrays[0], arrays[1]);
  engine.walker().apply(engine.normalize(args.x.data(), args.y.data(), {args.mean.data(), arrays[0], arrays[1]}));
}

template <class T>
void batch_norm_backward(const BatchNormBackward<T>& args, const Options& options) {
  check_arguments(args, options);
  if (args.dx.empty() && args.dgamma.empty() && args.dbeta.empty()) return;
  const int64_t C = args.extent.channels;
  const bool needs_x = !args.dx.empty() || !args.dgamma.empty();
  const T* x = needs_x ? args.x.data() : args.dy.data();  // sum(dy) alone: what stands in for x is in the cache anyway

  norm::Engine<T> engine(args.extent, options, needs_x ? 2 : 1);
  const norm::ChannelArrays arrays(5, C);
  double *sum_dy = arrays[0], *sum_dy_xmu = arrays[1];
  const norm::GradientFinish finish{static_cast<double>(args.extent.count()), arrays[2], arrays[3], arrays[4]};

  const auto reduce = engine.gradient_sums(x, args.dy.data(), args.mean.data());
  const auto merge = [&](int64_t begin, int64_t end, const auto& leaf) {
    engine.merge_sums_into(begin, end, leaf, sum_dy, sum_dy_xmu);
    const double* rstd = args.rstd.data();
    finish(begin, end, rstd, args.gamma, sum_dy, sum_dy_xmu);
    norm::parameter_gradients(begin, end, rstd, sum_dy, sum_dy_xmu, args.dgamma, args.dbeta);
  };
  if (args.dx.empty()) {
    engine.walker().reduce(reduce, merge);
    return;
  }
  const T* dy = args.dy.data();
  T* dx = args.dx.data();
  const norm::GradientArrays c{args.mean.data(), arrays[2], arrays[3], arrays[4]};
  engine.walker().reduce_and_apply(
      reduce, merge, [] {}, engine.input_gradient(x, dy, dx, c), engine.input_gradient_and_sums(x, dy, dx, c));
}

#define UNITVAR_INSTANTIATE(T)                                                         \
  template void batch_norm_forward<T>(const BatchNormForward<T>&, const Options&);     \
  template void batch_norm_inference<T>(const BatchNormInference<T>&, const Options&); \
  template void batch_norm_backward<T>(const BatchNormBackward<T>&, const Options&);
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar
