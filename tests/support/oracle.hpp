#pragma once
#include <algorithm>
#include <cmath>
#include <span>
#include <type_traits>
#include <vector>

#include "support/measure.hpp"
#include "support/problem.hpp"
#include "support/run.hpp"
#include "support/tolerance.hpp"
#include "unitvar/reference.hpp"

/// What the reference says a problem's results are, and the comparison with it.
namespace unitvar::test {

/// Everything is judged in double, double in long double.
template <class T>
using oracle_t = std::conditional_t<std::is_same_v<T, double>, long double, double>;

template <class R, class T>
std::vector<R> as(const std::vector<T>& values) {
  return {values.begin(), values.end()};
}

/// Results, and for each the size of the terms it is made of (see relative_l2).
template <class T, class R = oracle_t<T>>
struct Expected {
  reference::Forward<R> forward;
  reference::Gradients<R> backward;
  R y_scale, dx_scale, dgamma_scale, dbeta_scale;
  R dx_terms;  ///< the size of gamma * rstd * (dy - mean(dy))
  double mean_over_std;
};

/// What the error of a gradient is relative to. Where it is a small difference of its terms, their size counts: of dx
/// that of gamma * rstd * (dy - mean(dy)), and of dgamma and dbeta sqrt(N) * rms(term), of which a hundredth.
template <class R>
R yardstick(Quantity quantity, R result, R terms) {
  return std::max(result, quantity == Quantity::dx ? terms : terms / 100);
}

/// Over all channels but those that are constant to rounding, where the ratio says nothing.
template <class R>
double largest_mean_over_std(const reference::Cache<R>& cache) {
  R largest = 0;
  for (std::size_t c = 0; c < cache.mean.size(); ++c) {
    const R mean = std::abs(cache.mean[c]), std = std::sqrt(cache.var[c]);
    if (std > R(1e-12) * mean) largest = std::max(largest, mean / std);
  }
  return static_cast<double>(largest);
}

template <class R, class T>
void measure_scales(Expected<T, R>& e, const Problem<T>& p) {
  const reference::Cache<R>& cache = e.forward.cache;
  R y = 0, dx = 0, dgamma = 0, dbeta = 0, dx_terms = 0;
  std::vector<R> mean_dy(cache.mean.size());
  for (std::size_t k = 0; k < p.dy.size(); ++k) {
    mean_dy[k / to_size(p.extent.inner) % mean_dy.size()] +=
        static_cast<R>(p.dy[k]) / static_cast<R>(p.extent.outer * p.extent.inner);
  }
  for (std::size_t k = 0; k < p.x.size(); ++k) {
    const std::size_t c = k / to_size(p.extent.inner) % to_size(p.extent.channels);
    const R g = p.gamma.empty() ? R(1) : static_cast<R>(p.gamma[c]);
    const R b = p.beta.empty() ? R(0) : static_cast<R>(p.beta[c]);
    const R dy = static_cast<R>(p.dy[k]), x_hat = cache.x_hat[k];
    y += g * g * x_hat * x_hat + b * b;
    dx += std::pow(g * cache.rstd[c] * dy, R(2));
    dx_terms += std::pow(g * cache.rstd[c] * (dy - mean_dy[c]), R(2));
    // x_hat is known to a fraction of its rms in the channel, not of itself.
    dgamma += dy * dy * std::max(x_hat * x_hat, cache.var[c] * cache.rstd[c] * cache.rstd[c]);
    dbeta += dy * dy;
  }
  const R least = std::sqrt(static_cast<R>(p.x.size())) * static_cast<R>(smallest_normal<T>);
  e.y_scale = std::max(std::sqrt(y), least), e.dx_scale = std::max(std::sqrt(dx), least);
  e.dgamma_scale = std::sqrt(dgamma), e.dbeta_scale = std::sqrt(dbeta), e.dx_terms = std::sqrt(dx_terms);
}

/// The reference in arithmetic R on the problem's own (already rounded) inputs.
template <class R, class T>
Expected<T, R> expected_in(const Problem<T>& p) {
  const std::vector<R> x = as<R>(p.x), dy = as<R>(p.dy), gamma = as<R>(p.gamma), beta = as<R>(p.beta);
  Expected<T, R> e{};
  e.forward = reference::forward<R>(p.extent, x, gamma, beta, static_cast<R>(p.eps));
  e.backward = reference::backward<R>(e.forward.cache, dy);
  e.mean_over_std = largest_mean_over_std(e.forward.cache);
  measure_scales(e, p);
  return e;
}

template <class T>
Expected<T> expected(const Problem<T>& p) {
  return expected_in<oracle_t<T>>(p);
}

template <class T>
void expect_within(Quantity quantity, double error, double mean_over_std) {
  EXPECT_LE(error, tolerance<T>(quantity, mean_over_std))
      << quantity_name(quantity) << " at |mean|/std " << mean_over_std << "; " << bound<T>(quantity).reason;
}

/// Inference by its formula, in arithmetic R.
template <class R, class T>
std::vector<R> expected_inference(const Problem<T>& p, const std::vector<double>& mean,
                                  const std::vector<double>& var) {
  std::vector<R> y(p.x.size());
  for (std::size_t k = 0; k < y.size(); ++k) {
    const std::size_t c = k / to_size(p.extent.inner) % to_size(p.extent.channels);
    const R rstd = 1 / std::sqrt(static_cast<R>(var[c]) + static_cast<R>(p.eps));
    const R g = p.gamma.empty() ? R(1) : static_cast<R>(p.gamma[c]);
    const R b = p.beta.empty() ? R(0) : static_cast<R>(p.beta[c]);
    y[k] = g * (static_cast<R>(p.x[k]) - static_cast<R>(mean[c])) * rstd + b;
  }
  return y;
}

/// The promise as it stands: relative L2 error of y, dx, dgamma, dbeta.
template <class T>
void expect_y(const std::vector<T>& y, const Expected<T>& e) {
  expect_within<T>(Quantity::y, relative_l2(y, e.forward.y), e.mean_over_std);
}

template <class T>
void expect_gradients(const BackwardResult<T>& r, const Expected<T>& e) {
  expect_within<T>(Quantity::dx, relative_l2(r.dx, e.backward.dx), e.mean_over_std);
  expect_within<T>(Quantity::dgamma, relative_l2(r.dgamma, e.backward.dgamma), e.mean_over_std);
  expect_within<T>(Quantity::dbeta, relative_l2(r.dbeta, e.backward.dbeta), e.mean_over_std);
}

/// The same where a gradient may be a small difference of its terms.
template <class T, class R>
void expect_gradient(Quantity quantity, const auto& actual, const std::vector<R>& expected, R terms, double ratio) {
  const R scale = yardstick(quantity, l2_norm(expected), terms);
  expect_within<T>(quantity, relative_l2(actual, expected, scale), ratio);
}
template <class T>
void expect_gradients_by_yardstick(const BackwardResult<T>& r, const Expected<T>& e) {
  expect_gradient<T>(Quantity::dx, r.dx, e.backward.dx, e.dx_terms, e.mean_over_std);
  expect_gradient<T>(Quantity::dgamma, r.dgamma, e.backward.dgamma, e.dgamma_scale, e.mean_over_std);
  expect_gradient<T>(Quantity::dbeta, r.dbeta, e.backward.dbeta, e.dbeta_scale, e.mean_over_std);
}

/// The same for any shape: where so few values meet that the result may cancel, relative to its terms.
template <class T>
void expect_y_relative_to_terms(const std::vector<T>& y, const Expected<T>& e) {
  expect_within<T>(Quantity::y, relative_l2(y, e.forward.y, e.y_scale), e.mean_over_std);
}

template <class T>
void expect_gradients_relative_to_terms(const BackwardResult<T>& r, const Expected<T>& e) {
  expect_within<T>(Quantity::dx, relative_l2(r.dx, e.backward.dx, e.dx_scale), e.mean_over_std);
  expect_within<T>(Quantity::dgamma, relative_l2(r.dgamma, e.backward.dgamma, e.dgamma_scale), e.mean_over_std);
  expect_within<T>(Quantity::dbeta, relative_l2(r.dbeta, e.backward.dbeta, e.dbeta_scale), e.mean_over_std);
}

/// Saved statistics against a long double reference: the mean in units of std, var and rstd relative.
template <class T>
void expect_statistics(const ForwardResult<T>& r, const Expected<T, long double>& e) {
  const reference::Cache<long double>& cache = e.forward.cache;
  double worst_mean = 0;
  for (std::size_t c = 0; c < r.mean.size(); ++c) {
    const auto off = static_cast<double>(std::abs(r.mean[c] - cache.mean[c]) * cache.rstd[c]);
    if (!(off <= worst_mean)) worst_mean = off;
  }
  expect_within<T>(Quantity::mean, worst_mean, e.mean_over_std);
  expect_within<T>(Quantity::var, worst_relative(r.var, cache.var), e.mean_over_std);
  expect_within<T>(Quantity::rstd, worst_relative(r.rstd, cache.rstd), e.mean_over_std);
}

}  // namespace unitvar::test
