#pragma once
#include "support/oracle.hpp"
#include "unitvar/derivatives.hpp"

/// Problems for all derivatives of the library, their results, and what the reference says these are.
namespace unitvar::test {

/// Inputs of all derivatives of one batch. dy and v are correlated with x and with one another, so that no sum of
/// products is near 0.
template <class T>
struct Inputs {
  using P = param_t<T>;

  explicit Inputs(const Extent& extent, double mean_over_std = 0, double eps = 1e-5)
      : p(make_problem<T>(extent, mean_over_std)) {
    Random random(43);
    p.eps = eps;
    const auto forward = run_forward(p);
    mean = forward.mean, rstd = forward.rstd;
    for (std::size_t k = 0; k < p.x.size(); ++k) {
      const std::size_t c = k / to_size(extent.inner) % to_size(extent.channels);
      const double x_hat = (static_cast<double>(p.x[k]) - mean[c]) * rstd[c];
      const double dy = random.normal() + x_hat / 2 + 0.25;
      p.dy[k] = static_cast<T>(dy);
      v.push_back(static_cast<T>(random.normal() + dy / 2 - x_hat / 4));
    }
    u = normal_values<P>(extent.channels, random), w = normal_values<P>(extent.channels, random);
    dmean = normal_values<double>(extent.channels, random), dvar = normal_values<double>(extent.channels, random);
  }

  Problem<T> p;
  std::vector<double> mean, rstd, dmean, dvar;
  std::vector<T> v;
  std::vector<P> u, w;
};

enum class Statistics { batch, frozen };

/// What every derivative gives, in the library's types, or in the reference's.
template <class V, class P, class S>
struct Outputs {
  std::vector<V> dx, grad_x, grad_dy, y_dot;
  std::vector<P> dgamma, dbeta, grad_gamma;
  std::vector<S> mean_dot, var_dot;
};
template <class T>
using LibraryOutputs = Outputs<T, param_t<T>, double>;
template <class R>
using ReferenceOutputs = Outputs<R, R, R>;

template <class T>
LibraryOutputs<T> run_derivatives(const Inputs<T>& in, Statistics statistics, const Options& options = {}) {
  const std::size_t n = in.p.x.size(), c = in.mean.size();
  LibraryOutputs<T> out{std::vector<T>(n),          std::vector<T>(n),          std::vector<T>(n),
                        std::vector<T>(n),          std::vector<param_t<T>>(c), std::vector<param_t<T>>(c),
                        std::vector<param_t<T>>(c), std::vector<double>(c),     std::vector<double>(c)};
  const BatchNormDoubleBackward<T> second{in.p.extent, in.p.x, in.p.dy, in.mean,    in.rstd,     in.p.gamma,
                                          in.v,        in.u,   in.w,    out.grad_x, out.grad_dy, out.grad_gamma};
  const BatchNormJvp<T> forward_mode{in.p.extent, in.p.x, in.mean,   in.rstd,      in.p.gamma, in.v,
                                     in.u,        in.w,   out.y_dot, out.mean_dot, out.var_dot};
  if (statistics == Statistics::frozen) {
    batch_norm_frozen_double_backward(second, options);
    batch_norm_frozen_jvp(forward_mode, options);
    return out;
  }
  batch_norm_double_backward(second, options);
  batch_norm_jvp(forward_mode, options);
  batch_norm_statistics_backward<T>(
      {in.p.extent, in.p.x, in.p.dy, in.mean, in.rstd, in.p.gamma, in.dmean, in.dvar, out.dx, out.dgamma, out.dbeta},
      options);
  return out;
}

template <class T, class R = oracle_t<T>>
ReferenceOutputs<R> reference_derivatives(const Inputs<T>& in, Statistics statistics) {
  const auto x = as<R>(in.p.x), dy = as<R>(in.p.dy), v = as<R>(in.v), gamma = as<R>(in.p.gamma), u = as<R>(in.u),
             w = as<R>(in.w), mean = as<R>(in.mean), rstd = as<R>(in.rstd);
  const Extent& e = in.p.extent;
  if (statistics == Statistics::frozen) {
    const auto second = reference::frozen_double_backward<R>(e, x, mean, rstd, gamma, dy, v, u, w);
    return {{},
            second.grad_x,
            second.grad_dy,
            reference::frozen_jvp<R>(e, x, mean, rstd, gamma, v, u, w),
            {},
            {},
            second.grad_gamma,
            std::vector<R>(mean.size()),
            std::vector<R>(mean.size())};
  }
  const auto cache = reference::forward<R>(e, x, gamma, {}, static_cast<R>(in.p.eps)).cache;
  const auto second = reference::double_backward<R>(cache, dy, v, u, w);
  const auto tangents = reference::jvp<R>(cache, v, u, w);
  const auto first = reference::statistics_backward<R>(cache, dy, as<R>(in.dmean), as<R>(in.dvar));
  return {first.dx,    second.grad_x,     second.grad_dy,    tangents.y_dot,  first.dgamma,
          first.dbeta, second.grad_gamma, tangents.mean_dot, tangents.var_dot};
}

/// For each channel the size of the terms that mean(a * b) is a sum of, in the L2 norm over all channels: rms(a) *
/// rms(b)
/// * factor(c).
template <class R, class Factor>
R size_of_products(const Extent& extent, const std::vector<R>& a, const std::vector<R>& b, Factor factor) {
  R total = 0;
  for (std::int64_t c = 0; c < extent.channels; ++c) {
    const R size = l2_norm(channel_values(extent, a, c)) * l2_norm(channel_values(extent, b, c)) * factor(to_size(c));
    total += size * size;
  }
  return std::sqrt(total) / static_cast<R>(extent.count());
}

}  // namespace unitvar::test
