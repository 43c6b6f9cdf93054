#pragma once
#include <vector>

#include "support/run.hpp"
#include "unitvar/weighted.hpp"

/// Weighted normalization on fresh memory.
namespace unitvar::test {

template <class T>
struct WeightedResult {
  double total = 0;
  ForwardResult<T> forward;
  BackwardResult<T> backward;
};

template <class T>
WeightedResult<T> run_weighted(const Problem<T>& p, const std::vector<param_t<T>>& weight, const Options& options) {
  const std::vector<double> c(to_size(p.extent.channels));
  WeightedResult<T> r{
      0,
      {std::vector<T>(p.x.size()), c, c, c},
      {std::vector<T>(p.x.size()), std::vector<param_t<T>>(c.size()), std::vector<param_t<T>>(c.size())}};
  r.total = weighted_batch_norm_forward<T>({.extent = p.extent,
                                            .x = p.x,
                                            .weight = weight,
                                            .gamma = p.gamma,
                                            .beta = p.beta,
                                            .y = r.forward.y,
                                            .mean = r.forward.mean,
                                            .var = r.forward.var,
                                            .rstd = r.forward.rstd,
                                            .eps = p.eps},
                                           options);
  weighted_batch_norm_backward<T>({.extent = p.extent,
                                   .x = p.x,
                                   .dy = p.dy,
                                   .weight = weight,
                                   .mean = r.forward.mean,
                                   .rstd = r.forward.rstd,
                                   .gamma = p.gamma,
                                   .dx = r.backward.dx,
                                   .dgamma = r.backward.dgamma,
                                   .dbeta = r.backward.dbeta},
                                  options);
  return r;
}

}  // namespace unitvar::test
