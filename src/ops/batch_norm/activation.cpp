#include "unitvar/activation.hpp"

#include "core/arguments.hpp"
#include "core/standard_arithmetic.hpp"
#include "cpu/runtime/check_options.hpp"
#include "ops/batch_norm/training.hpp"

namespace unitvar {
namespace {

using core::Arguments;
using std::int64_t;

template <class T>
void check_arguments(const BatchNormActForward<T>& a, const Options& options) {
  Arguments check("batch_norm_act_forward");
  check_extent(check.operation(), a.extent, sizeof(T));
  const int64_t C = a.extent.channels;
  check.input("x", a.x, a.extent.size(), "N*C*S");
  check.optional_input("residual", a.residual, a.extent.size(), "N*C*S");
  check.optional_input("gamma", a.gamma, C, "C");
  check.optional_input("beta", a.beta, C, "C");
  check.output("y", a.y, a.extent.size(), "N*C*S");
  check.optional_output("mask", a.mask, batch_norm_act_mask_bytes(a.extent), "batch_norm_act_mask_bytes(extent)");
  check.optional_output("mean", a.mean, C, "C");
  check.optional_output("var", a.var, C, "C");
  check.optional_output("rstd", a.rstd, C, "C");
  check.no_overlap("y", "residual");
  check.finite("eps", a.eps, ErrorCode::bad_epsilon);
  check.finite("negative_slope", a.negative_slope);
  check.more_than_one_value(a.extent.count(), options);
  cpu::check_options(check, options);
}

template <class T>
void check_arguments(const BatchNormActInference<T>& a, const Options& options) {
  Arguments check("batch_norm_act_inference");
  check_extent(check.operation(), a.extent, sizeof(T));
  const int64_t C = a.extent.channels;
  check.input("x", a.x, a.extent.size(), "N*C*S");
  check.optional_input("residual", a.residual, a.extent.size(), "N*C*S");
  check.input("mean", a.mean, C, "C");
  check.input("var", a.var, C, "C");
  check.optional_input("gamma", a.gamma, C, "C");
  check.optional_input("beta", a.beta, C, "C");
  check.output("y", a.y, a.extent.size(), "N*C*S");
  check.no_overlap("y", "x");
  check.finite("eps", a.eps, ErrorCode::bad_epsilon);
  check.finite("negative_slope", a.negative_slope);
  for (int64_t c = 0; c < C; ++c) check.positive_variance(a.var[static_cast<std::size_t>(c)], a.eps, c);
  cpu::check_options(check, options);
}

template <class T>
void check_arguments(const BatchNormActBackward<T>& a, const Options& options) {
  Arguments check("batch_norm_act_backward");
  check_extent(check.operation(), a.extent, sizeof(T));
  const int64_t C = a.extent.channels;
  check.input("x", a.x, a.extent.size(), "N*C*S");
  check.input("dy", a.dy, a.extent.size(), "N*C*S");
  check.input("mask", a.mask, batch_norm_act_mask_bytes(a.extent), "batch_norm_act_mask_bytes(extent)");
  check.input("mean", a.mean, C, "C");
  check.input("rstd", a.rstd, C, "C");
  check.optional_input("gamma", a.gamma, C, "C");
  check.optional_output("dx", a.dx, a.extent.size(), "N*C*S");
  check.optional_output("dresidual", a.dresidual, a.extent.size(), "N*C*S");
  check.optional_output("dgamma", a.dgamma, C, "C");
  check.optional_output("dbeta", a.dbeta, C, "C");
  check.no_overlap("dx", "dy");
  check.finite("negative_slope", a.negative_slope);
  check.more_than_one_value(a.extent.count(), options);
  cpu::check_options(check, options);
}

/// The gradient of the residual alone: the first result of phase 4 with scale 1 and nothing subtracted, which is the
/// second one, too.
template <class T>
void write_dresidual(const BatchNormActBackward<T>& args, const Options& options, kernels::Epilogue<T> epilogue) {
  epilogue.dresidual = nullptr;
  cpu::PassRunner<T> runner(args.extent, cpu::in_one_pass(options), 2, &epilogue);
  const math::ChannelArrays arrays(2, args.extent.channels);
  std::fill_n(arrays[0], args.extent.channels, 0.0);
  std::fill_n(arrays[1], args.extent.channels, 1.0);
  const math::GradientArrays c{arrays[0], arrays[0], arrays[0], arrays[1]};
  runner.traversal().apply(runner.input_gradient(args.dy.data(), args.dy.data(), args.dresidual.data(), c));
}

}  // namespace

int64_t batch_norm_act_mask_bytes(const Extent& extent) {
  check_extent("batch_norm_act_mask_bytes", extent, 1);
  return cpu::bytes_of_bits(cpu::make_tiling(extent));
}

template <class T>
void batch_norm_act_forward(const BatchNormActForward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  sync::check_together(options, [&] { check_arguments(args, options); });
  const kernels::Epilogue<T> epilogue{
      .activates = true, .slope = args.negative_slope, .residual = args.residual.data(), .bits = args.mask.data()};
  const BatchNormForward<T> plain{.extent = args.extent,
                                  .x = args.x,
                                  .gamma = args.gamma,
                                  .beta = args.beta,
                                  .y = args.y,
                                  .mean = args.mean,
                                  .var = args.var,
                                  .rstd = args.rstd,
                                  .eps = args.eps};
  ops::training_forward("batch_norm_act_forward", plain, options, ops::affine(plain), &epilogue);
}

template <class T>
void batch_norm_act_inference(const BatchNormActInference<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  check_arguments(args, options);
  const int64_t C = args.extent.channels;
  const kernels::Epilogue<T> epilogue{
      .activates = true, .slope = args.negative_slope, .residual = args.residual.data()};
  cpu::PassRunner<T> runner(args.extent, cpu::in_one_pass(options), 1, &epilogue);
  const math::ChannelArrays arrays(3, C);
  const auto scale = math::ScaleArrays::of<T>(arrays[0], arrays[1]);
  const auto rstd_at = [var = args.var.data(), eps = args.eps](int64_t c) { return math::rstd_of(var[c], eps); };
  math::normalize_coefficients(0, C, rstd_at, args.gamma, args.beta, scale, arrays[2]);
  runner.traversal().apply(
      runner.normalize(args.x.data(), args.y.data(), {args.mean.data(), scale.scale, arrays[2], scale.factor}));
}

template <class T>
void batch_norm_act_backward(const BatchNormActBackward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  sync::check_together(options, [&] { check_arguments(args, options); });
  // The mask is only read; epilogue are the same for the pass that writes it.
  const kernels::Epilogue<T> epilogue{.activates = true,
                                      .slope = args.negative_slope,
                                      .dresidual = args.dresidual.data(),
                                      .bits = const_cast<std::uint8_t*>(args.mask.data())};
  const BatchNormBackward<T> plain{.extent = args.extent,
                                   .x = args.x,
                                   .dy = args.dy,
                                   .mean = args.mean,
                                   .rstd = args.rstd,
                                   .gamma = args.gamma,
                                   .dx = args.dx,
                                   .dgamma = args.dgamma,
                                   .dbeta = args.dbeta};
  ops::training_backward("batch_norm_act_backward", plain, options, ops::gradients_of_parameters(plain), &epilogue);
  if (args.dx.empty() && !args.dresidual.empty()) write_dresidual(args, options, epilogue);
}

#define UNITVAR_INSTANTIATE(T)                                                                \
  template void batch_norm_act_forward<T>(const BatchNormActForward<T>&, const Options&);     \
  template void batch_norm_act_inference<T>(const BatchNormActInference<T>&, const Options&); \
  template void batch_norm_act_backward<T>(const BatchNormActBackward<T>&, const Options&);
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar
