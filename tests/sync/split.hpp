#pragma once
#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

#include "support/measure.hpp"
#include "support/problem.hpp"
#include "unitvar/batch_norm_layer.hpp"
#include "unitvar/communicator.hpp"

/// A batch that is spread over ranks, and what one process makes of the whole of it.
namespace unitvar::test {

/// How many rows of the extent each rank has.
using Split = std::vector<std::int64_t>;

inline std::int64_t rows_before(const Split& split, int rank) {
  return std::accumulate(split.begin(), split.begin() + rank, std::int64_t{0});
}

inline std::string describe(const Split& split) {
  std::string text = "rows";
  for (const std::int64_t rows : split) text += " " + std::to_string(rows);
  return text;
}

template <class V>
std::vector<V> rows_of(const std::vector<V>& values, const Extent& whole, const Split& split, int rank) {
  const std::int64_t row = whole.channels * whole.inner, begin = rows_before(split, rank) * row;
  const std::int64_t end = begin + split[to_size(rank)] * row;
  if (values.empty()) return {};
  return {values.begin() + begin, values.begin() + end};
}

template <class T>
Problem<T> part_of(const Problem<T>& p, const Split& split, int rank) {
  return {{split[to_size(rank)], p.extent.channels, p.extent.inner},
          rows_of(p.x, p.extent, split, rank),
          rows_of(p.dy, p.extent, split, rank),
          p.gamma,
          p.beta,
          p.eps};
}

/// Even, uneven, with ranks that have nothing, with ranks that have a single row.
inline std::vector<Split> splits_of(std::int64_t rows, int ranks) {
  const auto n = to_size(ranks);
  Split even(n, rows / ranks), first_has_most(n, 1), last_has_all(n, 0), every_other(n, 0);
  even.front() += rows % ranks;
  first_has_most.front() = rows - (ranks - 1);
  last_has_all.back() = rows;
  for (int r = 0; r < ranks; r += 2) every_other[to_size(r)] = 2 * rows / (ranks + 1) / 2;
  every_other.front() += rows - rows_before(every_other, ranks);
  return {even, first_has_most, last_has_all, every_other};
}

/// One training step of a layer: everything it makes.
template <class T>
struct StepResult {
  std::vector<T> y, dx;
  std::vector<param_t<T>> dgamma, dbeta;
  std::vector<double> mean, var, rstd, running_mean, running_var;
};

template <class T>
StepResult<T> run_step(const Problem<T>& p, const Options& options) {
  BatchNorm<T> layer(p.extent.channels, {.eps = p.eps, .options = options});
  std::copy(p.gamma.begin(), p.gamma.end(), layer.gamma().begin());
  std::copy(p.beta.begin(), p.beta.end(), layer.beta().begin());
  StepResult<T> r;
  r.y.resize(p.x.size());
  r.dx.resize(p.x.size());
  layer.forward(p.extent, p.x, r.y);
  layer.backward(p.extent, p.x, p.dy, r.dx);
  const auto copy = [](const auto& span, auto& to) { to.assign(span.begin(), span.end()); };
  copy(layer.dgamma(), r.dgamma), copy(layer.dbeta(), r.dbeta);
  copy(layer.saved_mean(), r.mean), copy(layer.saved_var(), r.var), copy(layer.saved_rstd(), r.rstd);
  copy(std::as_const(layer).running_mean(), r.running_mean), copy(std::as_const(layer).running_var(), r.running_var);
  return r;
}

/// How far ranks may be from one process, relative in L2: the issue of the split is one rounding more or less of merges
/// in double; a mean of 1e6 in double is off by 1e-10.
template <class T>
double sync_tolerance(double mean_over_std) {
  return std::is_same_v<T, float> ? 3e-7 : std::max(1e-13, 1e-14 * mean_over_std);
}

template <class V>
void expect_near(const char* what, const std::vector<V>& seen, const std::vector<V>& wanted, double tolerance) {
  const std::vector<double> a(seen.begin(), seen.end()), b(wanted.begin(), wanted.end());
  EXPECT_LE(relative_l2(a, b), tolerance) << what;
}

/// A rank's step with global parameter gradients, beside the whole batch's.
template <class T>
void expect_part(const StepResult<T>& part, const StepResult<T>& whole, const Extent& extent, const Split& split,
                 int rank, double mean_over_std) {
  const double most = sync_tolerance<T>(mean_over_std);
  expect_near("y", part.y, rows_of(whole.y, extent, split, rank), most);
  expect_near("dx", part.dx, rows_of(whole.dx, extent, split, rank), most);
  expect_near("dgamma", part.dgamma, whole.dgamma, most);
  expect_near("dbeta", part.dbeta, whole.dbeta, most);
  expect_near("mean", part.mean, whole.mean, most);
  expect_near("var", part.var, whole.var, most);
  expect_near("rstd", part.rstd, whole.rstd, most);
  expect_near("running mean", part.running_mean, whole.running_mean, most);
  expect_near("running var", part.running_var, whole.running_var, most);
}

/// Every rank's statistics are the same bits.
template <class T>
::testing::AssertionResult same_statistics(const StepResult<T>& a, const StepResult<T>& b) {
  for (const auto member : {&StepResult<T>::mean, &StepResult<T>::var, &StepResult<T>::rstd,
                            &StepResult<T>::running_mean, &StepResult<T>::running_var}) {
    const auto same = same_bits(a.*member, b.*member);
    if (!same) return same;
  }
  return same_bits(a.dgamma, b.dgamma);
}

/// Both memory shapes, one tile and several, more channels than a frame, a last frame that is not full.
inline std::vector<Extent> shared_extents() {
  return {{16, 24, 9}, {18, 21, 64}, {160, 20, 1}, {33, 5, 49}, {900, 20, 1}, {8, 9, 2100}};
}

}  // namespace unitvar::test
