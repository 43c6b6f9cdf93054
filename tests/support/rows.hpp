#pragma once
#include <string>
#include <vector>

#include "support/oracle.hpp"
#include "support/problem.hpp"
#include "unitvar/layer_norm.hpp"

/// Layer and RMS normalization on fresh memory, and what the reference says of them.
namespace unitvar::test {

enum class RowNorm { layer, rms };
inline constexpr RowNorm both_row_norms[] = {RowNorm::layer, RowNorm::rms};

inline std::string describe(RowNorm norm, const RowExtent& e) {
  return std::string(norm == RowNorm::layer ? "layer" : "rms") + " norm of " + std::to_string(e.rows) + " rows of " +
         std::to_string(e.length);
}

/// Inputs of one forward and backward. An empty gamma or beta is an absent one.
template <class T>
struct RowProblem {
  RowNorm norm;
  RowExtent extent;
  std::vector<T> x, dy;
  std::vector<param_t<T>> gamma, beta;
  double eps = 1e-5;
};

/// Normal x whose rows have means of alternating sign, dense random dy, gamma around 1, beta around 0.
template <class T>
RowProblem<T> make_row_problem(RowNorm norm, const RowExtent& e, double mean_over_std = 0, double scale = 1) {
  Random random(20160721);
  RowProblem<T> p{norm, e, normal_values<T>(e.size(), random), normal_values<T>(e.size(), random), {}, {}};
  for (std::int64_t k = 0; k < e.size(); ++k) {
    const double mean = k / e.length % 2 == 0 ? mean_over_std : -mean_over_std;
    p.x[to_size(k)] = static_cast<T>(scale * (mean + static_cast<double>(p.x[to_size(k)])));
  }
  p.gamma = normal_values<param_t<T>>(e.length, random, 1, 0.5);
  p.beta = normal_values<param_t<T>>(e.length, random, 0, 0.5);
  return p;
}

template <class T>
struct RowForwardResult {
  std::vector<T> y;
  std::vector<double> mean, rstd;  ///< mean is empty for RMS normalization
};

template <class T>
RowForwardResult<T> run_forward(const RowProblem<T>& p, const Options& options = {}) {
  const std::size_t rows = to_size(p.extent.rows);
  RowForwardResult<T> r{std::vector<T>(p.x.size()), {}, std::vector<double>(rows)};
  if (p.norm == RowNorm::layer) {
    r.mean.resize(rows);
    layer_norm_forward<T>({.extent = p.extent,
                           .x = p.x,
                           .gamma = p.gamma,
                           .beta = p.beta,
                           .y = r.y,
                           .mean = r.mean,
                           .rstd = r.rstd,
                           .eps = p.eps},
                          options);
  } else {
    rms_norm_forward<T>(
        {.extent = p.extent, .x = p.x, .gamma = p.gamma, .beta = p.beta, .y = r.y, .rstd = r.rstd, .eps = p.eps},
        options);
  }
  return r;
}

/// The backward into given memory, spans of it empty where nothing is wanted.
template <class T>
void run_backward_into(const RowProblem<T>& p, std::span<const T> dy, const RowForwardResult<T>& f, std::span<T> dx,
                       std::span<param_t<T>> dgamma, std::span<param_t<T>> dbeta, const Options& options = {}) {
  if (p.norm == RowNorm::layer) {
    layer_norm_backward<T>({.extent = p.extent,
                            .x = p.x,
                            .dy = dy,
                            .mean = f.mean,
                            .rstd = f.rstd,
                            .gamma = p.gamma,
                            .dx = dx,
                            .dgamma = dgamma,
                            .dbeta = dbeta},
                           options);
  } else {
    rms_norm_backward<T>({.extent = p.extent,
                          .x = p.x,
                          .dy = dy,
                          .rstd = f.rstd,
                          .gamma = p.gamma,
                          .dx = dx,
                          .dgamma = dgamma,
                          .dbeta = dbeta},
                         options);
  }
}

template <class T>
BackwardResult<T> run_backward(const RowProblem<T>& p, const RowForwardResult<T>& f, const Options& options = {}) {
  const std::size_t columns = to_size(p.extent.length);
  BackwardResult<T> r{std::vector<T>(p.x.size()), std::vector<param_t<T>>(columns), std::vector<param_t<T>>(columns)};
  run_backward_into<T>(p, p.dy, f, r.dx, r.dgamma, r.dbeta, options);
  return r;
}

/// Gradients of a second loss for dx, dgamma and dbeta.
template <class T>
struct Cotangents {
  std::vector<T> dx;
  std::vector<param_t<T>> dgamma, dbeta;
};

template <class T>
Cotangents<T> make_cotangents(const RowExtent& e) {
  Random random(7);
  return {normal_values<T>(e.size(), random), normal_values<param_t<T>>(e.length, random),
          normal_values<param_t<T>>(e.length, random)};
}

template <class T>
struct RowDoubleResult {
  std::vector<T> x, dy;
  std::vector<param_t<T>> gamma;
};

template <class T>
RowDoubleResult<T> run_double_backward(const RowProblem<T>& p, const RowForwardResult<T>& f, const Cotangents<T>& c,
                                       const Options& options = {}) {
  RowDoubleResult<T> r{std::vector<T>(p.x.size()), std::vector<T>(p.x.size()),
                       std::vector<param_t<T>>(to_size(p.extent.length))};
  const auto call = [&](auto args, auto operation) {
    args.extent = p.extent, args.x = p.x, args.dy = p.dy, args.rstd = f.rstd, args.gamma = p.gamma;
    args.grad_dx = c.dx, args.grad_dgamma = c.dgamma, args.grad_dbeta = c.dbeta;
    args.grad_x = r.x, args.grad_dy = r.dy, args.grad_gamma = r.gamma;
    operation(args, options);
  };
  if (p.norm == RowNorm::layer) {
    LayerNormDoubleBackward<T> args;
    args.mean = f.mean;
    call(args, layer_norm_double_backward<T>);
  } else {
    call(RmsNormDoubleBackward<T>{}, rms_norm_double_backward<T>);
  }
  return r;
}

/// Results, and for each the size of the terms it is made of.
template <class R>
struct RowExpected {
  reference::RowForward<R> forward;
  reference::Gradients<R> backward;
  R y_scale = 0, dx_scale = 0, dgamma_scale = 0, dbeta_scale = 0;
  double mean_over_std = 0;
};

template <class R, class T>
void measure_scales(RowExpected<R>& e, const RowProblem<T>& p) {
  const auto& c = e.forward.cache;
  for (std::size_t k = 0; k < p.x.size(); ++k) {
    const std::size_t r = k / to_size(p.extent.length), column = k % to_size(p.extent.length);
    const R beta = p.beta.empty() ? R(0) : static_cast<R>(p.beta[column]), dy = static_cast<R>(p.dy[k]);
    e.y_scale += std::pow(c.gamma[column] * c.x_hat[k], R(2)) + beta * beta;
    e.dx_scale += std::pow(c.gamma[column] * dy * c.rstd[r], R(2));
    e.dgamma_scale += dy * dy * std::max(c.x_hat[k] * c.x_hat[k], c.var[r] * c.rstd[r] * c.rstd[r]);
    e.dbeta_scale += dy * dy;
  }
  const R least = std::sqrt(static_cast<R>(p.x.size())) * static_cast<R>(smallest_normal<T>);
  e.y_scale = std::max(std::sqrt(e.y_scale), least), e.dx_scale = std::max(std::sqrt(e.dx_scale), least);
  e.dgamma_scale = std::sqrt(e.dgamma_scale), e.dbeta_scale = std::sqrt(e.dbeta_scale);
  for (std::size_t r = 0; r < c.mean.size(); ++r) {
    const R mean = std::abs(c.mean[r]), std = std::sqrt(c.var[r]);
    if (std > R(1e-12) * mean) e.mean_over_std = std::max(e.mean_over_std, static_cast<double>(mean / std));
  }
}

/// The reference on the problem's own (already rounded) inputs, in the arithmetic that judges T.
template <class T, class R = oracle_t<T>>
RowExpected<R> expected(const RowProblem<T>& p) {
  const auto forward = p.norm == RowNorm::layer ? reference::layer_norm_forward<R> : reference::rms_norm_forward<R>;
  RowExpected<R> e;
  e.forward = forward(p.extent, as<R>(p.x), as<R>(p.gamma), as<R>(p.beta), static_cast<R>(p.eps));
  e.backward = reference::row_norm_backward<R>(e.forward.cache, as<R>(p.dy));
  measure_scales(e, p);
  return e;
}

template <class T, class R>
void expect_results(const RowForwardResult<T>& f, const BackwardResult<T>& b, const RowExpected<R>& e) {
  expect_within<T>(Quantity::y, relative_l2(f.y, e.forward.y, e.y_scale), e.mean_over_std);
  expect_within<T>(Quantity::rstd, worst_relative(f.rstd, e.forward.cache.rstd), e.mean_over_std);
  expect_within<T>(Quantity::dx, relative_l2(b.dx, e.backward.dx, e.dx_scale), e.mean_over_std);
  expect_within<T>(Quantity::dgamma, relative_l2(b.dgamma, e.backward.dgamma, e.dgamma_scale), e.mean_over_std);
  expect_within<T>(Quantity::dbeta, relative_l2(b.dbeta, e.backward.dbeta, e.dbeta_scale), e.mean_over_std);
}

}  // namespace unitvar::test
