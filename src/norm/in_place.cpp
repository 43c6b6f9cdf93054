#include "unitvar/in_place.hpp"

#include <cmath>
#include <string>

#include "core/arguments.hpp"
#include "core/text.hpp"
#include "norm/training.hpp"

namespace unitvar {
namespace {

using core::Arguments;
using core::number;
using std::int64_t;

/// (B61) for each channel.
template <class P>
void check_digits(const Arguments& check, int64_t channels, std::span<const P> gamma, std::span<const P> beta,
                  double most) {
  if (std::isnan(most)) check.fail(ErrorCode::bad_argument, "max_lost_digits is nan, want a number");
  for (int64_t c = 0; c < channels; ++c) {
    const double g = std::abs(norm::gamma_at(gamma, c)), b = std::abs(norm::beta_at(beta, c));
    const std::string where = " in channel " + std::to_string(c);
    if (!(g > 0) || !std::isfinite(g)) {
      check.fail(ErrorCode::bad_argument, "gamma is " + number(g) + where + ", want one that y can be divided by");
    }
    const double lost = std::log10(1 + b / g);
    if (lost <= most) continue;
    check.fail(ErrorCode::bad_argument, "gamma is " + number(g) + " and beta " + number(b) + where + ": x_hat loses " +
                                            number(lost) + " digits, want at most max_lost_digits = " + number(most));
  }
}

void check_slope(const Arguments& check, double slope) {
  if (slope > 0 && std::isfinite(slope)) return;
  check.fail(ErrorCode::bad_argument, "negative_slope is " + number(slope) + ", want a finite number > 0");
}

template <class T>
void check_arguments(const BatchNormInPlaceForward<T>& a, const Options& options) {
  Arguments check("batch_norm_in_place_forward");
  check_extent(check.operation(), a.extent, sizeof(T));
  const int64_t C = a.extent.channels;
  check.output("x", a.x, a.extent.size(), "N*C*S");
  check.optional_input("gamma", a.gamma, C, "C");
  check.optional_input("beta", a.beta, C, "C");
  check.optional_output("mean", a.mean, C, "C");
  check.optional_output("var", a.var, C, "C");
  check.optional_output("rstd", a.rstd, C, "C");
  check.no_overlap();
  check.finite("eps", a.eps, ErrorCode::bad_epsilon);
  check_slope(check, a.negative_slope);
  check.more_than_one_value(a.extent.count(), options);
  check_digits(check, C, a.gamma, a.beta, a.max_lost_digits);
  check.options(options);
}

template <class T>
void check_arguments(const BatchNormInPlaceBackward<T>& a, const Options& options) {
  Arguments check("batch_norm_in_place_backward");
  check_extent(check.operation(), a.extent, sizeof(T));
  const int64_t C = a.extent.channels;
  check.input("y", a.y, a.extent.size(), "N*C*S");
  check.input("dy", a.dy, a.extent.size(), "N*C*S");
  check.input("rstd", a.rstd, C, "C");
  check.optional_input("gamma", a.gamma, C, "C");
  check.optional_input("beta", a.beta, C, "C");
  check.optional_output("dx", a.dx, a.extent.size(), "N*C*S");
  check.optional_output("dgamma", a.dgamma, C, "C");
  check.optional_output("dbeta", a.dbeta, C, "C");
  check.no_overlap("dx", "dy");
  check_slope(check, a.negative_slope);
  check.more_than_one_value(a.extent.count(), options);
  check_digits(check, C, a.gamma, a.beta, a.max_lost_digits);
  check.options(options);
}

}  // namespace

template <class T>
void batch_norm_in_place_forward(const BatchNormInPlaceForward<T>& args, const Options& options) {
  norm::check_together(options, [&] { check_arguments(args, options); });
  const kernels::Extras<T> extras{.activates = true, .slope = args.negative_slope};
  const BatchNormForward<T> plain{.extent = args.extent,
                                  .x = args.x,
                                  .gamma = args.gamma,
                                  .beta = args.beta,
                                  .y = args.x,
                                  .mean = args.mean,
                                  .var = args.var,
                                  .rstd = args.rstd,
                                  .eps = args.eps};
  norm::training_forward("batch_norm_in_place_forward", plain, options, norm::affine(plain),
                         args.negative_slope == 1 ? nullptr : &extras);
}

/// y - beta stands for gamma * x_hat: beta is the mean of y, and |gamma| nearly its standard deviation. So these are
/// the plain phases about beta, with 1 / gamma where rstd is.
template <class T>
void batch_norm_in_place_backward(const BatchNormInPlaceBackward<T>& args, const Options& options) {
  norm::check_together(options, [&] { check_arguments(args, options); });
  const int64_t C = args.extent.channels;
  const norm::ChannelArrays arrays(2, C);
  double *beta = arrays[0], *per_gamma = arrays[1];
  core::vector_loop(0, C, [=, given = args.beta](int64_t c) { beta[c] = norm::beta_at(given, c); });
  core::vector_loop(0, C, [=, gamma = args.gamma](int64_t c) { per_gamma[c] = 1 / norm::gamma_at(gamma, c); });

  const kernels::Extras<T> extras{.activates = true, .slope = args.negative_slope, .x_is_output = true};
  const auto of = [C](const double* values) { return std::span<const double>(values, static_cast<std::size_t>(C)); };
  const BatchNormBackward<T> plain{.extent = args.extent,
                                   .x = args.y,
                                   .dy = args.dy,
                                   .mean = of(beta),
                                   .rstd = of(per_gamma),
                                   .dx = args.dx,
                                   .dgamma = args.dgamma,
                                   .dbeta = args.dbeta};
  const auto parameters = [&](int64_t begin, int64_t end, const double* sum_g, const double* sum_g_ymb, double* scale) {
    norm::parameter_gradients(begin, end, per_gamma, sum_g, sum_g_ymb, args.dgamma, args.dbeta);
    core::vector_loop(begin, end, [=, rstd = args.rstd.data(), gamma = args.gamma](int64_t c) {
      scale[c] = norm::gamma_at(gamma, c) * rstd[c];
    });
  };
  norm::training_backward("batch_norm_in_place_backward", plain, options, parameters,
                          args.negative_slope == 1 ? nullptr : &extras);
}

#define UNITVAR_INSTANTIATE(T)                                                                     \
  template void batch_norm_in_place_forward<T>(const BatchNormInPlaceForward<T>&, const Options&); \
  template void batch_norm_in_place_backward<T>(const BatchNormInPlaceBackward<T>&, const Options&);
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar
