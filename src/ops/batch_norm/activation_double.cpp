// The backward of the backward behind an activation (docs/derivation.md B92), from those of the plain layer.
#include <algorithm>
#include <vector>

#include "core/standard_arithmetic.hpp"
#include "cpu/runtime/check_options.hpp"
#include "ops/argument_checks.hpp"
#include "ops/batch_norm/affine_by_rstd.hpp"
#include "ops/batch_norm/check_activation.hpp"
#include "sync/exchange.hpp"
#include "unitvar/activation.hpp"
#include "unitvar/batch_norm.hpp"
#include "unitvar/derivatives.hpp"
#include "unitvar/phases.hpp"

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

/// Backward of the plain layer by the batch's statistics.
struct OfBatch {
  template <class T>
  static void twice(const BatchNormDoubleBackward<T>& args, const Options& options) {
    batch_norm_double_backward<T>(args, options);
  }
  template <class T>
  static void once(const BatchNormBackward<T>& args, const Options& options) {
    batch_norm_backward<T>(args, options);
  }
};

/// The same by given statistics.
struct Frozen {
  template <class T>
  static void twice(const BatchNormDoubleBackward<T>& args, const Options& options) {
    batch_norm_frozen_double_backward<T>(args, options);
  }
  /// dx is linear in dy, and so is y in x (B42, B57).
  template <class T>
  static void once(const BatchNormBackward<T>& args, const Options& options) {
    const auto C = static_cast<std::size_t>(args.extent.channels);
    std::vector<double> sum_dy(C), sum_dy_xmu(C);
    gradient_sums<T>({.extent = args.extent,
                      .x = args.x,
                      .dy = args.dy,
                      .mean = args.mean,
                      .sum_dy = sum_dy,
                      .sum_dy_xmu = sum_dy_xmu},
                     options);
    for (std::size_t c = 0; c < C; ++c) {
      args.dgamma[c] = static_cast<param_t<T>>(sum_dy_xmu[c] * args.rstd[c]);
      args.dbeta[c] = static_cast<param_t<T>>(sum_dy[c]);
    }
    batch_norm_frozen_jvp<T>({.extent = args.extent,
                              .x = args.x,
                              .mean = args.mean,
                              .rstd = args.rstd,
                              .gamma = args.gamma,
                              .x_dot = args.dy,
                              .y_dot = args.dx},
                             options);
  }
};

template <class T>
class DoubleBackward {
 public:
  DoubleBackward(const BatchNormActDoubleBackward<T>& args, const Options& options)
      : args_(args), options_(options), affine_(args), g_(args.dy.size()), t_(args.dy.size()) {}

  template <class Layer>
  void run() {
    const std::span<T> t = t_;
    multiply(args_.dy, 1, g_);
    Layer::template twice<T>({.extent = args_.extent,
                              .x = args_.x,
                              .dy = g_,
                              .mean = args_.mean,
                              .rstd = args_.rstd,
                              .gamma = args_.gamma,
                              .grad_dx = args_.grad_dx,
                              .grad_dgamma = args_.grad_dgamma,
                              .grad_dbeta = args_.grad_dbeta,
                              .grad_x = args_.grad_x,
                              .grad_dy = t,
                              .grad_gamma = args_.grad_gamma},
                             options_);
    add_to<T>(t, args_.grad_dresidual);
    if (!args_.grad_dy.empty()) multiply(t, 1, args_.grad_dy);
    if (args_.activation.is_recomputed()) return through_v<Layer>();
    std::fill(args_.grad_residual.begin(), args_.grad_residual.end(), T(0.0F));
    std::fill(args_.grad_beta.begin(), args_.grad_beta.end(), param_t<T>(0));
  }

 private:
  /// out = dy times a derivative of the activation.
  void multiply(std::span<const T> dy, int order, std::span<T> out) const {
    const kernels::Function<T> function{args_.activation, order, core::data_or_null(args_.residual), dy.data()};
    cpu::PassRunner<T> runner(args_.extent, cpu::in_one_pass(options_), 3);
    runner.traversal().apply(
        cpu::FunctionPass<T>{runner, args_.x.data(), out.data(), affine_.coefficients(), function});
  }

  /// Adds what h gives. It takes the place of t, dx that of g.
  template <class Layer>
  void through_v() {
    multiply(args_.dy, 2, g_);
    for (std::size_t k = 0; k < g_.size(); ++k) {
      t_[k] = static_cast<T>(static_cast<double>(t_[k]) * static_cast<double>(g_[k]));
    }
    const auto C = static_cast<std::size_t>(args_.extent.channels);
    std::vector<param_t<T>> dgamma(C), dbeta(C);
    Layer::template once<T>({.extent = args_.extent,
                             .x = args_.x,
                             .dy = t_,
                             .mean = args_.mean,
                             .rstd = args_.rstd,
                             .gamma = args_.gamma,
                             .dx = g_,
                             .dgamma = dgamma,
                             .dbeta = dbeta},
                            options_);
    add_to<T>(args_.grad_x, g_);
    add_to<param_t<T>>(args_.grad_gamma, dgamma);
    if (!args_.grad_beta.empty()) std::copy(dbeta.begin(), dbeta.end(), args_.grad_beta.begin());
    if (!args_.grad_residual.empty()) std::copy(t_.begin(), t_.end(), args_.grad_residual.begin());
  }

  const BatchNormActDoubleBackward<T>& args_;
  const Options& options_;
  ops::AffineByRstd<T> affine_;
  std::vector<T> g_, t_;
};

}  // namespace

template <class T>
void batch_norm_act_double_backward(const BatchNormActDoubleBackward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  sync::check_together(options, [&] {
    check_arguments("batch_norm_act_double_backward", args, options);
    Arguments("batch_norm_act_double_backward").more_than_one_value(args.extent.count(), options);
  });
  DoubleBackward<T>(args, options).template run<OfBatch>();
}

template <class T>
void batch_norm_act_frozen_double_backward(const BatchNormActDoubleBackward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  check_arguments("batch_norm_act_frozen_double_backward", args, options);
  DoubleBackward<T>(args, options).template run<Frozen>();
}

#define UNITVAR_INSTANTIATE(T)                                                                           \
  template void batch_norm_act_double_backward<T>(const BatchNormActDoubleBackward<T>&, const Options&); \
  template void batch_norm_act_frozen_double_backward<T>(const BatchNormActDoubleBackward<T>&, const Options&);
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar
