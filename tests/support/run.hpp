#pragma once
#include <vector>

#include "support/problem.hpp"
#include "unitvar/batch_norm.hpp"

/// The three operations on fresh memory.
namespace unitvar::test {

template <class T>
struct ForwardResult {
  std::vector<T> y;
  std::vector<double> mean, var, rstd;
};

template <class T>
ForwardResult<T> run_forward(const Problem<T>& p, const Options& options = {}) {
  const std::size_t c = to_size(p.extent.channels);
  ForwardResult<T> r{std::vector<T>(p.x.size()), std::vector<double>(c), std::vector<double>(c),
                     std::vector<double>(c)};
  batch_norm_forward<T>({.extent = p.extent,
                         .x = p.x,
                         .gamma = p.gamma,
                         .beta = p.beta,
                         .y = r.y,
                         .mean = r.mean,
                         .var = r.var,
                         .rstd = r.rstd,
                         .eps = p.eps},
                        options);
  return r;
}

template <class T>
std::vector<T> run_inference(const Problem<T>& p, const std::vector<double>& mean, const std::vector<double>& var,
                             const Options& options = {}) {
  std::vector<T> y(p.x.size());
  batch_norm_inference<T>(
      {.extent = p.extent, .x = p.x, .mean = mean, .var = var, .gamma = p.gamma, .beta = p.beta, .y = y, .eps = p.eps},
      options);
  return y;
}

template <class T>
struct BackwardResult {
  std::vector<T> dx;
  std::vector<param_t<T>> dgamma, dbeta;
};

template <class T>
BackwardResult<T> run_backward(const Problem<T>& p, const std::vector<double>& mean, const std::vector<double>& rstd,
                               const Options& options = {}) {
  const std::size_t c = to_size(p.extent.channels);
  BackwardResult<T> r{std::vector<T>(p.x.size()), std::vector<param_t<T>>(c), std::vector<param_t<T>>(c)};
  batch_norm_backward<T>({.extent = p.extent,
                          .x = p.x,
                          .dy = p.dy,
                          .mean = mean,
                          .rstd = rstd,
                          .gamma = p.gamma,
                          .dx = r.dx,
                          .dgamma = r.dgamma,
                          .dbeta = r.dbeta},
                         options);
  return r;
}

/// Forward, then backward with the statistics the forward saved.
template <class T>
BackwardResult<T> run_backward(const Problem<T>& p, const Options& options = {}) {
  const ForwardResult<T> forward = run_forward(p, options);
  return run_backward(p, forward.mean, forward.rstd, options);
}

}  // namespace unitvar::test
