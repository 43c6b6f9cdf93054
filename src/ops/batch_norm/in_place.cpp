#include "unitvar/in_place.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "core/ranks.hpp"
#include "core/standard_arithmetic.hpp"
#include "core/text.hpp"
#include "cpu/runtime/check_options.hpp"
#include "ops/argument_checks.hpp"
#include "ops/batch_norm/training.hpp"

namespace unitvar {
namespace {

using core::Arguments;
using core::number;
using std::int64_t;

/// Sizes that T holds with all its digits.
template <class T>
struct Range {
  double smallest = std::numeric_limits<T>::min(), largest = std::numeric_limits<T>::max();
};
template <class T>
requires kernels::kIsHalf<T>
struct Range<T> {
  double smallest = std::ldexp(1, 1 - T::bias);
  double largest = std::ldexp(2 - std::ldexp(1, -T::mantissa_bits), T::bias);
};

/// What y needs for x_hat to come back from it, channel by channel.
template <class T>
class Recoverable {
 public:
  /// `count` values a channel.
  Recoverable(const Arguments& check, double count, double slope, double most_lost)
      : check_(check),
        count_(count),
        farthest_(std::sqrt(std::max(1.0, count - 1))),
        slope_(slope),
        most_lost_(most_lost) {}

  void check_slope() const {
    if (!(slope_ > 0) || !std::isfinite(slope_)) refuse_slope("a finite number > 0");
    using A = kernels::fast_t<T>;
    const auto used = static_cast<A>(slope_), inverse = static_cast<A>(1 / slope_);
    if (std::isnormal(used) && std::isnormal(inverse)) return;
    refuse_slope(std::string("one that is a normal number in ") + std::string(DtypeTraits<A>::name) +
                 ", and its reciprocal too (they are " + number(used) + " and " + number(inverse) + " there)");
  }

  void check_channel(int64_t c, double gamma, double beta) const {
    const double scale = std::abs(gamma), shift = std::abs(beta);
    if (!(scale > 0) || !std::isfinite(scale) || !std::isfinite(1 / scale)) {
      check_.fail(ErrorCode::bad_argument,
                  "gamma is " + number(gamma) + in_channel(c) + ", want one that y can be divided by");
    }
    const double most = farthest_ * scale + shift;  // |x_hat| <= sqrt(N - 1) (B61)
    if (most > range_.largest) {
      check_.fail(ErrorCode::bad_argument, both(c, gamma, beta) + ": with " + number(count_) +
                                               " values a channel |y| may reach " + number(most) + ", want at most " +
                                               number(range_.largest) + ", the largest " +
                                               std::string(DtypeTraits<T>::name));
    }
    if (slope_ > 1 && slope_ * most > range_.largest) {
      refuse_slope("at most " + number(range_.largest / most) + in_channel(c) + ", beyond which y exceeds " +
                   std::string(DtypeTraits<T>::name));
    }
    const double lost = std::log10(std::max(1 + shift / scale, range_.smallest / (std::min(slope_, 1.0) * scale)));
    if (lost <= most_lost_) return;
    const std::string slope = slope_ == 1 ? "" : ", negative_slope " + number(slope_);
    check_.fail(ErrorCode::bad_argument, both(c, gamma, beta) + slope + ": x_hat loses " + number(lost) +
                                             " digits, want at most max_lost_digits = " + number(most_lost_));
  }

 private:
  static std::string in_channel(int64_t c) { return " in channel " + std::to_string(c); }
  static std::string both(int64_t c, double gamma, double beta) {
    return "gamma is " + number(gamma) + " and beta " + number(beta) + in_channel(c);
  }
  [[noreturn]] void refuse_slope(const std::string& wanted) const {
    check_.fail(ErrorCode::bad_argument, "negative_slope is " + number(slope_) + ", want " + wanted);
  }

