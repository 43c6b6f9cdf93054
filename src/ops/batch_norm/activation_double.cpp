// The backward of the backward behind an activation (docs/derivation.md B92), from those of the plain layer.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/standard_arithmetic.hpp"
#include "cpu/runtime/check_options.hpp"
#include "ops/argument_checks.hpp"
#include "ops/batch_norm/affine_by_rstd.hpp"
#include "ops/batch_norm/batch_derivatives.hpp"
#include "ops/batch_norm/check_activation.hpp"
#include "unitvar/activation.hpp"

namespace unitvar {
namespace {

using core::Arguments;

template <class T>
void check_arguments(const char* operation, const BatchNormActDoubleBackward<T>& a, const Options& options) {
  Arguments check(operation);
  ops::check_activation(check, a.activation);
  ops::check_double_backward_spans(check, a, ops::checked_lengths<T>(check, a.extent));
  cpu::check_options(check, options);
}

template <class T>
void add_to(std::span<T> sum, std::span<const T> values) noexcept {
  for (std::size_t k = 0; k < std::min(sum.size(), values.size()); ++k) {
    sum[k] = static_cast<T>(static_cast<double>(sum[k]) + static_cast<double>(values[k]));
  }
}

template <class T>
using PlainBackward = ops::TrainingBackward<T, BatchNormBackward<T>, math::GradientFinish<param_t<T>>,
                                            math::ParameterGradients<param_t<T>>>;

/// Backward of the plain layer by the batch's statistics. Over ranks, dgamma and dbeta are of all.
template <class T>
struct BatchBackward : PlainBackward<T> {
  BatchBackward(const char* operation, const BatchNormBackward<T>& args, const Options& options)
      : PlainBackward<T>(operation, args, options, ops::gradient_finish<T>(args), ops::parameter_gradients<T>(args),
                         nullptr, nullptr, ParameterGradients::global) {}
};

/// The same by given statistics: dx is linear in dy, and so is y in x (B42, B57).
template <class T>
class FrozenBackward {
 public:
  FrozenBackward(const char* operation, const BatchNormBackward<T>& args, const Options& options)
      : args_(args), batch_(operation, args, options, nullptr, 3) {}
  void run(std::int64_t /*first_block*/) {
    double *sum_dy = batch_.arrays[0], *sum_dy_xmu = batch_.arrays[1];
    batch_.sums(args_.x.data(), args_.dy, batch_.mean, sum_dy, sum_dy_xmu);
    auto of = ops::parameter_gradients<T>(args_);
    of.sum_dy = sum_dy;
    of.sum_dy_xmu = sum_dy_xmu;
    batch_.for_all(of);
    const double* none = batch_.zeros(batch_.arrays[2]);
    batch_.write_tangent(args_.dy, {none, none}, {}, {}, args_.dx.data());
  }

 private:
  const BatchNormBackward<T> args_;
  ops::Batch<T> batch_;
};

template <class T, class Twice, class Once>
class ActDoubleBackward {
 public:
  ActDoubleBackward(const char* operation, const BatchNormActDoubleBackward<T>& args, const Options& options)
      : args_(args),
        affine_(args),
        g_(args.dy.size()),
        t_(args.dy.size()),
        functions_(args.extent, cpu::in_one_pass(options), 3),
        twice_(operation,
               {.extent = args.extent,
                .x = args.x,
                .dy = g_,
                .mean = args.mean,
                .rstd = args.rstd,
                .gamma = args.gamma,
                .grad_dx = args.grad_dx,
                .grad_dgamma = args.grad_dgamma,
                .grad_dbeta = args.grad_dbeta,
                .grad_x = args.grad_x,
                .grad_dy = t_,
                .grad_gamma = args.grad_gamma},
               options) {
    if (!args.activation.is_recomputed()) return;
    dgamma_.resize(static_cast<std::size_t>(args.extent.channels));
    dbeta_.resize(dgamma_.size());
    once_.emplace(operation,
                  BatchNormBackward<T>{.extent = args.extent,
                                       .x = args.x,
                                       .dy = t_,
                                       .mean = args.mean,
                                       .rstd = args.rstd,
                                       .gamma = args.gamma,
                                       .dx = g_,
                                       .dgamma = dgamma_,
                                       .dbeta = dbeta_},
                  options);
  }

  void run() {
    multiply(args_.dy, 1, g_);
    twice_.run();
    add_to<T>(t_, args_.grad_dresidual);
    if (!args_.grad_dy.empty()) multiply(t_, 1, args_.grad_dy);
    if (once_) return through_v();
    std::fill(args_.grad_residual.begin(), args_.grad_residual.end(), T(0.0F));
    std::fill(args_.grad_beta.begin(), args_.grad_beta.end(), param_t<T>(0));
  }

 private:
  /// out = dy times a derivative of the activation.
  void multiply(std::span<const T> dy, int order, std::span<T> out) {
    const kernels::Function<T> function{args_.activation, order, core::data_or_null(args_.residual), dy.data()};
    functions_.traversal().apply(
        cpu::FunctionPass<T>{functions_, args_.x.data(), out.data(), affine_.coefficients(), function});
  }

  /// Adds what h gives. It takes the place of t, dx that of g.
  void through_v() {
    multiply(args_.dy, 2, g_);
    for (std::size_t k = 0; k < g_.size(); ++k) {
      t_[k] = static_cast<T>(static_cast<double>(t_[k]) * static_cast<double>(g_[k]));
    }
    once_->run(twice_.blocks_exchanged());
    add_to<T>(args_.grad_x, g_);
    add_to<param_t<T>>(args_.grad_gamma, dgamma_);
    if (!args_.grad_beta.empty()) std::copy(dbeta_.begin(), dbeta_.end(), args_.grad_beta.begin());
    if (!args_.grad_residual.empty()) std::copy(t_.begin(), t_.end(), args_.grad_residual.begin());
  }

  const BatchNormActDoubleBackward<T>& args_;
  ops::AffineByRstd<T> affine_;
  std::vector<T> g_, t_;
  std::vector<param_t<T>> dgamma_, dbeta_;
  cpu::PassRunner<T> functions_;
  Twice twice_;               ///< the backward of the plain layer's backward
  std::optional<Once> once_;  ///< that backward; absent where nothing passes through v
};

}  // namespace

template <class T>
void batch_norm_act_double_backward(const BatchNormActDoubleBackward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  constexpr const char* operation = "batch_norm_act_double_backward";
  auto backward = sync::prepare_together(options, [&] {
    check_arguments(operation, args, options);
    Arguments(operation).more_than_one_value(args.extent.count(), options);
    return ActDoubleBackward<T, ops::DoubleBackward<T>, BatchBackward<T>>(operation, args, options);
  });
  backward.run();
}

template <class T>
void batch_norm_act_frozen_double_backward(const BatchNormActDoubleBackward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  constexpr const char* operation = "batch_norm_act_frozen_double_backward";
  check_arguments(operation, args, options);
  ActDoubleBackward<T, ops::FrozenDoubleBackward<T>, FrozenBackward<T>>(operation, args, options).run();
}

#define UNITVAR_INSTANTIATE(T)                                                                           \
  template void batch_norm_act_double_backward<T>(const BatchNormActDoubleBackward<T>&, const Options&); \
  template void batch_norm_act_frozen_double_backward<T>(const BatchNormActDoubleBackward<T>&, const Options&);
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar
