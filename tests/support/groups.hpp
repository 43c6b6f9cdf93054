#pragma once
#include <array>
#include <string>
#include <vector>

#include "support/oracle.hpp"
#include "support/problem.hpp"
#include "support/run.hpp"
#include "unitvar/group_norm.hpp"
#include "unitvar/reference/group_norm.hpp"

/// Group norm on fresh memory, and what the reference says of it.
namespace unitvar::test {

enum class Layout { channels_first, channels_last };
inline constexpr Layout both_layouts[] = {Layout::channels_first, Layout::channels_last};

/// A tensor of N samples of C channels of S elements, in G groups.
inline Groups make_groups(Layout layout, std::int64_t n, std::int64_t c, std::int64_t s, std::int64_t groups) {
  if (layout == Layout::channels_first) return Groups::channels_first(std::array{n, c, s}, groups);
  return Groups::channels_last(std::array{n, s, c}, groups);
}

inline std::string describe(const Groups& g) {
  return describe(g.extent) + ", samples of " + std::to_string(g.sample_rows) + " rows, " + std::to_string(g.groups) +
         " groups";
}

/// Where element k stands: its channel, and its group among those of all samples.
struct GroupPlace {
  std::size_t channel, group;
};

inline GroupPlace place_of(const Groups& groups, std::size_t k) {
  const Extent& e = groups.extent;
  const std::size_t c = k / to_size(e.inner) % to_size(e.channels);
  const std::size_t sample = k / to_size(e.channels * e.inner * groups.sample_rows);
  return {c, sample * to_size(groups.per_sample()) + c / to_size(groups.group_channels())};
}

template <class T>
struct GroupProblem {
  Groups groups;
  Problem<T> of;
};

/// As make_problem, but the channels' means are near one another: those of a group make one mean.
template <class T>
GroupProblem<T> make_group_problem(const Groups& groups, double mean_over_std = 0) {
  GroupProblem<T> p{groups, make_problem<T>(groups.extent)};
  const Extent& e = groups.extent;
  for (std::size_t k = 0; k < p.of.x.size(); ++k) {
    const auto c = static_cast<double>(k / to_size(e.inner) % to_size(e.channels) % 5);
    p.of.x[k] = static_cast<T>(mean_over_std + 0.25 * c + static_cast<double>(p.of.x[k]));
  }
  return p;
}

template <class T>
struct GroupForwardResult {
  std::vector<T> y;
  std::vector<double> mean, rstd;
};

template <class T>
GroupForwardResult<T> run_forward(const GroupProblem<T>& p, const Options& options = {}) {
  const std::size_t statistics = to_size(p.groups.size());
  GroupForwardResult<T> r{std::vector<T>(p.of.x.size()), std::vector<double>(statistics),
                          std::vector<double>(statistics)};
  group_norm_forward<T>({.groups = p.groups,
                         .x = p.of.x,
                         .gamma = p.of.gamma,
                         .beta = p.of.beta,
                         .y = r.y,
                         .mean = r.mean,
                         .rstd = r.rstd,
                         .eps = p.of.eps},
                        options);
  return r;
}

template <class T>
BackwardResult<T> run_backward(const GroupProblem<T>& p, const GroupForwardResult<T>& forward,
                               const Options& options = {}) {
  const std::size_t c = to_size(p.groups.extent.channels);
  BackwardResult<T> r{std::vector<T>(p.of.x.size()), std::vector<param_t<T>>(c), std::vector<param_t<T>>(c)};
  group_norm_backward<T>({.groups = p.groups,
                          .x = p.of.x,
                          .dy = p.of.dy,
                          .mean = forward.mean,
                          .rstd = forward.rstd,
                          .gamma = p.of.gamma,
                          .dx = r.dx,
                          .dgamma = r.dgamma,
                          .dbeta = r.dbeta},
                         options);
  return r;
}

/// The reference's results on the problem's own inputs, and the size of the terms that each is made of.
template <class T, class R = oracle_t<T>>
struct GroupExpected {
  reference::GroupForward<R> forward;
  reference::Gradients<R> backward;
  R y_scale = 0, dx_scale = 0, dgamma_scale = 0, dbeta_scale = 0;
  double mean_over_std = 0;
};

template <class T>
GroupExpected<T> expected(const GroupProblem<T>& p) {
  using R = oracle_t<T>;
  const std::vector<R> x = as<R>(p.of.x), dy = as<R>(p.of.dy), gamma = as<R>(p.of.gamma), beta = as<R>(p.of.beta);
  GroupExpected<T> e;
  e.forward = reference::group_norm_forward<R>(p.groups, x, gamma, beta, static_cast<R>(p.of.eps));
  const reference::GroupCache<R>& cache = e.forward.cache;
  e.backward = reference::group_norm_backward<R>(cache, dy);
  e.mean_over_std = largest_mean_over_std<R>(
      {.extent = {}, .mean = cache.mean, .var = cache.var, .rstd = {}, .x_hat = {}, .gamma = {}});
  for (std::size_t k = 0; k < dy.size(); ++k) {
    const auto [c, g] = place_of(p.groups, k);
    const R scale = cache.gamma[c], shift = beta.empty() ? R(0) : beta[c], x_hat = cache.x_hat[k];
    e.y_scale += scale * scale * x_hat * x_hat + shift * shift;
    e.dx_scale += std::pow(scale * cache.rstd[g] * dy[k], R(2));
    // x_hat is known to a fraction of its rms in the group, not of itself.
    e.dgamma_scale += dy[k] * dy[k] * std::max(x_hat * x_hat, cache.var[g] * cache.rstd[g] * cache.rstd[g]);
    e.dbeta_scale += dy[k] * dy[k];
  }
  for (R* scale : {&e.y_scale, &e.dx_scale, &e.dgamma_scale, &e.dbeta_scale}) *scale = std::sqrt(*scale);
  return e;
}

template <class T>
void expect_parity(const GroupForwardResult<T>& forward, const BackwardResult<T>& backward, const GroupExpected<T>& e) {
  const double ratio = e.mean_over_std;
  expect_within<T>(Quantity::y, relative_l2(forward.y, e.forward.y, e.y_scale), ratio);
  expect_within<T>(Quantity::dx, relative_l2(backward.dx, e.backward.dx, e.dx_scale), ratio);
  expect_within<T>(Quantity::dgamma, relative_l2(backward.dgamma, e.backward.dgamma, e.dgamma_scale), ratio);
  expect_within<T>(Quantity::dbeta, relative_l2(backward.dbeta, e.backward.dbeta, e.dbeta_scale), ratio);
}

/// What comes in for the backward's results, and what the backward of the backward makes of it.
template <class T>
struct GroupCotangents {
  std::vector<T> grad_dx;
  std::vector<param_t<T>> grad_dgamma, grad_dbeta;
};

template <class T>
GroupCotangents<T> make_cotangents(const Groups& groups) {
  Random random(5);
  const std::int64_t c = groups.extent.channels;
  return {normal_values<T>(groups.extent.size(), random, 0.5), normal_values<param_t<T>>(c, random),
          normal_values<param_t<T>>(c, random)};
}

template <class T>
struct GroupDoubleResult {
  std::vector<T> grad_x, grad_dy;
  std::vector<param_t<T>> grad_gamma;
};

template <class T>
GroupDoubleResult<T> run_double_backward(const GroupProblem<T>& p, const GroupForwardResult<T>& forward,
                                         const GroupCotangents<T>& in, const Options& options = {}) {
  GroupDoubleResult<T> r{std::vector<T>(p.of.x.size()), std::vector<T>(p.of.x.size()),
                         std::vector<param_t<T>>(to_size(p.groups.extent.channels))};
  group_norm_double_backward<T>({.groups = p.groups,
                                 .x = p.of.x,
                                 .dy = p.of.dy,
                                 .mean = forward.mean,
                                 .rstd = forward.rstd,
                                 .gamma = p.of.gamma,
                                 .grad_dx = in.grad_dx,
                                 .grad_dgamma = in.grad_dgamma,
                                 .grad_dbeta = in.grad_dbeta,
                                 .grad_x = r.grad_x,
                                 .grad_dy = r.grad_dy,
                                 .grad_gamma = r.grad_gamma},
                                options);
  return r;
}

}  // namespace unitvar::test
