#include "unitvar/phases.hpp"

#include "core/standard_arithmetic.hpp"
#include "cpu/passes/pass_runner.hpp"
#include "cpu/runtime/check_options.hpp"
#include "math/backward.hpp"
#include "ops/argument_checks.hpp"
#include "ops/batch_norm/affine_by_rstd.hpp"

namespace unitvar {

using core::Arguments;
using std::int64_t;

template <class T>
void moments(const Moments<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  Arguments check("moments");
  const ops::Lengths n = ops::checked_lengths<T>(check, args.extent);
  check.input("x", args.x, n.tensor);
  check.output("mean", args.mean, n.statistics);
  check.output("m2", args.m2, n.statistics);
  check.no_overlap();
  cpu::check_options(check, options);

  cpu::PassRunner<T> runner(args.extent, options, 1);
  runner.traversal().reduce(runner.moments(args.x.data(), args.mean.data(), args.m2.data()));
}

double merge_moments(double count_a, std::span<double> mean_a, std::span<double> m2_a, double count_b,
                     std::span<const double> mean_b, std::span<const double> m2_b) {
  const core::StandardArithmetic arithmetic;
  Arguments check("merge_moments");
  const auto C = static_cast<int64_t>(mean_a.size());
  check.output("mean_a", mean_a, {C, "C"});
  check.output("m2_a", m2_a, {C, "C, the length of mean_a"});
  check.input("mean_b", mean_b, {C, "C, the length of mean_a"});
  check.input("m2_b", m2_b, {C, "C, the length of mean_a"});
  check.no_overlap();
  check.not_negative("count_a", count_a);
  check.not_negative("count_b", count_b);

  if (count_b == 0) return count_a;
  if (count_a == 0) {
    std::copy(mean_b.begin(), mean_b.end(), mean_a.begin());
    std::copy(m2_b.begin(), m2_b.end(), m2_a.begin());
    return count_b;
  }
  cpu::for_channels(0, C,
                    math::MergeMoments{.merge = math::MomentMerge(count_a, count_b),
                                       .mean_a = mean_a.data(),
                                       .m2_a = m2_a.data(),
                                       .mean_b = mean_b.data(),
                                       .m2_b = m2_b.data()});
  return count_a + count_b;
}

void finish_moments(double count, std::span<const double> m2, double eps, std::span<double> var,
                    std::span<double> rstd) {
  const core::StandardArithmetic arithmetic;
  Arguments check("finish_moments");
  const auto C = static_cast<int64_t>(m2.size());
  check.input("m2", m2, {C, "C"});
  check.optional_output("var", var, {C, "C, the length of m2"});
  check.output("rstd", rstd, {C, "C, the length of m2"});
  check.no_overlap("var", "m2");
  check.not_negative("count", count);
  check.finite("eps", eps, ErrorCode::bad_epsilon);
  for (int64_t c = 0; c < C; ++c) {
    check.positive_variance(math::biased_variance(m2[static_cast<std::size_t>(c)], count), eps, c);
  }

  for (std::size_t c = 0; c < m2.size(); ++c) {
    const double variance = math::biased_variance(m2[c], count);
    if (!var.empty()) var[c] = variance;
    rstd[c] = math::rstd_of(variance, eps);
  }
}

template <class T>
void normalize(const Normalize<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  Arguments check("normalize");
  ops::check_inference_spans(check, args, ops::checked_lengths<T>(check, args.extent));
  cpu::check_options(check, options);

  cpu::PassRunner<T> runner(args.extent, cpu::in_one_pass(options), 1);
  const ops::AffineByRstd<T> affine(args);
  runner.traversal().apply(runner.normalize(args.x.data(), args.y.data(), affine.coefficients()));
}

template <class T>
void gradient_sums(const GradientSums<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  Arguments check("gradient_sums");
  const ops::Lengths n = ops::checked_lengths<T>(check, args.extent);
  check.input("x", args.x, n.tensor);
  check.input("dy", args.dy, n.tensor);
  check.input("mean", args.mean, n.statistics);
  check.output("sum_dy", args.sum_dy, n.statistics);
  check.output("sum_dy_xmu", args.sum_dy_xmu, n.statistics);
  check.no_overlap();
  cpu::check_options(check, options);

  cpu::PassRunner<T> runner(args.extent, options, 2);
  runner.traversal().reduce(runner.gradient_sums(args.x.data(), args.dy.data(), args.mean.data(), args.sum_dy.data(),
                                                 args.sum_dy_xmu.data()));
}

template <class T>
void input_gradient(const InputGradient<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  Arguments check("input_gradient");
  const ops::Lengths lengths = ops::checked_lengths<T>(check, args.extent);
  ops::check_saved_spans(check, args, lengths);
  check.input("sum_dy", args.sum_dy, lengths.statistics);
  check.input("sum_dy_xmu", args.sum_dy_xmu, lengths.statistics);
  check.output("dx", args.dx, lengths.tensor);
  check.no_overlap("dx", "dy");
  cpu::check_options(check, options);
  check.not_negative("count", args.count);
  if (args.extent.outer == 0) return;
  if (args.count == 0) check.fail(ErrorCode::bad_argument, "count is 0, want > 0 for an extent that is not empty");

  const int64_t C = args.extent.channels;
  cpu::PassRunner<T> runner(args.extent, cpu::in_one_pass(options), 2);
  const cpu::ChannelArrays arrays(4, C);
  const math::GradientFinish<param_t<T>> finish{
      .rstd = args.rstd.data(),
      .gamma = core::data_or_null(args.gamma),
      .count = args.count,
      .sum_dy = args.sum_dy.data(),
      .sum_dy_xmu = args.sum_dy_xmu.data(),
      .to = {arrays[0], arrays[1], math::ScaleArrays::of<param_t<T>>(arrays[2], arrays[3])}};
  cpu::for_channels(0, C, finish);
  runner.traversal().apply(
      runner.input_gradient(args.x.data(), args.dy.data(), args.dx.data(), finish.to.coefficients(args.mean.data())));
}

#define UNITVAR_INSTANTIATE(T)                                            \
  template void moments<T>(const Moments<T>&, const Options&);            \
  template void normalize<T>(const Normalize<T>&, const Options&);        \
  template void gradient_sums<T>(const GradientSums<T>&, const Options&); \
  template void input_gradient<T>(const InputGradient<T>&, const Options&);
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar
