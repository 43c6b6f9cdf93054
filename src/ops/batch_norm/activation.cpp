#include "unitvar/activation.hpp"

#include <algorithm>
#include <optional>
#include <span>
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
/// second one, too. With all the memory that it takes.
template <class T>
class ResidualGradient {
 public:
  ResidualGradient(const BatchNormActBackward<T>& args, const Options& options, kernels::Epilogue<T> epilogue)
      : args_(args),
        runner_(args.extent, cpu::in_one_pass(options), 2, &without_dresidual(epilogue)),
        arrays_(2, args.extent.channels) {
    std::fill_n(arrays_[0], args.extent.channels, 0.0);
    std::fill_n(arrays_[1], args.extent.channels, 1.0);
  }
  void run() {
    const math::GradientArrays c{arrays_[0], arrays_[0], arrays_[0], arrays_[1]};
    runner_.traversal().apply(runner_.input_gradient(args_.dy.data(), args_.dy.data(), args_.dresidual.data(), c));
  }

 private:
  static kernels::Epilogue<T>& without_dresidual(kernels::Epilogue<T>& epilogue) noexcept {
    epilogue.dresidual = nullptr;
    return epilogue;
  }

  const BatchNormActBackward<T>& args_;
  cpu::PassRunner<T> runner_;
  cpu::ChannelArrays arrays_;
};

/// Whether there is more to do than the residual's gradient.
template <class T>
bool wants_backward(const BatchNormActBackward<T>& args, const Options& options) {
  return core::ranks_of(options) != nullptr || !args.dx.empty() || !args.dgamma.empty() || !args.dbeta.empty();
}

template <class T>
auto prepare_backward(const BatchNormActBackward<T>& args, const Options& options, const kernels::Epilogue<T>* epilogue,
                      const ops::Recomputed<T>* recomputed) {
  return ops::prepare_backward<T>("batch_norm_act_backward", args, options, ops::gradient_finish<T>(args),
                                  ops::parameter_gradients<T>(args), epilogue, recomputed);
}

/// By the mask. Behind the bits of a clip the gradient is that of a ReLU.
template <class T>
void backward_by_mask(const BatchNormActBackward<T>& args, const Options& options) {
  const bool is_clip = args.activation.kind == Activation::Kind::clip;
  // The mask is only read; the same epilogue serves the pass that writes it.
  const kernels::Epilogue<T> epilogue{.activation = is_clip ? Activation::relu() : args.activation,
                                      .dresidual = core::data_or_null(args.dresidual),
                                      .bits = const_cast<std::uint8_t*>(args.mask.data())};
  std::optional<ResidualGradient<T>> of_residual;
  if (args.dx.empty() && !args.dresidual.empty()) {
    sync::prepare_together(options, [&] { of_residual.emplace(args, options, epilogue); });
  }
  if (wants_backward(args, options)) prepare_backward<T>(args, options, &epilogue, nullptr).run();
  if (of_residual) of_residual->run();
}

/// Without an activation the residual's gradient is dy. Ranks may refuse the call in the exchange: so it is written
/// behind that, from a copy if dx has taken the place of dy.
template <class T>
void backward_of_identity(const BatchNormActBackward<T>& args, const Options& options) {
  const bool is_copied = args.dresidual.data() != args.dy.data() && !args.dresidual.empty();
  const bool has_ranks = core::ranks_of(options) != nullptr;
  const bool keeps_dy = is_copied && has_ranks && args.dx.data() == args.dy.data();
  const auto copy_from = [&](const T* dy) {
    if (is_copied) std::copy_n(dy, args.dresidual.size(), args.dresidual.data());
  };
  if (!wants_backward(args, options)) return copy_from(args.dy.data());
  const auto kept = sync::prepare_together(
      options, [&] { return std::vector<T>(args.dy.begin(), keeps_dy ? args.dy.end() : args.dy.begin()); });
  auto backward = prepare_backward<T>(args, options, nullptr, nullptr);
  if (has_ranks) backward.run();
  copy_from(keeps_dy ? kept.data() : args.dy.data());
  if (!has_ranks) backward.run();
}

/// g goes to dresidual, or to dx, which is then computed in its place; or, since ranks may refuse the call in the
/// exchange, to memory of the call.
template <class T>
void backward_of_recomputed(const BatchNormActBackward<T>& args, const Options& options) {
  const bool has_ranks = core::ranks_of(options) != nullptr;
  if (args.dresidual.empty() && !wants_backward(args, options)) return;
  const auto affine = sync::prepare_together(options, [&] { return ops::AffineByRstd<T>(args); });
  const bool needs_room = has_ranks || (args.dx.empty() && args.dresidual.empty());
  auto room = sync::prepare_together(options, [&] { return std::vector<T>(needs_room ? args.dy.size() : 0); });
  const std::span<T> g = needs_room ? std::span<T>(room) : !args.dresidual.empty() ? args.dresidual : args.dx;
  const ops::Recomputed<T> recomputed{
      {.activation = args.activation, .order = 1, .residual = core::data_or_null(args.residual), .dy = args.dy.data()},
      affine.coefficients(),
      g.data()};
  if (wants_backward(args, options)) {
    prepare_backward<T>(args, options, nullptr, &recomputed).run();
    if (has_ranks) std::copy_n(room.begin(), args.dresidual.size(), args.dresidual.begin());
    return;
  }
  cpu::PassRunner<T> runner(args.extent, cpu::in_one_pass(options), 3);
  runner.traversal().apply(recomputed.pass(runner, args.x.data()));
}

}  // namespace

int64_t batch_norm_act_mask_bytes(const Extent& extent, const Activation& activation) {
  check_extent("batch_norm_act_mask_bytes", extent, 2);  // of the smallest type: no tensor has more elements
  if (!activation.has_mask()) return 0;
  return cpu::bytes_of_bits(cpu::make_tiling(extent));
}

template <class T>
void batch_norm_act_forward(const BatchNormActForward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  sync::prepare_together(options, [&] { check_arguments(args, options); });
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
  sync::prepare_together(options, [&] { check_arguments(args, options); });
  if (args.activation.is_recomputed()) {
    backward_of_recomputed(args, options);
  } else if (args.activation.has_mask()) {
    backward_by_mask(args, options);
  } else {
    backward_of_identity(args, options);
  }
}

#define UNITVAR_INSTANTIATE(T)                                                                \
  template void batch_norm_act_forward<T>(const BatchNormActForward<T>&, const Options&);     \
  template void batch_norm_act_inference<T>(const BatchNormActInference<T>&, const Options&); \
  template void batch_norm_act_backward<T>(const BatchNormActBackward<T>&, const Options&);
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar
