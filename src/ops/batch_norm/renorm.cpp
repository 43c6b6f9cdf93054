#include "unitvar/renorm.hpp"

#include <algorithm>

#include "core/arguments.hpp"
#include "core/standard_arithmetic.hpp"
#include "core/text.hpp"
#include "cpu/runtime/check_options.hpp"
#include "ops/batch_norm/training.hpp"

namespace unitvar {
namespace {

using core::Arguments;
using core::vector_loop;
using std::int64_t;

void at_least(const Arguments& check, const char* name, double value, double least) {
  if (value >= least) return;
  check.fail(ErrorCode::bad_argument,
             std::string(name) + " is " + core::number(value) + ", want " + core::number(least) + " or more");
}

template <class T>
void check_arguments(const BatchNormRenormForward<T>& a, const Options& options) {
  Arguments check("batch_norm_renorm_forward");
  check_extent(check.operation(), a.extent, sizeof(T));
  const int64_t C = a.extent.channels;
  check.input("x", a.x, a.extent.size(), "N*C*S");
  check.optional_input("gamma", a.gamma, C, "C");
  check.optional_input("beta", a.beta, C, "C");
  check.input("running_mean", a.running_mean, C, "C");
  check.input("running_var", a.running_var, C, "C");
  check.output("y", a.y, a.extent.size(), "N*C*S");
  check.optional_output("mean", a.mean, C, "C");
  check.optional_output("var", a.var, C, "C");
  check.optional_output("rstd", a.rstd, C, "C");
  check.optional_output("r", a.r, C, "C");
  check.optional_output("d", a.d, C, "C");
  check.no_overlap();
  at_least(check, "r_max", a.r_max, 1);
  at_least(check, "d_max", a.d_max, 0);
  check.finite("eps", a.eps, ErrorCode::bad_epsilon);
  for (int64_t c = 0; c < C; ++c) check.positive_variance(a.running_var[static_cast<std::size_t>(c)], a.eps, c);
  check.more_than_one_value(a.extent.count(), options);
  cpu::check_options(check, options);
}

template <class T>
void check_arguments(const BatchNormRenormBackward<T>& a, const Options& options) {
  Arguments check("batch_norm_renorm_backward");
  check_extent(check.operation(), a.extent, sizeof(T));
  const int64_t C = a.extent.channels;
  check.input("x", a.x, a.extent.size(), "N*C*S");
  check.input("dy", a.dy, a.extent.size(), "N*C*S");
  check.input("mean", a.mean, C, "C");
  check.input("rstd", a.rstd, C, "C");
  check.input("r", a.r, C, "C");
  check.input("d", a.d, C, "C");
  check.optional_input("gamma", a.gamma, C, "C");
  check.optional_output("dx", a.dx, a.extent.size(), "N*C*S");
  check.optional_output("dgamma", a.dgamma, C, "C");
  check.optional_output("dbeta", a.dbeta, C, "C");
  check.no_overlap("dx", "dy");
  check.more_than_one_value(a.extent.count(), options);
  cpu::check_options(check, options);
}

/// gamma * rstd * r instead of gamma * rstd (B69, B70).
template <class P>
void fill_scales(int64_t begin, int64_t end, const double* rstd, const double* r, std::span<const P> gamma,
                 math::ScaleArrays to) noexcept {
  vector_loop(begin, end, [=](int64_t c) { to.scale[c] = math::gamma_at(gamma, c) * rstd[c] * r[c]; });
  math::split_overflowing(
      begin, end, [=](int64_t c) { return rstd[c] * r[c]; }, gamma, to);
}

/// (B68): what brings x_hat to the running statistics, as far as the bounds let it. NaN stays NaN.
struct Correction {
  const double *running_mean, *running_var;
  double r_max, d_max, eps;

  void operator()(int64_t c, double mean, double rstd, double& r, double& d) const noexcept {
    const double running_rstd = math::rstd_of(running_var[c], eps);
    r = std::clamp(running_rstd / rstd, 1 / r_max, r_max);
    d = std::clamp((mean - running_mean[c]) * running_rstd, -d_max, d_max);
  }
};

}  // namespace

template <class T>
void batch_norm_renorm_forward(const BatchNormRenormForward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  sync::check_together(options, [&] { check_arguments(args, options); });
  const math::ChannelArrays arrays(2, args.extent.channels);
  double *r = arrays[0], *d = arrays[1];
  const Correction correct{args.running_mean.data(), args.running_var.data(), args.r_max, args.d_max, args.eps};
  const auto coefficients = [&](int64_t begin, int64_t end, const double* mean, const double* rstd,
                                math::ScaleArrays scale, double* beta) {
    vector_loop(begin, end, [=](int64_t c) { correct(c, mean[c], rstd[c], r[c], d[c]); });
    fill_scales(begin, end, rstd, r, args.gamma, scale);
    vector_loop(begin, end, [=, gamma = args.gamma, given = args.beta](int64_t c) {
      beta[c] = math::beta_at(given, c) + math::gamma_at(gamma, c) * d[c];
    });
  };
  const BatchNormForward<T> batch_norm{.extent = args.extent,
                                       .x = args.x,
                                       .y = args.y,
                                       .mean = args.mean,
                                       .var = args.var,
                                       .rstd = args.rstd,
                                       .eps = args.eps};
  ops::training_forward("batch_norm_renorm_forward", batch_norm, options, coefficients);
  math::store_if_wanted(r, args.r);
  math::store_if_wanted(d, args.d);
}

template <class T>
void batch_norm_renorm_backward(const BatchNormRenormBackward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  sync::check_together(options, [&] { check_arguments(args, options); });
  const auto parameters = [&](int64_t begin, int64_t end, const double* sum_dy, const double* sum_dy_xmu,
                              math::ScaleArrays scale) {  // (B70)
    using P = param_t<T>;
    const double *rstd = args.rstd.data(), *r = args.r.data(), *d = args.d.data();
    fill_scales(begin, end, rstd, r, args.gamma, scale);
    if (P* dgamma = args.dgamma.data(); !args.dgamma.empty()) {
      vector_loop(begin, end,
                  [=](int64_t c) { dgamma[c] = static_cast<P>(rstd[c] * sum_dy_xmu[c] * r[c] + d[c] * sum_dy[c]); });
    }
    math::parameter_gradients<P>(begin, end, rstd, sum_dy, sum_dy_xmu, {}, args.dbeta);
  };
  const BatchNormBackward<T> batch_norm{.extent = args.extent,
                                        .x = args.x,
                                        .dy = args.dy,
                                        .mean = args.mean,
                                        .rstd = args.rstd,
                                        .gamma = args.gamma,
                                        .dx = args.dx,
                                        .dgamma = args.dgamma,
                                        .dbeta = args.dbeta};
  ops::training_backward("batch_norm_renorm_backward", batch_norm, options, parameters);
}

#define UNITVAR_INSTANTIATE(T)                                                                  \
  template void batch_norm_renorm_forward<T>(const BatchNormRenormForward<T>&, const Options&); \
  template void batch_norm_renorm_backward<T>(const BatchNormRenormBackward<T>&, const Options&);
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar
