#pragma once
#include "bench/problem.hpp"
#include "unitvar/batch_norm.hpp"
#include "unitvar/schedule.hpp"

namespace unitvar::bench {

/// The library's call of a pass on a problem, with every output; the forward also saves what the backward needs.
template <class T>
void run_library(Problem<T>& p, Pass pass, const Options& options) {
  switch (pass) {
    case Pass::forward:
      batch_norm_forward<T>({.extent = p.extent,
                             .x = p.x.span(),
                             .gamma = p.gamma,
                             .beta = p.beta,
                             .y = p.out.span(),
                             .mean = p.mean,
                             .var = p.var,
                             .rstd = p.rstd,
                             .eps = eps},
                            options);
      return;
    case Pass::inference:
      return batch_norm_inference<T>({.extent = p.extent,
                                      .x = p.x.span(),
                                      .mean = p.running_mean,
                                      .var = p.running_var,
                                      .gamma = p.gamma,
                                      .beta = p.beta,
                                      .y = p.out.span(),
                                      .eps = eps},
                                     options);
    case Pass::backward:
      return batch_norm_backward<T>({.extent = p.extent,
                                     .x = p.x.span(),
                                     .dy = p.dy.span(),
                                     .mean = p.mean,
                                     .rstd = p.rstd,
                                     .gamma = p.gamma,
                                     .dx = p.out.span(),
                                     .dgamma = p.dgamma,
                                     .dbeta = p.dbeta},
                                    options);
  }
}

/// The call of a pass on a problem of any operation, and what it counts.
template <class AnyProblem>
PrecisionCounts run_and_count(AnyProblem& p, Pass pass, Options options) {
  PrecisionCounts counts;
  options.cpu.counts = &counts;
  run_library(p, pass, options);
  return counts;
}

}  // namespace unitvar::bench
