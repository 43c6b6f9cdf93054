#include "unitvar/activation.hpp"

#include <algorithm>
#include <vector>

#include "core/standard_arithmetic.hpp"
#include "cpu/runtime/check_options.hpp"
#include "ops/argument_checks.hpp"
#include "ops/batch_norm/affine_by_rstd.hpp"
#include "ops/batch_norm/check_activation.hpp"
#include "ops/batch_norm/inference.hpp"
#include "ops/batch_norm/training.hpp"

namespace unitvar {
namespace {

using core::Arguments;
using std::int64_t;

template <class T>
void check_arguments(const BatchNormActForward<T>& a, const Options& options) {
  Arguments check("batch_norm_act_forward");
  ops::check_activation(check, a.activation);
  ops::check_forward_spans(check, a, ops::checked_lengths<T>(check, a.extent));
  check.no_overlap("y", "residual");
  check.finite("eps", a.eps, ErrorCode::bad_epsilon);
  check.more_than_one_value(a.extent.count(), options);
  cpu::check_options(check, options);
}

template <class T>
void check_arguments(const BatchNormActInference<T>& a, const Options& options) {
  Arguments check("batch_norm_act_inference");
  ops::check_activation(check, a.activation);
  ops::check_inference_spans(check, a, ops::checked_lengths<T>(check, a.extent));
  check.finite("eps", a.eps, ErrorCode::bad_epsilon);
  ops::check_variances(check, a.var, a.eps);
  cpu::check_options(check, options);
}

template <class T>
void check_arguments(const BatchNormActBackward<T>& a, const Options& options) {
  Arguments check("batch_norm_act_backward");
  ops::check_activation(check, a.activation);
  ops::check_backward_spans(check, a, ops::checked_lengths<T>(check, a.extent));
  const bool asks_statistics = !a.dx.empty() || !a.dgamma.empty() || !a.dbeta.empty();
  if (asks_statistics) check.more_than_one_value(a.extent.count(), options);
  cpu::check_options(check, options);
}

/// The gradient of the residual alone: the first result of phase 4 with scale 1 and nothing subtracted, which is the
/// second one, too.
template <class T>
void write_dresidual(const BatchNormActBackward<T>& args, const Options& options, kernels::Epilogue<T> epilogue) {
  epilogue.dresidual = nullptr;
  cpu::PassRunner<T> runner(args.extent, cpu::in_one_pass(options), 2, &epilogue);
  const cpu::ChannelArrays arrays(2, args.extent.channels);
  std::fill_n(arrays[0], args.extent.channels, 0.0);
  std::fill_n(arrays[1], args.extent.channels, 1.0);
  const math::GradientArrays c{arrays[0], arrays[0], arrays[0], arrays[1]};
  runner.traversal().apply(runner.input_gradient(args.dy.data(), args.dy.data(), args.dresidual.data(), c));
}

/// By the mask. Behind the bits of a clip the gradient is that of a ReLU.
template <class T, class Backward>
void backward_by_mask(const BatchNormActBackward<T>& args, const Options& options, const Backward& backward) {
  const bool is_clip = args.activation.kind == Activation::Kind::clip;
  // The mask is only read; the same epilogue serves the pass that writes it.
  const kernels::Epilogue<T> epilogue{.activation = is_clip ? Activation::relu() : args.activation,
                                      .dresidual = core::data_or_null(args.dresidual),
                                      .bits = const_cast<std::uint8_t*>(args.mask.data())};
  backward(&epilogue, nullptr);
  if (args.dx.empty() && !args.dresidual.empty()) write_dresidual(args, options, epilogue);
}

/// g goes to dresidual, or to dx, which is then computed in its place.
template <class T, class Backward>
void backward_of_recomputed(const BatchNormActBackward<T>& args, const Options& options, const Backward& backward) {
  const bool wants_sums = core::ranks_of(options) != nullptr || !args.dgamma.empty() || !args.dbeta.empty();
  if (args.dx.empty() && args.dresidual.empty() && !wants_sums) return;
  const ops::AffineByRstd<T> affine(args);
  std::vector<T> room(args.dx.empty() && args.dresidual.empty() ? args.dy.size() : 0);
  const std::span<T> g = !args.dresidual.empty() ? args.dresidual : !args.dx.empty() ? args.dx : std::span<T>(room);
  const ops::Recomputed<T> recomputed{
      {.activation = args.activation, .order = 1, .residual = core::data_or_null(args.residual), .dy = args.dy.data()},
      affine.coefficients(),
      g.data()};
  if (!args.dx.empty() || wants_sums) return backward(nullptr, &recomputed);
  cpu::PassRunner<T> runner(args.extent, cpu::in_one_pass(options), 3);
  runner.traversal().apply(recomputed.pass(runner, args.x.data()));
}

}  // namespace

int64_t batch_norm_act_mask_bytes(const Extent& extent, const Activation& activation) {
  check_extent("batch_norm_act_mask_bytes", extent, 1);
  if (!activation.has_mask()) return 0;
  return cpu::bytes_of_bits(cpu::make_tiling(extent));
}

template <class T>
void batch_norm_act_forward(const BatchNormActForward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  sync::check_together(options, [&] { check_arguments(args, options); });
  const kernels::Epilogue<T> epilogue{.activation = args.activation,
                                      .residual = core::data_or_null(args.residual),
                                      .bits = core::data_or_null(args.mask)};
  ops::training_forward<T>("batch_norm_act_forward", args, options, ops::affine<T>(args), &epilogue);
}

template <class T>
void batch_norm_act_inference(const BatchNormActInference<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  check_arguments(args, options);
  const kernels::Epilogue<T> epilogue{.activation = args.activation, .residual = core::data_or_null(args.residual)};
  ops::normalize_by_variance<T>(args, options, &epilogue);
}

template <class T>
void batch_norm_act_backward(const BatchNormActBackward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  sync::check_together(options, [&] { check_arguments(args, options); });
  const auto backward = [&](const kernels::Epilogue<T>* epilogue, const ops::Recomputed<T>* recomputed) {
    ops::training_backward<T>("batch_norm_act_backward", args, options, ops::gradient_finish<T>(args),
                              ops::parameter_gradients<T>(args), epilogue, recomputed);
  };
  if (args.activation.is_recomputed()) {
    backward_of_recomputed(args, options, backward);
  } else if (!args.activation.has_mask()) {
    if (args.dresidual.data() != args.dy.data())  // before dx, which may take the place of dy
      std::copy_n(args.dy.data(), args.dresidual.size(), args.dresidual.data());
    backward(nullptr, nullptr);
  } else {
    backward_by_mask(args, options, backward);
  }
}

#define UNITVAR_INSTANTIATE(T)                                                                \
  template void batch_norm_act_forward<T>(const BatchNormActForward<T>&, const Options&);     \
  template void batch_norm_act_inference<T>(const BatchNormActInference<T>&, const Options&); \
  template void batch_norm_act_backward<T>(const BatchNormActBackward<T>&, const Options&);
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar
