#pragma once
#include "math/channel_math.hpp"
#include "unitvar/dtype.hpp"

namespace unitvar::math {

/// What the passes of a double backward over groups sum for each part, and what is made of it.
struct GroupDerivativeArrays {
  double *mean, *rstd;
  double *sum_dy, *sum_dy_xmu;  ///< of dy and dy * (x - mean)
  double *sum_v, *sum_v_xmu;    ///< of v and v * (x - mean)
  double *mean_dy, *cross;      ///< of the part's dy; sum of v * (dy - mean_dy)
  double* mean_v;               ///< of the group
  double *grad_gamma, *w;
  double* mixed;  ///< of x in grad_dy, and of dy in grad_x: second derivatives are symmetric
  double* v_in_grad_dy;
  double *x_in_grad_x, *v_in_grad_x, *offset_of_grad_x;
};

/// The mean of a part's dy, from its sum.
struct MeanOfSum {
  double count;
  const double* sum;
  double* mean;

  void operator()(std::int64_t k) const noexcept { mean[k] = sum[k] / count; }
};
static_assert(ChannelWork<MeanOfSum>);

/// From the sums of one group's parts, of `count` values each, to the coefficients of the maps (B79): f(g) is of group
/// g.
template <class P>
struct GroupSecondGradient {
  double count;
  std::int64_t group_parts, parameters;
  const P *gamma, *grad_dgamma, *grad_dbeta;  ///< null: absent
  GroupDerivativeArrays a;

  void operator()(std::int64_t group) const noexcept {
    const std::int64_t begin = group * group_parts, end = begin + group_parts;
    const std::int64_t first = begin / parameters * parameters;  // part k takes parameter k - first
    const double r = a.rstd[begin], values = count * static_cast<double>(end - begin);
    const auto mean_of = [&](const auto& term) {
      double sum = 0;
      for (std::int64_t k = begin; k < end; ++k) sum += term(k);
      return sum / values;
    };
    const auto g = [&](std::int64_t k) { return gamma_at(gamma, k - first); };
    const auto u = [&](std::int64_t k) { return beta_at(grad_dgamma, k - first); };
    const double v = mean_of([&](std::int64_t k) { return a.sum_v[k]; });
    const double gy = mean_of([&](std::int64_t k) { return g(k) * a.sum_dy[k]; });
    const double udy = mean_of([&](std::int64_t k) { return u(k) * a.sum_dy[k]; });
    const double p = r * mean_of([&](std::int64_t k) { return a.sum_v_xmu[k]; });
    const double q = r * mean_of([&](std::int64_t k) { return g(k) * a.sum_dy_xmu[k]; });
    const double q_u = r * mean_of([&](std::int64_t k) { return u(k) * a.sum_dy_xmu[k]; });
    const double covariance = mean_of(
        [&](std::int64_t k) { return g(k) * a.cross[k] + (g(k) * a.mean_dy[k] - gy) * (a.sum_v[k] - count * v); });
    for (std::int64_t k = begin; k < end; ++k) {
      const double dy = a.mean_dy[k];
      a.mean_v[k] = v;
      a.grad_gamma[k] = r * (a.cross[k] + dy * (a.sum_v[k] - count * v) - p * r * a.sum_dy_xmu[k]);
      a.w[k] = beta_at(grad_dbeta, k - first);
      a.mixed[k] = r * (u(k) - p * r * g(k));
      a.v_in_grad_dy[k] = g(k) * r;
      a.x_in_grad_x[k] = -r * r * (r * (covariance - 3 * p * q) + q_u);
      a.v_in_grad_x[k] = -r * r * q;
      a.offset_of_grad_x[k] = r * ((u(k) * dy - udy) - p * r * (g(k) * dy - gy));
    }
  }
};
static_assert(ChannelWork<GroupSecondGradient<float>> && ChannelWork<GroupSecondGradient<double>>);

}  // namespace unitvar::math