  const Arguments& check_;
  double count_, farthest_, slope_, most_lost_;
  Range<T> range_;
};

/// Of both passes: what they need for x_hat to come back from y. Ranks are taken to have batches of one size.
template <class T, class Args>
void check_recoverable(const Arguments& check, const Args& a, const Options& options) {
  if (std::isnan(a.max_lost_digits)) check.fail(ErrorCode::bad_argument, "max_lost_digits is nan, want a number");
  const Communicator* ranks = core::ranks_of(options);
  const double count = static_cast<double>(a.extent.count()) * (ranks == nullptr ? 1 : ranks->size());
  const Recoverable<T> y(check, count, a.negative_slope, a.max_lost_digits);
  y.check_slope();
  const auto *gamma = core::data_or_null(a.gamma), *beta = core::data_or_null(a.beta);
  for (int64_t c = 0; c < a.extent.channels; ++c) y.check_channel(c, math::gamma_at(gamma, c), math::beta_at(beta, c));
}

template <class T>
void check_arguments(const BatchNormInPlaceForward<T>& a, const Options& options) {
  Arguments check("batch_norm_in_place_forward");
  ops::check_forward_spans(check, a, ops::checked_lengths<T>(check, a.extent));
  check.no_overlap();
  check.finite("eps", a.eps, ErrorCode::bad_epsilon);
  check.more_than_one_value(a.extent.count(), options);
  check_recoverable<T>(check, a, options);
  cpu::check_options(check, options);
}

template <class T>
void check_arguments(const BatchNormInPlaceBackward<T>& a, const Options& options) {
  Arguments check("batch_norm_in_place_backward");
  ops::check_backward_spans(check, a, ops::checked_lengths<T>(check, a.extent));
  check.more_than_one_value(a.extent.count(), options);
  check_recoverable<T>(check, a, options);
  cpu::check_options(check, options);
}

}  // namespace

template <class T>
void batch_norm_in_place_forward(const BatchNormInPlaceForward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  sync::prepare_together(options, [&] { check_arguments(args, options); });
  const kernels::Epilogue<T> epilogue{.activation = Activation::leaky_relu(args.negative_slope)};
  ops::training_forward<T>("batch_norm_in_place_forward", args, options, ops::affine<T>(args),
                           args.negative_slope == 1 ? nullptr : &epilogue);
}

/// y - beta stands for gamma * x_hat: beta is the mean of y, and |gamma| nearly its standard deviation. So these are
/// the plain phases about beta, with 1 / gamma where rstd is.
template <class T>
void batch_norm_in_place_backward(const BatchNormInPlaceBackward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  sync::prepare_together(options, [&] { check_arguments(args, options); });
  using P = param_t<T>;
  const int64_t C = args.extent.channels;
  const auto arrays = sync::prepare_together(options, [C] { return cpu::ChannelArrays(2, C); });
  const math::InPlaceStatistics<P> of_y{.gamma = core::data_or_null(args.gamma),
                                        .beta = core::data_or_null(args.beta),
                                        .mean = arrays[0],
                                        .per_gamma = arrays[1]};
  cpu::for_channels(0, C, of_y);

  const auto of = [C](const double* values) { return std::span<const double>(values, static_cast<std::size_t>(C)); };
  const BatchNormBackward<T> about_y{.extent = args.extent,
                                     .x = args.y,
                                     .dy = args.dy,
                                     .mean = of(of_y.mean),
                                     .rstd = of(of_y.per_gamma),
                                     .dx = args.dx,
                                     .dgamma = args.dgamma,
                                     .dbeta = args.dbeta};
  const math::InPlaceGradientFinish<param_t<T>> channel{
      .per_gamma = of_y.per_gamma, .rstd = args.rstd.data(), .gamma = of_y.gamma};
  const kernels::Epilogue<T> epilogue{.activation = Activation::leaky_relu(args.negative_slope), .x_is_output = true};
  ops::prepare_backward<T>("batch_norm_in_place_backward", about_y, options, channel,
                           ops::parameter_gradients<T>(about_y), args.negative_slope == 1 ? nullptr : &epilogue)
      .run();
}

#define UNITVAR_INSTANTIATE(T)                                                                     \
  template void batch_norm_in_place_forward<T>(const BatchNormInPlaceForward<T>&, const Options&); \
  template void batch_norm_in_place_backward<T>(const BatchNormInPlaceBackward<T>&, const Options&);
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar
