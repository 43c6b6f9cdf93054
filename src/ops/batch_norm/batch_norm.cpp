#include "unitvar/batch_norm.hpp"

#include "core/arguments.hpp"
#include "core/standard_arithmetic.hpp"
#include "cpu/runtime/check_options.hpp"
#include "ops/batch_norm/training.hpp"

namespace unitvar {
namespace {

using core::Arguments;
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
  check.more_than_one_value(a.extent.count(), options);
  cpu::check_options(check, options);
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
  cpu::check_options(check, options);
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
  check.more_than_one_value(a.extent.count(), options);
  cpu::check_options(check, options);
}

}  // namespace

template <class T>
double batch_norm_forward(const BatchNormForward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  sync::check_together(options, [&] { check_arguments(args, options); });
  return ops::training_forward("batch_norm_forward", args, options, ops::affine(args));
}

template <class T>
void batch_norm_inference(const BatchNormInference<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  check_arguments(args, options);
  const int64_t C = args.extent.channels;
  cpu::PassRunner<T> runner(args.extent, cpu::in_one_pass(options), 1);
  const math::ChannelArrays arrays(3, C);
  const auto scale = math::ScaleArrays::of<T>(arrays[0], arrays[1]);
  const auto rstd_at = [var = args.var.data(), eps = args.eps](int64_t c) { return math::rstd_of(var[c], eps); };
  math::normalize_coefficients(0, C, rstd_at, args.gamma, args.beta, scale, arrays[2]);
  runner.traversal().apply(
      runner.normalize(args.x.data(), args.y.data(), {args.mean.data(), scale.scale, arrays[2], scale.factor}));
}

template <class T>
void batch_norm_backward(const BatchNormBackward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  sync::check_together(options, [&] { check_arguments(args, options); });
  ops::training_backward("batch_norm_backward", args, options, ops::gradients_of_parameters(args));
}

#define UNITVAR_INSTANTIATE(T)                                                         \
  template double batch_norm_forward<T>(const BatchNormForward<T>&, const Options&);   \
  template void batch_norm_inference<T>(const BatchNormInference<T>&, const Options&); \
  template void batch_norm_backward<T>(const BatchNormBackward<T>&, const Options&);
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar
