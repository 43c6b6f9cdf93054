#include "unitvar/weighted.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/ranks.hpp"
#include "core/standard_arithmetic.hpp"
#include "core/text.hpp"
#include "cpu/runtime/check_options.hpp"
#include "ops/argument_checks.hpp"
#include "ops/batch_norm/training.hpp"

namespace unitvar {
namespace {

using core::Arguments;

/// Weights are scaled where the largest is beyond these: sums of them and of their products may leave the range of
/// doubles. Ranks, which would have to agree on a factor, refuse them.
constexpr double kLeastUnscaled = 0x1p-200, kMostUnscaled = 0x1p200;

/// 1 if none is > 0.
template <class P>
double largest_of(std::span<const P> weight) noexcept {
  const P largest = weight.empty() ? P(0) : *std::max_element(weight.begin(), weight.end());
  return largest > 0 ? static_cast<double>(largest) : 1;
}

bool needs_no_factor(double largest) noexcept { return largest >= kLeastUnscaled && largest <= kMostUnscaled; }

/// The call's weights times 2^-exponent(), which changes nothing but their sum (B62 to B66). None that is > 0 becomes
/// 0, which would take its element out of the batch.
template <class P>
class ScaledWeights {
 public:
  ScaledWeights(std::span<const P> given, const Options& options) : weights_(given) {
    const double largest = largest_of(given);
    if (needs_no_factor(largest) || core::ranks_of(options) != nullptr) return;
    exponent_ = std::ilogb(largest);
    scaled_.reserve(given.size());
    for (const P w : given) {
      const P scaled = std::scalbn(w, -exponent_);
      scaled_.push_back(w > 0 ? std::max(scaled, std::numeric_limits<P>::denorm_min()) : scaled);
    }
    weights_ = scaled_;
  }

  [[nodiscard]] const P* data() const noexcept { return weights_.data(); }
  [[nodiscard]] int exponent() const noexcept { return exponent_; }

 private:
  std::vector<P> scaled_;
  std::span<const P> weights_;
  int exponent_ = 0;
};

template <class P>
void check_weights(const Arguments& check, std::span<const P> weight, const Options& options) {
  std::size_t positive = 0;
  for (std::size_t k = 0; k < weight.size(); ++k) {
    const auto w = static_cast<double>(weight[k]);
    if (!(w >= 0) || !std::isfinite(w)) {
      check.fail(ErrorCode::bad_argument,
                 "weight[" + std::to_string(k) + "] is " + core::number(w) + ", want a finite number >= 0");
    }
    positive += w > 0 ? 1 : 0;
  }
  if (core::ranks_of(options) == nullptr) {
    if (positive == 1) check.fail(ErrorCode::too_few_values, "a single weight is > 0, want 2 or more (or none)");
    return;
  }
  const double largest = largest_of(weight);
  if (needs_no_factor(largest)) return;
  check.fail(ErrorCode::bad_argument, "the largest weight is " + core::number(largest) + ", want one from " +
                                          core::number(kLeastUnscaled) + " to " + core::number(kMostUnscaled) +
                                          " where ranks share a batch");
}

template <class T>
void check_arguments(const BatchNormWeightedForward<T>& a, const Options& options) {
  Arguments check("batch_norm_weighted_forward");
  ops::check_forward_spans(check, a, ops::checked_lengths<T>(check, a.extent));
  check.no_overlap();
  check.finite("eps", a.eps, ErrorCode::bad_epsilon);
  check_weights(check, a.weight, options);
  cpu::check_options(check, options);
}

template <class T>
void check_arguments(const BatchNormWeightedBackward<T>& a, const Options& options) {
  Arguments check("batch_norm_weighted_backward");
  ops::check_backward_spans(check, a, ops::checked_lengths<T>(check, a.extent));
  check_weights(check, a.weight, options);
  cpu::check_options(check, options);
}

}  // namespace

template <class T>
double batch_norm_weighted_forward(const BatchNormWeightedForward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  sync::prepare_together(options, [&] { check_arguments(args, options); });
  const auto weights = sync::prepare_together(options, [&] { return ScaledWeights<param_t<T>>(args.weight, options); });
  const kernels::Epilogue<T> epilogue{.weights = weights.data(), .zero_unweighted = args.zero_unweighted};
  const double total =
      ops::training_forward<T>("batch_norm_weighted_forward", args, options, ops::affine<T>(args), &epilogue);
  return std::scalbn(total, weights.exponent());
}

template <class T>
void batch_norm_weighted_backward(const BatchNormWeightedBackward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  sync::prepare_together(options, [&] { check_arguments(args, options); });
  const auto weights = sync::prepare_together(options, [&] { return ScaledWeights<param_t<T>>(args.weight, options); });
  const kernels::Epilogue<T> epilogue{.weights = weights.data()};
  ops::prepare_backward<T>("batch_norm_weighted_backward", args, options, ops::gradient_finish<T>(args),
                           ops::parameter_gradients<T>(args), &epilogue)
      .run();
}

#define UNITVAR_INSTANTIATE(T)                                                                        \
  template double batch_norm_weighted_forward<T>(const BatchNormWeightedForward<T>&, const Options&); \
  template void batch_norm_weighted_backward<T>(const BatchNormWeightedBackward<T>&, const Options&);
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar
