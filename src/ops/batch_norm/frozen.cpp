#include "unitvar/frozen.hpp"

#include "core/arguments.hpp"
#include "core/standard_arithmetic.hpp"
#include "cpu/passes/pass_runner.hpp"
#include "cpu/runtime/check_options.hpp"

namespace unitvar {
namespace {

using core::Arguments;
using std::int64_t;

template <class T>
void check_arguments(const BatchNormFrozenBackward<T>& a, const Options& options) {
  Arguments check("batch_norm_frozen_backward");
  check_extent(check.operation(), a.extent, sizeof(T));
  const int64_t C = a.extent.channels;
  if (!a.x.empty() || !a.dgamma.empty()) check.input("x", a.x, a.extent.size(), "N*C*S");
  check.input("dy", a.dy, a.extent.size(), "N*C*S");
  check.input("mean", a.mean, C, "C");
  check.input("var", a.var, C, "C");
  check.optional_input("gamma", a.gamma, C, "C");
  check.optional_output("dx", a.dx, a.extent.size(), "N*C*S");
  check.optional_output("dgamma", a.dgamma, C, "C");
  check.optional_output("dbeta", a.dbeta, C, "C");
  check.no_overlap("dx", "dy");
  check.finite("eps", a.eps, ErrorCode::bad_epsilon);
  for (int64_t c = 0; c < C; ++c) check.positive_variance(a.var[static_cast<std::size_t>(c)], a.eps, c);
  cpu::check_options(check, options);
}

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
  const math::ChannelArrays arrays(6, C);
  double *rstd = arrays[0], *zero = arrays[1], *sum_dy = arrays[2], *sum_dy_xmu = arrays[3];
  const auto scale = math::ScaleArrays::of<T>(arrays[4], arrays[5]);
  core::vector_loop(0, C,
                    [=, var = args.var.data(), eps = args.eps](int64_t c) { rstd[c] = math::rstd_of(var[c], eps); });
  const auto rstd_at = [=](int64_t c) { return rstd[c]; };
  math::normalize_coefficients<param_t<T>>(0, C, rstd_at, args.gamma, {}, scale, zero);

  // dx is what normalization makes of dy with mean 0 and beta 0.
  const auto apply = runner.normalize(dy, args.dx.data(), {zero, scale.scale, zero, scale.factor});
  const auto reduce = runner.gradient_sums(x, dy, args.mean.data());
  const auto merge = [&](int64_t begin, int64_t end, const auto& leaf) {
    runner.merge_sums_into(begin, end, leaf, sum_dy, sum_dy_xmu);
    math::parameter_gradients(begin, end, rstd, sum_dy, sum_dy_xmu, args.dgamma, args.dbeta);
  };
  if (!needs_sums) {
    runner.traversal().apply(apply);
  } else if (args.dx.empty()) {
    runner.traversal().reduce(reduce, merge);
  } else {
    const auto both = [&](const cpu::WorkItem& item, const cpu::WorkItem& next, math::ChannelPairs out) {
      apply(item);
      reduce(next, out);
    };
    runner.traversal().reduce_and_apply(
        reduce, merge, [] {}, apply, both);
  }
}

#define UNITVAR_INSTANTIATE(T) \
  template void batch_norm_frozen_backward<T>(const BatchNormFrozenBackward<T>&, const Options&);
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar
