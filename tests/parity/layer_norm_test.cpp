// Layer and RMS normalization against the reference, on every instruction set; their bits, their memory, extreme rows.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "support/dtypes.hpp"
#include "support/fenced.hpp"
#include "support/isas.hpp"
#include "support/measure.hpp"
#include "support/rows.hpp"

namespace unitvar::test {
namespace {

/// Lengths on, below and above the lanes of every instruction set, and row counts around those taken at once.
std::vector<RowExtent> ragged_extents() {
  std::vector<RowExtent> extents;
  for (std::int64_t length = 1; length <= 70; ++length) extents.push_back({1 + length % 9, length});
  for (const std::int64_t length : {127, 128, 129, 255, 784, 1000}) extents.push_back({5, length});
  return thinned(extents, 5);
}

std::vector<RowExtent> long_extents() { return {{3, 4095}, {5, 4096}, {2, 4097}, {3, 16384}, {2, 20001}}; }

/// Enough for many threads and tiles.
std::vector<RowExtent> large_extents() { return {{3001, 64}, {700, 257}, {129, 4096}, {40, 12000}, {20000, 9}}; }

template <class T>
class RowNorms : public ::testing::Test {
 protected:
  static void expect_matches_reference(const RowProblem<T>& p) {
    SCOPED_TRACE(describe(p.norm, p.extent));
    const auto e = expected(p);
    for_each_isa([&](Isa isa) {
      const Options options{.cpu = {.isa = isa}};
      const auto f = run_forward(p, options);
      EXPECT_TRUE(all_finite(f.y) && all_finite(f.mean) && all_finite(f.rstd));
      expect_results(f, run_backward(p, f, options), e);
    });
  }
  static void expect_match_reference(const std::vector<RowExtent>& extents, double mean_over_std, double scale = 1,
                                     double eps = 1e-5) {
    for (const RowNorm norm : both_row_norms) {
      for (const RowExtent& extent : extents) {
        auto p = make_row_problem<T>(norm, extent, mean_over_std, scale);
        p.eps = eps;
        expect_matches_reference(p);
      }
    }
  }
  static void expect_same_bits(const RowProblem<T>& p) {
    SCOPED_TRACE(describe(p.norm, p.extent));
    const auto forward = run_forward(p, {.cpu = {.threads = 1}});
    const auto backward = run_backward(p, forward, {.cpu = {.threads = 1}});
    for_each_isa([&](Isa isa) {
      for (const int threads : {1, 2, 7}) {
        const Options options{.cpu = {.threads = threads, .isa = isa}};
        const auto f = run_forward(p, options);
        ASSERT_TRUE(same_bits(f.mean, forward.mean) && same_bits(f.rstd, forward.rstd));
        ASSERT_TRUE(same_bits(f.y, forward.y));
        const auto b = run_backward(p, forward, options);
        ASSERT_TRUE(same_bits(b.dx, backward.dx));
        ASSERT_TRUE(same_bits(b.dgamma, backward.dgamma));
        ASSERT_TRUE(same_bits(b.dbeta, backward.dbeta));
      }
    });
  }
};

TYPED_TEST_SUITE(RowNorms, AllDtypes);

TYPED_TEST(RowNorms, MatchTheReferenceAroundTheLanes) { this->expect_match_reference(ragged_extents(), 0); }

TYPED_TEST(RowNorms, MatchTheReferenceInLongRows) { this->expect_match_reference(long_extents(), 1); }

TYPED_TEST(RowNorms, MatchTheReferenceAtLargeMeans) {
  const double most = is_half<TypeParam> ? 10 : 1e6;
  for (double mean = 10; mean <= most; mean *= 10) {
    this->expect_match_reference({{33, 64}, {9, 100}, {3, 1000}, {2, 4097}}, mean);
  }
}

TYPED_TEST(RowNorms, MatchTheReferenceWithoutParameters) {
  for (const RowNorm norm : both_row_norms) {
    auto p = make_row_problem<TypeParam>(norm, {17, 100}, 3);
    p.gamma.clear(), p.beta.clear();
    this->expect_matches_reference(p);
  }
}

/// Absent parameters are walked over in blocks, which rows of other lengths end within, and begin again in seams.
TYPED_TEST(RowNorms, HaveTheSameBitsWithoutParametersAsWithOnesAndZeros) {
  using T = TypeParam;
  for (const RowNorm norm : both_row_norms) {
    for (const RowExtent& extent : thinned<RowExtent>(
             {{7, 5}, {9, 130}, {1, 2048}, {5, 2049}, {300, 4096}, {2, 20001}, {41, 12000}, {700, 2200}, {3, 4097}},
             3)) {
      SCOPED_TRACE(describe(norm, extent));
      auto p = make_row_problem<T>(norm, extent, 2);
      p.gamma.assign(p.gamma.size(), 1), p.beta.assign(p.beta.size(), 0);
      auto without = p, without_shift = p, without_scale = p;
      without.gamma.clear(), without.beta.clear(), without_shift.beta.clear(), without_scale.gamma.clear();
      for_each_isa([&](Isa isa) {
        const Options options{.cpu = {.threads = 2, .isa = isa}};
        const auto forward = run_forward(p, options);
        const auto backward = run_backward(p, forward, options);
        for (const auto* q : {&without, &without_shift, &without_scale}) {
          ASSERT_TRUE(same_bits(run_forward(*q, options).y, forward.y));
          const auto b = run_backward(*q, forward, options);
          ASSERT_TRUE(same_bits(b.dx, backward.dx));
          ASSERT_TRUE(same_bits(b.dgamma, backward.dgamma));
          ASSERT_TRUE(same_bits(b.dbeta, backward.dbeta));
        }
        std::vector<T> dx = p.dy;  // in place, columns are added up apart
        std::vector<param_t<T>> dgamma(p.gamma.size()), dbeta(dgamma);
        run_backward_into<T>(without, dx, forward, dx, dgamma, dbeta, options);
        ASSERT_TRUE(same_bits(dx, backward.dx) && same_bits(dgamma, backward.dgamma));
      });
    }
  }
}

/// The one that is there has another value in each column.
TYPED_TEST(RowNorms, HaveTheSameBitsWithoutOneParameterAsWithOnesOrZeros) {
  using T = TypeParam;
  for (const RowNorm norm : both_row_norms) {
    for (const RowExtent& extent : {RowExtent{9, 130}, {5, 4100}, {40, 4100}, {8, 2049}}) {
      SCOPED_TRACE(describe(norm, extent));
      auto unscaled = make_row_problem<T>(norm, extent, 2);
      auto unshifted = unscaled;
      unscaled.gamma.assign(unscaled.gamma.size(), 1), unshifted.beta.assign(unshifted.beta.size(), 0);
      auto without_scale = unscaled, without_shift = unshifted;
      without_scale.gamma.clear(), without_shift.beta.clear();
      for_each_isa([&](Isa isa) {
        const Options options{.cpu = {.threads = 2, .isa = isa}};
        EXPECT_TRUE(same_bits(run_forward(without_scale, options).y, run_forward(unscaled, options).y));
        EXPECT_TRUE(same_bits(run_forward(without_shift, options).y, run_forward(unshifted, options).y));
      });
    }
  }
}

TYPED_TEST(RowNorms, HaveTheSameBitsForEveryThreadCountAndInstructionSet) {
  for (const RowNorm norm : both_row_norms) {
    for (const RowExtent& extent : {RowExtent{7, 5}, {6, 17}, {5, 63}, {9, 130}, {3, 4097}}) {
      this->expect_same_bits(make_row_problem<TypeParam>(norm, extent, 10));
    }
    for (const RowExtent& extent : thinned(large_extents(), 2))
      this->expect_same_bits(make_row_problem<TypeParam>(norm, extent, 2));
  }
}

TYPED_TEST(RowNorms, HaveTheSameBitsWhereSomeRowsAreComputedInDouble) {
  using T = TypeParam;
  for (const RowNorm norm : both_row_norms) {
    const double huge = std::min(1e30, largest<T> / 8), outlier = std::min(1e6, largest<T>);
    auto p = make_row_problem<T>(norm, {100, 70}, 2);
    for (std::size_t k = 0; k < 70; ++k) {
      p.x[70 * 3 + k] = T(0.1);
      p.x[70 * 41 + k] = static_cast<T>(huge * std::clamp(static_cast<double>(p.x[k]), -4.0, 4.0));
      p.dy[70 * 8 + k] = T(0);
      p.dy[70 * 77 + k] = static_cast<T>(huge * std::clamp(static_cast<double>(p.dy[k]), -4.0, 4.0));
    }
    p.x[70 * 50] = static_cast<T>(outlier);
    p.dy[70 * 51] = static_cast<T>(-largest<T>);
    this->expect_same_bits(p);
  }
}

TYPED_TEST(RowNorms, ConstantRowsGiveExactlyBetaAndFiniteGradients) {
  using T = TypeParam;
  for (const double of : {0.0, 0.1, -3.3, 1e6 + 0.1, -1e-3, 1e30}) {
    for (const RowExtent& extent : {RowExtent{3, 1}, {2, 7}, {5, 64}, {3, 1000}}) {
      auto p = make_row_problem<T>(RowNorm::layer, extent);
      const T value = static_cast<T>(std::min(of, largest<T>));
      p.x.assign(p.x.size(), value);
      for_each_isa([&](Isa isa) {
        const auto f = run_forward(p, {.cpu = {.isa = isa}});
        for (std::size_t k = 0; k < f.y.size(); ++k) {
          ASSERT_EQ(f.y[k], static_cast<T>(p.beta[k % to_size(extent.length)])) << of << " at " << k;
        }
        EXPECT_EQ(f.mean, std::vector<double>(f.mean.size(), static_cast<double>(value)));
        const auto b = run_backward(p, f, {.cpu = {.isa = isa}});
        EXPECT_TRUE(all_finite(b.dx) && all_finite(b.dbeta));
        EXPECT_EQ(b.dgamma, std::vector<param_t<T>>(b.dgamma.size(), 0));
      });
    }
  }
}

TYPED_TEST(RowNorms, HugeAndTinyRowsKeepTheirDigits) {
  const bool is_f16 = std::is_same_v<TypeParam, f16>;
  const double huge = std::min(1e30, largest<TypeParam> / 8), tiny = is_f16 ? 1e-3 : 1e-30;
  const std::vector<RowExtent> extents = {{5, 3}, {9, 64}, {3, 1000}};
  this->expect_match_reference(extents, 0.5, huge);
  this->expect_match_reference(extents, 0.5, tiny);
  this->expect_match_reference(extents, 0.5, tiny, tiny * tiny * 1e-10);
}

/// dx, dgamma and dbeta keep float's digits. What is left is the rounding of each result, half a step of 1.4e-45.
void expect_no_more_than_roundings(const RowProblem<float>& p) {
  const double step = std::numeric_limits<float>::denorm_min();
  const auto expect_near = [step](const char* name, const std::vector<float>& seen, const std::vector<double>& want,
                                  double scale) {
    double error = 0;
    for (std::size_t k = 0; k < want.size(); ++k) error += std::pow(seen[k] - want[k], 2);
    const double bound =
        3e-7 * std::max(l2_norm(want), scale) + 0.5 * step * std::sqrt(static_cast<double>(want.size()));
    EXPECT_LE(std::sqrt(error) / bound, 1) << name;
  };
  const auto e = expected(p);
  for_each_isa([&](Isa isa) {
    const auto b = run_backward(p, run_forward(p, {.cpu = {.isa = isa}}), {.cpu = {.isa = isa}});
    expect_near("dx", b.dx, e.backward.dx, e.dx_scale);
    expect_near("dgamma", b.dgamma, e.backward.dgamma, e.dgamma_scale / 100);
    expect_near("dbeta", b.dbeta, e.backward.dbeta, e.dbeta_scale / 100);
  });
}

TEST(RowNormsOfFloats, SubnormalDyLosesNoMoreThanItsResultsRounding) {
  for (const RowNorm norm : both_row_norms) {
    for (const RowExtent& extent : {RowExtent{200, 7}, {64, 128}, {40, 1000}, {1, 3000}}) {
      for (const double size : {1e-36, 1e-38, 1e-40, 1e-42}) {
        for (const double scale : {1.0, 1e-6, 1e-20}) {  // of x: dx is around dy / scale, a normal number
          SCOPED_TRACE(describe(norm, extent) + " dy " + std::to_string(std::log10(size)));
          auto p = make_row_problem<float>(norm, extent, 0.5, scale);
          for (float& v : p.dy) v = static_cast<float>(v * size);
          p.eps = 1e-60;
          expect_no_more_than_roundings(p);
        }
      }
    }
  }
}

/// Their mean is exactly 0, and says nothing of their size.
TEST(RowNormsOfFloats, SubnormalDyThatCancelsLosesNoMoreThanItsResultsRounding) {
  for (const RowNorm norm : both_row_norms) {
    for (const RowExtent& extent : {RowExtent{200, 8}, {64, 128}, {1, 3000}}) {
      for (const float size : {1e-38F, 1e-40F, 1e-42F}) {
        SCOPED_TRACE(describe(norm, extent) + " dy " + std::to_string(std::log10(size)));
        auto p = make_row_problem<float>(norm, extent, 0.5, 1e-20);
        p.gamma.assign(p.gamma.size(), 0.7F);
        for (std::size_t k = 0; k < p.dy.size(); ++k) p.dy[k] = k % 2 == 0 ? size : -size;
        p.eps = 1e-60;
        expect_no_more_than_roundings(p);
      }
    }
  }
}

TEST(RowNormsOfFloats, DenormalRowsAreNotFlushed) {
  for (const RowNorm norm : both_row_norms) {
    auto p = make_row_problem<float>(norm, {9, 100}, 0, 2e-40);
    p.eps = 1e-90;
    const auto e = expected(p);
    for_each_isa([&](Isa isa) {
      const auto f = run_forward(p, {.cpu = {.isa = isa}});
      expect_within<float>(Quantity::y, relative_l2(f.y, e.forward.y), 0);
      const auto b = run_backward(p, f, {.cpu = {.isa = isa}});
      expect_within<float>(Quantity::dgamma, relative_l2(b.dgamma, e.backward.dgamma, e.dgamma_scale), 0);
    });
  }
}

TEST(RowNormsOfFloats, GradientsBeyondTheRangeOfFloatAreNot) {
  auto p = make_row_problem<float>(RowNorm::layer, {8, 40});
  for (std::size_t k = 0; k < p.dy.size(); ++k) p.dy[k] = k / 40 % 2 == 0 ? 3e38F : -3e38F + 1e31F * p.dy[k];
  const auto e = expected(p);
  for_each_isa([&](Isa isa) {
    const auto b = run_backward(p, run_forward(p), {.cpu = {.isa = isa}});
    EXPECT_LE(relative_l2(b.dbeta, e.backward.dbeta, e.dbeta_scale), 3e-7);
    for (std::size_t k = 0; k < b.dgamma.size(); ++k) {
      EXPECT_EQ(std::isfinite(b.dgamma[k]), std::abs(e.backward.dgamma[k]) < 3.4e38) << k;
    }
  });
}

TYPED_TEST(RowNorms, AnOutlierAsFirstElementDoesNotSpoilTheRow) {
  using T = TypeParam;
  for (const RowExtent& extent : {RowExtent{3, 40}, {2, 5000}}) {
    auto p = make_row_problem<T>(RowNorm::layer, extent);
    for (std::int64_t r = 0; r < extent.rows; ++r) p.x[to_size(r * extent.length)] = T(std::min(1e6, largest<T>));
    this->expect_matches_reference(p);
  }
}

TYPED_TEST(RowNorms, NaNStaysInItsRow) {
  using T = TypeParam;
  const RowExtent extent{11, 40};
  const auto nan = static_cast<T>(std::numeric_limits<double>::quiet_NaN());
  for (const RowNorm norm : both_row_norms) {
    const auto clean = make_row_problem<T>(norm, extent, 2);
    const auto f = run_forward(clean);
    const auto b = run_backward(clean, f);
    auto p = clean;
    p.x[40 * 5 + 7] = nan;
    for_each_isa([&](Isa isa) {
      const auto seen = run_forward(p, {.cpu = {.threads = 2, .isa = isa}});
      auto dy = clean;
      dy.dy[40 * 5 + 7] = nan;
      const auto gradients = run_backward(dy, f, {.cpu = {.threads = 2, .isa = isa}});
      for (std::size_t k = 0; k < p.x.size(); ++k) {
        const bool poisoned = k / 40 == 5;
        ASSERT_EQ(std::isnan(static_cast<double>(seen.y[k])), poisoned) << k;
        ASSERT_EQ(std::isnan(static_cast<double>(gradients.dx[k])), poisoned) << k;
        ASSERT_TRUE(poisoned || (seen.y[k] == f.y[k] && gradients.dx[k] == b.dx[k])) << k;
      }
      for (std::size_t k = 0; k < 40; ++k) {
        ASSERT_EQ(std::isnan(gradients.dgamma[k]), k == 7);
        ASSERT_TRUE(k == 7 || (gradients.dgamma[k] == b.dgamma[k] && gradients.dbeta[k] == b.dbeta[k])) << k;
      }
    });
  }
}

TYPED_TEST(RowNorms, StayInsideMemoryThatEndsOrStartsAtAForbiddenPage) {
  using T = TypeParam;
  for (const RowNorm norm : both_row_norms) {
    for (const std::int64_t length : {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 129}) {
      const RowExtent extent{length % 3 == 0 ? 5 : 9, length};  // from 8 rows on, parameters of bf16 are copied
      SCOPED_TRACE(describe(norm, extent));
      const auto p = make_row_problem<T>(norm, extent, 2);
      const auto f = run_forward(p);
      const auto b = run_backward(p, f);
      for_each_isa([&](Isa isa) {
        for (const Fence fence : {Fence::before, Fence::after}) {
          Fenced<T> x(p.x, fence), y(p.x.size(), fence), dx(p.dy, fence);
          Fenced<param_t<T>> gamma(p.gamma, fence), beta(p.beta, fence), dgamma(p.gamma.size(), fence),
              dbeta(p.gamma.size(), fence);
          Fenced<double> mean(f.rstd, fence), rstd(f.rstd.size(), fence);
          const Options options{.cpu = {.threads = 2, .isa = isa}};
          if (norm == RowNorm::layer) {
            layer_norm_forward<T>({extent, x.span(), gamma.span(), beta.span(), y.span(), mean.span(), rstd.span()},
                                  options);
            layer_norm_backward<T>({extent, x.span(), dx.span(), mean.span(), rstd.span(), gamma.span(), dx.span(),
                                    dgamma.span(), dbeta.span()},
                                   options);
          } else {
            rms_norm_forward<T>({extent, x.span(), gamma.span(), beta.span(), y.span(), rstd.span()}, options);
            rms_norm_backward<T>(
                {extent, x.span(), dx.span(), rstd.span(), gamma.span(), dx.span(), dgamma.span(), dbeta.span()},
                options);
          }
          EXPECT_TRUE(same_bits(y.values(), f.y));
          EXPECT_TRUE(same_bits(dx.values(), b.dx));
          EXPECT_TRUE(same_bits(dgamma.values(), b.dgamma));
          EXPECT_TRUE(same_bits(dbeta.values(), b.dbeta));
        }
      });
    }
  }
}

TYPED_TEST(RowNorms, ResultsDoNotDependOnWhichAreAskedFor) {
  using T = TypeParam;
  for (const RowNorm norm : both_row_norms) {
    const auto p = make_row_problem<T>(norm, {37, 100}, 1);
    const auto f = run_forward(p);
    const auto b = run_backward(p, f);
    BackwardResult<T> r{std::vector<T>(p.x.size()), std::vector<param_t<T>>(100), std::vector<param_t<T>>(100)};
    run_backward_into<T>(p, p.dy, f, r.dx, {}, {});
    run_backward_into<T>(p, p.dy, f, {}, r.dgamma, {});
    run_backward_into<T>(p, p.dy, f, {}, {}, r.dbeta);
    EXPECT_TRUE(same_bits(r.dx, b.dx) && same_bits(r.dgamma, b.dgamma) && same_bits(r.dbeta, b.dbeta));
    std::vector<T> in_place = p.dy;
    run_backward_into<T>(p, in_place, f, in_place, r.dgamma, r.dbeta);
    EXPECT_TRUE(same_bits(in_place, b.dx) && same_bits(r.dgamma, b.dgamma));
  }
}

/// Two rows whose dy of one column float does not hold, and which cancel: what is left shows how the others were added.
TYPED_TEST(RowNorms, ColumnsThatFloatDoesNotHoldHaveTheSameBitsOnEveryInstructionSet) {
  using T = TypeParam;
  if constexpr (std::is_same_v<T, f16>) return;  // it has no such numbers
  const RowExtent extent{10, 40};
  auto p = make_row_problem<T>(RowNorm::layer, extent, 1);
  for (const std::int64_t column : {3, 37}) {
    for (std::int64_t r = 0; r < extent.rows; ++r) {
      T& dy = p.dy[to_size(r * extent.length + column)];
      dy = static_cast<T>(r % 7 == 1 ? 0x1p105 : r % 7 == 2 ? -0x1p105 : static_cast<double>(dy) * 0x1p75);
    }
  }
  const auto f = run_forward(p);
  const auto portable = run_backward(p, f, {.cpu = {.isa = Isa::portable}});
  for_each_isa([&](Isa isa) {
    const auto b = run_backward(p, f, {.cpu = {.isa = isa}});
    EXPECT_TRUE(same_bits(b.dgamma, portable.dgamma));
    EXPECT_TRUE(same_bits(b.dbeta, portable.dbeta));
  });
}

}  // namespace
}  // namespace unitvar::test
