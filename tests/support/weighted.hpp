#pragma once
#include <vector>

#include "support/run.hpp"
#include "unitvar/weighted.hpp"

/// Weighted normalization on fresh memory.
namespace unitvar::test {

template <class T>
struct WeightedForwardResult : ForwardResult<T> {
  double total = 0;  ///< the sum of the weights
};

template <class T>
struct WeightedResult {
  WeightedForwardResult<T> forward;
  BackwardResult<T> backward;
};

template <class T>
WeightedForwardResult<T> run_weighted_forward(const Problem<T>& p, const std::vector<param_t<T>>& weight,
                                              const Options& options = {}, bool zero_unweighted = true) {
  const std::vector<double> c(to_size(p.extent.channels));
  WeightedForwardResult<T> r{{std::vector<T>(p.x.size()), c, c, c}};
  r.total = batch_norm_weighted_forward<T>({.extent = p.extent,
                                            .x = p.x,
                                            .weight = weight,
                                            .gamma = p.gamma,
                                            .beta = p.beta,
                                            .y = r.y,
                                            .mean = r.mean,
                                            .var = r.var,
                                            .rstd = r.rstd,
                                            .eps = p.eps,
                                            .zero_unweighted = zero_unweighted},
                                           options);
  return r;
}

template <class T>
BackwardResult<T> run_weighted_backward(const Problem<T>& p, const std::vector<param_t<T>>& weight,
                                        const ForwardResult<T>& f, const Options& options = {}) {
  const std::vector<param_t<T>> c(to_size(p.extent.channels));
  BackwardResult<T> r{std::vector<T>(p.x.size()), c, c};
  batch_norm_weighted_backward<T>({.extent = p.extent,
                                   .x = p.x,
                                   .dy = p.dy,
                                   .weight = weight,
                                   .mean = f.mean,
                                   .rstd = f.rstd,
                                   .gamma = p.gamma,
                                   .dx = r.dx,
                                   .dgamma = r.dgamma,
                                   .dbeta = r.dbeta},
                                  options);
  return r;
}

template <class T>
WeightedResult<T> run_weighted(const Problem<T>& p, const std::vector<param_t<T>>& weight, const Options& options) {
  const WeightedForwardResult<T> forward = run_weighted_forward(p, weight, options);
  return {forward, run_weighted_backward(p, weight, forward, options)};
}

}  // namespace unitvar::test
