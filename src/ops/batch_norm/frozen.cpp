#include "unitvar/frozen.hpp"

#include "core/standard_arithmetic.hpp"
#include "cpu/passes/pass_runner.hpp"
#include "cpu/runtime/check_options.hpp"
#include "math/backward.hpp"
#include "math/forward.hpp"
#include "ops/argument_checks.hpp"

namespace unitvar {
namespace {

using core::Arguments;
using std::int64_t;

template <class T>
void check_arguments(const BatchNormFrozenBackward<T>& a, const Options& options) {
  Arguments check("batch_norm_frozen_backward");
  ops::check_backward_spans(check, a, ops::checked_lengths<T>(check, a.extent));
  check.finite("eps", a.eps, ErrorCode::bad_epsilon);
  ops::check_variances(check, a.var, a.eps);
  cpu::check_options(check, options);
}

/// Two passes that nothing joins but dy, which both read (see cpu/passes/passes.hpp). dx is what normalization makes of
/// dy with mean 0 and beta 0.
template <class T>
struct FrozenPasses {
  const cpu::PassRunner<T>& runner;
  const T *x, *dy;
  T* dx;
  const double* mean;
  double *sum_dy, *sum_dy_xmu;
  math::NormalizeArrays coefficients;
  math::ParameterGradients<param_t<T>> parameters;

  void reduce(const cpu::WorkItem& item, math::ChannelPairs out) const noexcept {
    runner.phases().gradient_sums(x, dy, item, mean, out);
  }
  void merge(int64_t begin, int64_t end, const cpu::TileLeaves& leaves) const noexcept {
    runner.merge_sums(begin, end, leaves, sum_dy, sum_dy_xmu);
  }
  void finish(int64_t begin, int64_t end) const noexcept { cpu::for_channels(begin, end, parameters); }
  void check() const noexcept {}
  void apply(const cpu::WorkItem& item) const noexcept { runner.phases().normalize(dy, dx, item, coefficients); }
  void apply_and_reduce(const cpu::WorkItem& item, const cpu::WorkItem& next, math::ChannelPairs out) const noexcept {
    apply(item);
    reduce(next, out);
  }
};

}  // namespace

template <class T>
void batch_norm_frozen_backward(const BatchNormFrozenBackward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  check_arguments(args, options);
  if (args.dx.empty() && args.dgamma.empty() && args.dbeta.empty()) return;
  const int64_t C = args.extent.channels;
  const bool needs_x = !args.dgamma.empty(), needs_sums = needs_x || !args.dbeta.empty();
  const T* dy = args.dy.data();
  const T* x = needs_x ? args.x.data() : dy;  // sum(dy) alone: what stands in for x is in the cache anyway

  cpu::PassRunner<T> runner(args.extent, needs_sums ? options : cpu::in_one_pass(options), needs_x ? 2 : 1);
  const cpu::ChannelArrays arrays(6, C);
  double *rstd = arrays[0], *zero = arrays[1], *sum_dy = arrays[2], *sum_dy_xmu = arrays[3];
  const auto scale = math::ScaleArrays::of<param_t<T>>(arrays[4], arrays[5]);
  cpu::for_channels(0, C,
                    math::AffineByVariance<param_t<T>>{.var = args.var.data(),
                                                       .gamma = core::data_or_null(args.gamma),
                                                       .beta = nullptr,
                                                       .eps = args.eps,
                                                       .rstd = rstd,
                                                       .to_scale = scale,
                                                       .to_beta = zero});
  const FrozenPasses<T> passes{.runner = runner,
                               .x = x,
                               .dy = dy,
                               .dx = args.dx.data(),
                               .mean = args.mean.data(),
                               .sum_dy = sum_dy,
                               .sum_dy_xmu = sum_dy_xmu,
                               .coefficients = {zero, scale.scale, zero, scale.factor},
                               .parameters = {.rstd = rstd,
                                              .dgamma = core::data_or_null(args.dgamma),
                                              .dbeta = core::data_or_null(args.dbeta),
                                              .sum_dy = sum_dy,
                                              .sum_dy_xmu = sum_dy_xmu}};
  if (!needs_sums) {
    runner.traversal().apply(passes);
  } else if (args.dx.empty()) {
    runner.traversal().reduce_and_finish(passes);
  } else {
    runner.traversal().reduce_and_apply(passes);
  }
}

#define UNITVAR_INSTANTIATE(T) \
  template void batch_norm_frozen_backward<T>(const BatchNormFrozenBackward<T>&, const Options&);
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar
