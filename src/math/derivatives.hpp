#pragma once
#include "math/channel_math.hpp"

/// Between the passes of derivatives beyond the first: from sums to the coefficients of linear maps.
namespace unitvar::math {

/// Of a tensor a with these sums, sum(a) and sum(a * (x - mean)), in their place (B51): its mean and its part along
/// x_hat, mean(a * x_hat). These are what the projection of the batch takes away from a.
struct Averages {
  double count;
  const double* rstd;
  double* sum;
  double* sum_xmu;

  void operator()(std::int64_t c) const noexcept {
    sum[c] = sum[c] / count;
    sum_xmu[c] = sum_xmu[c] * rstd[c] / count;
  }
};
static_assert(ChannelWork<Averages>);

/// The coefficients of gamma * rstd * (v - mean_v - x_hat * along_v) + u * x_hat + w, which is (B52) and (B56), and if
/// the averages of v are 0, (B55) and (B57).
template <class P>
struct TangentCoefficients {
  const double* rstd;
  const P* gamma;  ///< null: absent, as u and w
  const double* along_v;
  const P *u, *w;
  double *v_slope, *x_slope, *offset;

  void operator()(std::int64_t c) const noexcept {
    const double slope = gamma_at(gamma, c) * rstd[c];
    v_slope[c] = slope;
    x_slope[c] = rstd[c] * (beta_at(u, c) - slope * along_v[c]);
    offset[c] = beta_at(w, c);
  }
};
static_assert(ChannelWork<TangentCoefficients<float>> && ChannelWork<TangentCoefficients<double>>);

/// dx of a loss that also reaches mean and var (B50).
template <class P>
struct StatisticsGradient {
  double count;
  const double* rstd;
  const P* gamma;  ///< null: absent
  const double* along_dy;
  const double *dmean, *dvar;  ///< null: absent
  double *dy_slope, *x_slope, *offset;

  void operator()(std::int64_t c) const noexcept {
    const double slope = gamma_at(gamma, c) * rstd[c];
    dy_slope[c] = slope;
    x_slope[c] = 2 * beta_at(dvar, c) / count - slope * rstd[c] * along_dy[c];
    offset[c] = beta_at(dmean, c) / count;
  }
};
static_assert(ChannelWork<StatisticsGradient<float>> && ChannelWork<StatisticsGradient<double>>);

/// In place, from sum(v * (dy - mean_dy)) to N (A - p q), with p and q the parts of v and dy along x_hat.
struct CovarianceForm {
  double count;
  const double *p, *q;
  double* form;

  void operator()(std::int64_t c) const noexcept { form[c] = form[c] - count * p[c] * q[c]; }
};
static_assert(ChannelWork<CovarianceForm>);

/// grad_x (B54), collected by tensor: a (v - mean_v) + b (dy - mean_dy) + c (x - mean).
template <class P>
struct SecondGradient {
  double count;
  const double* rstd;
  const P* gamma;  ///< null: absent, as u
  const P* u;
  const double *p, *q;  ///< parts of v and dy along x_hat
  const double* form;   ///< N (A - p q)
  double *v_slope, *dy_slope, *x_slope;

  void operator()(std::int64_t k) const noexcept {
    const double scale = gamma_at(gamma, k) * rstd[k];
    const double a = -(scale * rstd[k] * q[k]);
    const double b = rstd[k] * (beta_at(u, k) - scale * p[k]);
    v_slope[k] = a;
    dy_slope[k] = b;
    x_slope[k] = -rstd[k] * (scale * rstd[k] * (form[k] / count) + a * p[k] + b * q[k]);
  }
};
static_assert(ChannelWork<SecondGradient<float>> && ChannelWork<SecondGradient<double>>);

/// u * rstd, what grad_x takes of dy under frozen statistics (B57).
template <class P>
struct FrozenSlope {
  const double* rstd;
  const P* u;  ///< null: absent
  double* slope;

  void operator()(std::int64_t c) const noexcept { slope[c] = beta_at(u, c) * rstd[c]; }
};
static_assert(ChannelWork<FrozenSlope<float>> && ChannelWork<FrozenSlope<double>>);

/// The tangent of var, from the part of x's tangent along x_hat.
struct VarianceTangent {
  const double *along, *rstd;
  double* out;

  void operator()(std::int64_t c) const noexcept { out[c] = 2 * along[c] / rstd[c]; }
};
static_assert(ChannelWork<VarianceTangent>);

}  // namespace unitvar::math
