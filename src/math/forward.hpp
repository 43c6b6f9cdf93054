#pragma once
#include "math/channel_math.hpp"
#include "math/coefficients.hpp"
#include "unitvar/dtype.hpp"

/// Between the passes of a forward: from the moments of each channel to what normalization takes.
namespace unitvar::math {

/// Arrays of a forward, an element for each channel.
struct ForwardArrays {
  double* mean;
  double* var;  ///< M2, until the channel is finished
  double* rstd;
  double* beta;
  ScaleArrays scale;

  [[nodiscard]] ForwardArrays from(std::int64_t c) const noexcept {
    return {mean + c, var + c, rstd + c, beta + c, scale.from(c)};
  }
  [[nodiscard]] NormalizeArrays coefficients() const noexcept { return {mean, scale.scale, beta, scale.factor}; }

  /// (B3): from M2 to var and rstd; returns rstd.
  double finish_statistics(std::int64_t c, double count, double eps) const noexcept {
    var[c] = biased_variance(var[c], count);
    return rstd[c] = rstd_of(var[c], eps);
  }
};

/// Batch normalization itself: the coefficients are gamma * rstd and beta.
template <class P>
struct Affine {
  const P* gamma;  ///< null: absent
  const P* beta;   ///< null: absent
  double eps;
  double count = 0;
  ForwardArrays to = {};

  void operator()(std::int64_t c) const noexcept {
    const double rstd = to.finish_statistics(c, count, eps), g = gamma_at(gamma, c);
    to.scale.template set<P>(c, g * rstd, g, rstd);
    to.beta[c] = beta_at(beta, c);
  }
};
static_assert(ChannelWork<Affine<float>> && ChannelWork<Affine<double>>);

/// Batch renormalization (B68, B69): r and d bring x_hat to the running statistics, as far as the bounds let them. NaN
/// stays NaN.
template <class P>
struct Renorm {
  const P* gamma;  ///< null: absent
  const P* beta;   ///< null: absent
  double eps;
  const double *running_mean, *running_var;
  double r_max, d_max;
  double *r, *d;
  double count = 0;
  ForwardArrays to = {};

  void operator()(std::int64_t c) const noexcept {
    const double rstd = to.finish_statistics(c, count, eps), g = gamma_at(gamma, c);
    const double running_rstd = rstd_of(running_var[c], eps);
    r[c] = within(running_rstd / rstd, 1 / r_max, r_max);
    d[c] = within((to.mean[c] - running_mean[c]) * running_rstd, -d_max, d_max);
    to.scale.template set<P>(c, g * rstd * r[c], g, rstd * r[c]);
    to.beta[c] = beta_at(beta, c) + g * d[c];
  }

 private:
  /// std::clamp by value, which becomes vectors.
  static double within(double value, double least, double most) noexcept {
    return value < least ? least : most < value ? most : value;
  }
};
static_assert(ChannelWork<Renorm<float>> && ChannelWork<Renorm<double>>);

/// The coefficients of normalization by a given var, whose rstd is kept.
template <class P>
struct AffineByVariance {
  const double* var;
  const P* gamma;  ///< null: absent
  const P* beta;   ///< null: absent
  double eps;
  double* rstd;
  ScaleArrays to_scale;
  double* to_beta;

  void operator()(std::int64_t c) const noexcept {
    const double r = rstd_of(var[c], eps), g = gamma_at(gamma, c);
    rstd[c] = r;
    to_scale.template set<P>(c, g * r, g, r);
    to_beta[c] = beta_at(beta, c);
  }
};
static_assert(ChannelWork<AffineByVariance<float>> && ChannelWork<AffineByVariance<double>>);

/// The same by a given rstd.
template <class P>
struct AffineByRstd {
  const double* rstd;
  const P* gamma;  ///< null: absent
  const P* beta;   ///< null: absent
  ScaleArrays to_scale;
  double* to_beta;

  void operator()(std::int64_t c) const noexcept {
    const double g = gamma_at(gamma, c);
    to_scale.template set<P>(c, g * rstd[c], g, rstd[c]);
    to_beta[c] = beta_at(beta, c);
  }
};
static_assert(ChannelWork<AffineByRstd<float>> && ChannelWork<AffineByRstd<double>>);

}  // namespace unitvar::math
