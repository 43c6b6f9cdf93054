#pragma once
#include <vector>

#include "support/problem.hpp"
#include "unitvar/phases.hpp"

namespace unitvar::test {

/// What the phases give when they are composed by hand, forward and backward.
template <class T>
struct PhaseResults {
  std::vector<double> mean, m2, var, rstd, sum_dy, sum_dy_xmu;
  std::vector<T> y, dx;

  [[nodiscard]] std::vector<param_t<T>> dgamma() const {
    std::vector<param_t<T>> values(mean.size());
    for (std::size_t c = 0; c < values.size(); ++c) values[c] = static_cast<param_t<T>>(rstd[c] * sum_dy_xmu[c]);
    return values;
  }
  [[nodiscard]] std::vector<param_t<T>> dbeta() const {
    std::vector<param_t<T>> values(mean.size());
    for (std::size_t c = 0; c < values.size(); ++c) values[c] = static_cast<param_t<T>>(sum_dy[c]);
    return values;
  }
};

template <class T>
PhaseResults<T> allocate_phases(const Extent& extent) {
  const std::vector<double> per_channel(to_size(extent.channels));
  const std::vector<T> per_element(to_size(extent.size()));
  return {per_channel, per_channel, per_channel, per_channel, per_channel, per_channel, per_element, per_element};
}

template <class T>
PhaseResults<T> run_phases(const Problem<T>& p, const Options& options = {}) {
  PhaseResults<T> r = allocate_phases<T>(p.extent);
  const auto count = static_cast<double>(p.extent.count());
  moments<T>({.extent = p.extent, .x = p.x, .mean = r.mean, .m2 = r.m2}, options);
  finish_moments(count, r.m2, p.eps, r.var, r.rstd);
  normalize<T>(
      {.extent = p.extent, .x = p.x, .mean = r.mean, .rstd = r.rstd, .gamma = p.gamma, .beta = p.beta, .y = r.y},
      options);
  gradient_sums<T>(
      {.extent = p.extent, .x = p.x, .dy = p.dy, .mean = r.mean, .sum_dy = r.sum_dy, .sum_dy_xmu = r.sum_dy_xmu},
      options);
  input_gradient<T>({.extent = p.extent,
                     .x = p.x,
                     .dy = p.dy,
                     .mean = r.mean,
                     .rstd = r.rstd,
                     .gamma = p.gamma,
                     .sum_dy = r.sum_dy,
                     .sum_dy_xmu = r.sum_dy_xmu,
                     .count = count,
                     .dx = r.dx},
                    options);
  return r;
}

}  // namespace unitvar::test
