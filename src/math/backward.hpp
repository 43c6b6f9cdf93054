#pragma once
#include "math/channel_math.hpp"
#include "math/coefficients.hpp"
#include "unitvar/dtype.hpp"

/// Between the passes of a backward: from the sums of each channel to the parameters' gradients and to what dx takes.
namespace unitvar::math {

/// Arrays of a backward, an element for each channel: the coefficients of
///   dx = ((dy - mean_dy) - (x - mean) * slope) * scale * factor (B31).
struct BackwardArrays {
  double* mean_dy;
  double* slope;
  ScaleArrays scale;

  [[nodiscard]] BackwardArrays from(std::int64_t c) const noexcept { return {mean_dy + c, slope + c, scale.from(c)}; }
  [[nodiscard]] GradientArrays coefficients(const double* mean) const noexcept {
    return {mean, mean_dy, slope, scale.scale, scale.factor};
  }

  /// What is subtracted from dy. rstd multiplies before and after the division by count, so that nothing under- or
  /// overflows that the result does not.
  void set_averages(std::int64_t c, double count, double sum_dy, double sum_dy_xmu, double rstd) const noexcept {
    mean_dy[c] = sum_dy / count;
    slope[c] = sum_dy_xmu * rstd / count * rstd;
  }
};

/// Batch normalization itself.
template <class P>
struct GradientFinish {
  const double* rstd;
  const P* gamma;  ///< null: absent
  double count = 0;
  const double *sum_dy = nullptr, *sum_dy_xmu = nullptr;
  BackwardArrays to = {};

  void operator()(std::int64_t c) const noexcept {
    const double r = rstd[c], g = gamma_at(gamma, c);
    to.set_averages(c, count, sum_dy[c], sum_dy_xmu[c], r);
    to.scale.template set<P>(c, g * r, g, r);
  }
};
static_assert(ChannelWork<GradientFinish<float>> && ChannelWork<GradientFinish<double>>);

/// Batch renormalization (B70): rstd * r where rstd is.
template <class P>
struct RenormGradientFinish {
  const double* rstd;
  const P* gamma;  ///< null: absent
  const double* r;
  double count = 0;
  const double *sum_dy = nullptr, *sum_dy_xmu = nullptr;
  BackwardArrays to = {};

  void operator()(std::int64_t c) const noexcept {
    const double g = gamma_at(gamma, c);
    to.set_averages(c, count, sum_dy[c], sum_dy_xmu[c], rstd[c]);
    to.scale.template set<P>(c, g * rstd[c] * r[c], g, rstd[c] * r[c]);
  }
};
static_assert(ChannelWork<RenormGradientFinish<float>> && ChannelWork<RenormGradientFinish<double>>);

/// From y in place of x: the sums are about beta, which is the mean of y, and 1 / gamma stands where rstd does.
template <class P>
struct InPlaceGradientFinish {
  const double* per_gamma;
  const double* rstd;
  const P* gamma;  ///< null: absent
  double count = 0;
  const double *sum_dy = nullptr, *sum_dy_xmu = nullptr;
  BackwardArrays to = {};

  void operator()(std::int64_t c) const noexcept {
    const double g = gamma_at(gamma, c);
    to.set_averages(c, count, sum_dy[c], sum_dy_xmu[c], per_gamma[c]);
    to.scale.template set<P>(c, g * rstd[c], g, rstd[c]);
  }
};
static_assert(ChannelWork<InPlaceGradientFinish<float>> && ChannelWork<InPlaceGradientFinish<double>>);

/// What the passes behind InPlaceGradientFinish are about.
template <class P>
struct InPlaceStatistics {
  const P* gamma;  ///< null: absent
  const P* beta;   ///< null: absent
  double* mean;
  double* per_gamma;

  void operator()(std::int64_t c) const noexcept {
    mean[c] = beta_at(beta, c);
    per_gamma[c] = 1 / gamma_at(gamma, c);
  }
};
static_assert(ChannelWork<InPlaceStatistics<float>> && ChannelWork<InPlaceStatistics<double>>);

/// dgamma = rstd * sum_dy_xmu (B14) and dbeta = sum_dy (B15), each if it is wanted.
template <class P>
struct ParameterGradients {
  const double* rstd;
  P* dgamma;  ///< null: not wanted
  P* dbeta;   ///< null: not wanted
  const double *sum_dy = nullptr, *sum_dy_xmu = nullptr;

  void operator()(std::int64_t c) const noexcept {
    if (dgamma != nullptr) dgamma[c] = static_cast<P>(rstd[c] * sum_dy_xmu[c]);
    if (dbeta != nullptr) dbeta[c] = static_cast<P>(sum_dy[c]);
  }
};
static_assert(ChannelWork<ParameterGradients<float>> && ChannelWork<ParameterGradients<double>>);

/// Those of batch renormalization (B70).
template <class P>
struct RenormParameterGradients {
  const double *rstd, *r, *d;
  P* dgamma;  ///< null: not wanted
  P* dbeta;   ///< null: not wanted
  const double *sum_dy = nullptr, *sum_dy_xmu = nullptr;

  void operator()(std::int64_t c) const noexcept {
    if (dgamma != nullptr) dgamma[c] = static_cast<P>(rstd[c] * sum_dy_xmu[c] * r[c] + d[c] * sum_dy[c]);
    if (dbeta != nullptr) dbeta[c] = static_cast<P>(sum_dy[c]);
  }
};
static_assert(ChannelWork<RenormParameterGradients<float>> && ChannelWork<RenormParameterGradients<double>>);

}  // namespace unitvar::math
