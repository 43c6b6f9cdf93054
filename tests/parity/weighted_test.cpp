// Statistics by weights: padding, and numbers between.
#include "unitvar/weighted.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "support/dtypes.hpp"
#include "support/expect_error.hpp"
#include "support/fenced.hpp"
#include "support/few_values.hpp"
#include "support/isas.hpp"
#include "support/oracle.hpp"
#include "support/weighted.hpp"

namespace unitvar::test {
namespace {

template <class T>
struct WeightedProblem {
  Problem<T> p;
  std::vector<param_t<T>> weight;

  [[nodiscard]] bool unweighted(std::size_t k) const {
    const auto& e = p.extent;
    return weight[k / to_size(e.channels * e.inner) * to_size(e.inner) + k % to_size(e.inner)] == 0;
  }
};

/// A third of the positions is padding that holds NaN, the rest has weights of 1, or of anything up to 3.
template <class T>
WeightedProblem<T> padded(const Extent& extent, double mean_over_std, bool fractions) {
  WeightedProblem<T> w{make_problem<T>(extent, mean_over_std), {}};
  Random random(5);
  for (std::int64_t k = 0; k < extent.count(); ++k) {
    const double some = fractions ? random.uniform(0.1, 3) : 1;
    w.weight.push_back(static_cast<param_t<T>>(k % 7 > 4 || random.uniform(0, 1) < 0.1 ? 0 : some));
  }
  w.weight[0] = w.weight[to_size(extent.count()) - 1] = 1;
  for (std::size_t k = 0; k < w.p.x.size(); ++k) {
    if (w.unweighted(k)) w.p.x[k] = w.p.dy[k] = static_cast<T>(std::numeric_limits<float>::quiet_NaN());
  }
  return w;
}

template <class T>
ForwardResult<T> run_weighted(const WeightedProblem<T>& w, const Options& options = {}, bool zero = true) {
  return run_weighted_forward(w.p, w.weight, options, zero);
}

template <class T>
BackwardResult<T> run_weighted_backward(const WeightedProblem<T>& w, const ForwardResult<T>& f,
                                        const Options& options = {}) {
  return run_weighted_backward(w.p, w.weight, f, options);
}

/// The sizes of the terms, of those elements that have a weight.
template <class T>
Expected<T> scales_of(const WeightedProblem<T>& w, const reference::Cache<oracle_t<T>>& cache) {
  using R = oracle_t<T>;
  Problem<T> p = w.p;
  Expected<T> e{};
  e.forward.cache = cache;
  for (std::size_t k = 0; k < p.x.size(); ++k) {
    if (w.unweighted(k)) p.dy[k] = T(0), e.forward.cache.x_hat[k] = R(0);
  }
  measure_scales(e, p);
  return e;
}

template <class T>
void expect_reference(const WeightedProblem<T>& w, double mean_over_std) {
  using R = oracle_t<T>;
  const auto x = as<R>(w.p.x), dy = as<R>(w.p.dy), weight = as<R>(w.weight), gamma = as<R>(w.p.gamma),
             beta = as<R>(w.p.beta);
  const auto want = reference::weighted_forward<R>(w.p.extent, x, weight, gamma, beta, static_cast<R>(w.p.eps),
                                                   reference::Weightless::zero);
  const auto gradients = reference::weighted_backward<R>(want.cache, dy);
  const auto e = scales_of(w, want.cache.cache);
  for_each_isa([&](Isa isa) {
    for (const Walk walk : all_walks) {
      const Options options{.cpu = {.threads = 2, .isa = isa, .walk = walk}};
      const auto f = run_weighted(w, options);
      const auto b = run_weighted_backward(w, f, options);
      const auto within = [&](Quantity quantity, const auto& seen, const auto& wanted, R scale) {
        expect_within<T>(quantity, relative_l2(seen, wanted, scale), mean_over_std);
      };
      within(Quantity::y, f.y, want.y, e.y_scale);
      within(Quantity::dx, b.dx, gradients.dx, e.dx_scale);
      within(Quantity::dgamma, b.dgamma, gradients.dgamma, e.dgamma_scale);
      within(Quantity::dbeta, b.dbeta, gradients.dbeta, e.dbeta_scale);
    }
  });
}

template <class T>
class Weighted : public ::testing::Test {
 protected:
  std::vector<Extent> extents() const {
    auto all = few_extents();
    std::erase_if(all, [](const Extent& e) { return e.count() < 16; });
    all.push_back({700, 20, 1});
    all.push_back({3, 5, 9000});  // several tiles a row
    return all;
  }
};
TYPED_TEST_SUITE(Weighted, AllDtypes);

TYPED_TEST(Weighted, B62ToB66MatchTheReferenceWhateverThePaddingHolds) {
  for (const double mean : {0.0, is_half<TypeParam> ? 3.0 : 1e4}) {
    for (const Extent& extent : this->extents()) {
      for (const bool fractions : {false, true}) {
        SCOPED_TRACE(describe(extent) + (fractions ? ", any weights" : ", 0 and 1"));
        expect_reference(padded<TypeParam>(extent, mean, fractions), mean);
      }
    }
  }
}

/// The same as of the plain layer: tests/parity/digits_test.cpp.
TEST(WeightedOfFloats, KeepsThePromiseOnFewDistinctValues) {
  for (const FewValues& values : all_few_values) {
    for (const Extent& extent : {Extent{8, 3, 128 * 128}, {40000, 16, 1}}) {
      SCOPED_TRACE(std::string(values.name) + " " + describe(extent));
      WeightedProblem<float> w{with_values(make_problem<float>(extent), values), {}};
      Random random(7);
      for (std::int64_t k = 0; k < extent.count(); ++k) w.weight.push_back(random.coin() ? 0.7F : 0.0F);
      const auto x = as<double>(w.p.x), dy = as<double>(w.p.dy), weight = as<double>(w.weight);
      const auto want = reference::weighted_forward<double>(extent, x, weight, as<double>(w.p.gamma),
                                                            as<double>(w.p.beta), w.p.eps, reference::Weightless::zero);
      const auto gradients = reference::weighted_backward<double>(want.cache, dy);
      const auto e = scales_of(w, want.cache.cache);
      const double ratio = largest_mean_over_std(want.cache.cache);
      for_each_isa([&](Isa isa) {
        const auto f = run_weighted(w, {.cpu = {.isa = isa}});
        const auto b = run_weighted_backward(w, f, {.cpu = {.isa = isa}});
        expect_within<float>(Quantity::y, relative_l2(f.y, want.y), ratio);
        expect_gradient<float>(Quantity::dx, b.dx, gradients.dx, e.dx_terms, ratio);
        expect_gradient<float>(Quantity::dgamma, b.dgamma, gradients.dgamma, e.dgamma_scale, ratio);
        expect_gradient<float>(Quantity::dbeta, b.dbeta, gradients.dbeta, e.dbeta_scale, ratio);
      });
    }
  }
}

TYPED_TEST(Weighted, HasTheSameBitsForEveryThreadCountInstructionSetAndWalk) {
  for (const Extent& extent : this->extents()) {
    SCOPED_TRACE(describe(extent));
    const auto w = padded<TypeParam>(extent, 1, true);
    const auto f = run_weighted(w, {.cpu = {.threads = 1}});
    const auto b = run_weighted_backward(w, f, {.cpu = {.threads = 1}});
    for_each_isa([&](Isa isa) {
      for (const Walk walk : all_walks) {
        const Options options{.cpu = {.threads = 3, .isa = isa, .walk = walk}};
        SCOPED_TRACE(describe(options));
        const auto again = run_weighted(w, options);
        const auto back = run_weighted_backward(w, f, options);
        EXPECT_TRUE(same_bits(f.y, again.y));
        EXPECT_TRUE(same_bits(f.mean, again.mean));
        EXPECT_TRUE(same_bits(f.rstd, again.rstd));
        EXPECT_TRUE(same_bits(b.dx, back.dx));
        EXPECT_TRUE(same_bits(b.dgamma, back.dgamma));
      }
    });
  }
}

TYPED_TEST(Weighted, YWithoutAWeightIsZeroOrTheAffineValue) {
  for (const Extent& extent : this->extents()) {
    auto w = padded<TypeParam>(extent, 0, false);
    for (std::size_t k = 0; k < w.p.x.size(); ++k) {
      if (w.unweighted(k)) w.p.x[k] = TypeParam(2);
    }
    const auto zero = run_weighted(w), affine = run_weighted(w, {}, false);
    const auto inference = run_inference(w.p, zero.mean, zero.var);
    for (std::size_t k = 0; k < w.p.x.size(); ++k) {
      const auto y = static_cast<double>(affine.y[k]);
      EXPECT_NEAR(y, static_cast<double>(inference[k]),
                  1e-12 + (is_half<TypeParam> ? 0.02 : 1e-6) * std::abs(y) + 1e-6);
      EXPECT_EQ(static_cast<double>(zero.y[k]), w.unweighted(k) ? 0 : y);
    }
  }
}

TYPED_TEST(Weighted, WithoutAnyWeightIsTheEmptyBatch) {
  auto w = padded<TypeParam>({4, 3, 40}, 0, false);
  w.weight.assign(w.weight.size(), 0);
  const auto f = run_weighted(w);
  EXPECT_EQ(std::vector<double>(3, 0.0), f.mean);
  EXPECT_EQ(std::vector<double>(3, 0.0), f.var);
  const auto b = run_weighted_backward(w, f);
  for (std::size_t k = 0; k < f.y.size(); ++k) {
    EXPECT_EQ(0, static_cast<double>(f.y[k]));
    EXPECT_EQ(0, static_cast<double>(b.dx[k]));
  }
  for (const auto v : b.dgamma) EXPECT_EQ(0, v);
}

TEST(WeightedCount, IsTheSumOfTheWeightsAndMovesRunningStatistics) {
  const auto w = padded<double>({6, 2, 10}, 0, true);
  double sum = 0;
  for (const double v : w.weight) sum += v;
  std::vector<double> y(w.p.x.size());
  EXPECT_NEAR(sum, batch_norm_weighted_forward<double>({.extent = w.p.extent, .x = w.p.x, .weight = w.weight, .y = y}),
              1e-12 * sum);
}

/// Whole samples away: the batch without them.
TEST(WeightedOfDoubles, SamplesOfWeightZeroAreAsIfTheyWereNotThere) {
  const Extent all{6, 3, 40}, some{4, 3, 40};
  auto w = padded<double>(all, 2, false);
  w.p = make_problem<double>(all, 2);
  w.weight.assign(240, 1);
  for (std::size_t k = 160; k < 240; ++k) w.weight[k] = 0;
  auto q = w.p;
  q.extent = some, q.x.resize(480), q.dy.resize(480);
  const auto f = run_weighted(w);
  const auto plain = run_forward(q);
  EXPECT_LE(worst_relative(f.mean, plain.mean), 1e-14);
  EXPECT_LE(worst_relative(f.var, plain.var), 1e-14);
  const auto b = run_weighted_backward(w, f);
  const auto back = run_backward(q);
  EXPECT_LE(relative_l2(std::vector<double>(b.dx.begin(), b.dx.begin() + 480), back.dx), 1e-13);
}

TYPED_TEST(Weighted, StaysInsideItsMemory) {
  using T = TypeParam;
  for (const Extent& extent : {Extent{3, 2, 65}, Extent{16, 31, 1}, Extent{9, 3, 7}, Extent{1, 1, 33}}) {
    const auto w = padded<T>(extent, 1, true);
    const auto want = run_weighted(w);
    const auto gradients = run_weighted_backward(w, want);
    for_each_isa([&](Isa isa) {
      for (const Fence fence : {Fence::before, Fence::after}) {
        Fenced<T> x(w.p.x, fence), dy(w.p.dy, fence), y(w.p.x.size(), fence), dx(w.p.x.size(), fence);
        Fenced<param_t<T>> weight(w.weight, fence);
        Fenced<double> mean(want.mean, fence), rstd(want.rstd, fence);
        batch_norm_weighted_forward<T>({.extent = extent,
                                        .x = x.span(),
                                        .weight = weight.span(),
                                        .gamma = w.p.gamma,
                                        .beta = w.p.beta,
                                        .y = y.span()},
                                       {.cpu = {.isa = isa}});
        batch_norm_weighted_backward<T>({.extent = extent,
                                         .x = x.span(),
                                         .dy = dy.span(),
                                         .weight = weight.span(),
                                         .mean = mean.span(),
                                         .rstd = rstd.span(),
                                         .gamma = w.p.gamma,
                                         .dx = dx.span()},
                                        {.cpu = {.isa = isa}});
        EXPECT_TRUE(same_bits(want.y, y.values()));
        EXPECT_TRUE(same_bits(gradients.dx, dx.values()));
      }
    });
  }
}

TEST(WeightedRefusals, NameWhatIsWrong) {
  auto w = padded<float>({4, 3, 40}, 0, false);
  std::vector<float> y(w.p.x.size(), 7);
  const auto call = [&] {
    batch_norm_weighted_forward<float>({.extent = w.p.extent, .x = w.p.x, .weight = w.weight, .y = y});
  };
  w.weight[3] = -1;
  expect_error(ErrorCode::bad_argument, {"weight[3] is -1, want a finite number >= 0"}, call);
  w.weight.assign(160, 0), w.weight[9] = 2;
  expect_error(ErrorCode::too_few_values, {"a single weight is > 0"}, call);
  w.weight.pop_back();
  expect_error(ErrorCode::wrong_length, {"weight has 159 elements, want N*S = 160"}, call);
  EXPECT_EQ(std::vector<float>(w.p.x.size(), 7), y);
}

}  // namespace
}  // namespace unitvar::test
