#include <gtest/gtest.h>

#include "gradient/derivative_problem.hpp"
#include "support/dtypes.hpp"
#include "support/guarded.hpp"
#include "support/isas.hpp"
#include "unitvar/gradcheck.hpp"

/// (B50) to (B57) in the library: against the reference, against numeric differentiation of the library's own backward,
/// and what it promises of bits and optional arguments.
namespace unitvar::test {
namespace {

template <class T, class V, class R>
void expect_close(Quantity like, const char* what, const std::vector<V>& seen, const std::vector<R>& want,
                  double mean_over_std, R terms = 0) {
  SCOPED_TRACE(what);
  expect_within<T>(like, relative_l2(seen, want, terms), mean_over_std);
}

/// What belongs to channels is compared relative to its terms, since few channels of few values may cancel.
template <class T>
void expect_parity(const Inputs<T>& in, const Options& options) {
  using R = oracle_t<T>;
  const Extent& e = in.p.extent;
  const auto cache = reference::forward<R>(e, as<R>(in.p.x), {}, {}, static_cast<R>(in.p.eps)).cache;
  const auto ratio = largest_mean_over_std(cache);
  const auto v = as<R>(in.v), dy = as<R>(in.p.dy);
  const std::vector<R> one(v.size(), 1);
  const auto n = static_cast<R>(e.count());
  for (const auto statistics : {Statistics::batch, Statistics::frozen}) {
    SCOPED_TRACE(statistics == Statistics::batch ? "of the batch" : "frozen");
    const auto seen = run_derivatives(in, statistics, options);
    const auto want = reference_derivatives(in, statistics);
    expect_close<T>(Quantity::dx, "grad_x", seen.grad_x, want.grad_x, ratio);
    expect_close<T>(Quantity::dx, "grad_dy", seen.grad_dy, want.grad_dy, ratio);
    expect_close<T>(Quantity::dx, "y_dot", seen.y_dot, want.y_dot, ratio);
    expect_close<T>(Quantity::dgamma, "grad_gamma", seen.grad_gamma, want.grad_gamma, ratio,
                    size_of_products(e, v, dy, [&](auto c) { return n * cache.rstd[c]; }));
    if (statistics == Statistics::frozen) continue;
    expect_close<T>(Quantity::dgamma, "mean_dot", seen.mean_dot, want.mean_dot, ratio,
                    size_of_products(e, v, one, [](auto) { return R{1}; }));
    expect_close<T>(Quantity::dgamma, "var_dot", seen.var_dot, want.var_dot, ratio,
                    size_of_products(e, v, cache.x_hat, [&](auto c) { return 2 / cache.rstd[c]; }));
    expect_close<T>(Quantity::dx, "dx", seen.dx, want.dx, ratio);
    expect_close<T>(Quantity::dgamma, "dgamma", seen.dgamma, want.dgamma, ratio,
                    size_of_products(e, dy, cache.x_hat, [&](auto) { return n; }));
    expect_close<T>(Quantity::dbeta, "dbeta", seen.dbeta, want.dbeta, ratio,
                    size_of_products(e, dy, one, [&](auto) { return n; }));
  }
}

template <class T>
class LibraryDerivatives : public ::testing::Test {};
TYPED_TEST_SUITE(LibraryDerivatives, AllDtypes);

/// With an eps that lets two values of a channel keep a gradient (B41).
TYPED_TEST(LibraryDerivatives, B50ToB57MatchTheReferenceOnShapesAroundTheLanes) {
  std::vector<Extent> extents;
  for (const std::int64_t n : {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 49, 64, 65, 129}) {
    for (const Extent& e : {Extent{2, n, 1}, Extent{33, n, 1}, Extent{2, 3, n}, Extent{3, n, 7}}) extents.push_back(e);
  }
  for (const Extent& extent : extents) {
    SCOPED_TRACE(describe(extent));
    const Inputs<TypeParam> in(extent, 3, 0.5);
    for_each_isa([&](Isa isa) { expect_parity(in, {.cpu = {.threads = 1, .isa = isa}}); });
  }
}

TYPED_TEST(LibraryDerivatives, B50ToB57MatchTheReferenceAtLargeMeans) {
  for (const Extent& extent : {Extent{60, 100, 1}, Extent{257, 17, 1}, Extent{5, 3, 784}, Extent{16, 33, 49}}) {
    for (const double ratio : {0.0, 1e2, 1e4}) {
      if (is_half<TypeParam> && ratio > 1e2) continue;  // all values of a channel would be the same number
      SCOPED_TRACE(describe(extent) + ", |mean|/std " + std::to_string(ratio));
      const Inputs<TypeParam> in(extent, ratio);
      for_each_isa([&](Isa isa) { expect_parity(in, {.cpu = {.isa = isa}}); });
    }
  }
}

template <class T>
void expect_same_bits(const LibraryOutputs<T>& a, const LibraryOutputs<T>& b) {
  EXPECT_TRUE(same_bits(a.dx, b.dx));
  EXPECT_TRUE(same_bits(a.grad_x, b.grad_x));
  EXPECT_TRUE(same_bits(a.grad_dy, b.grad_dy));
  EXPECT_TRUE(same_bits(a.y_dot, b.y_dot));
  EXPECT_TRUE(same_bits(a.dgamma, b.dgamma));
  EXPECT_TRUE(same_bits(a.dbeta, b.dbeta));
  EXPECT_TRUE(same_bits(a.grad_gamma, b.grad_gamma));
  EXPECT_TRUE(same_bits(a.mean_dot, b.mean_dot));
  EXPECT_TRUE(same_bits(a.var_dot, b.var_dot));
}

TYPED_TEST(LibraryDerivatives, BitsAreTheSameForEveryThreadCountInstructionSetAndWalk) {
  for (const Extent& extent : {Extent{5, 3, 49}, Extent{4, 4, 12544}, Extent{20001, 17, 1}, Extent{40, 100, 49}}) {
    SCOPED_TRACE(describe(extent));
    const Inputs<TypeParam> in(extent, 10);
    for (const auto statistics : {Statistics::batch, Statistics::frozen}) {
      const auto want = run_derivatives(in, statistics, {.cpu = {.threads = 1}});
      for_each_isa([&](Isa isa) {
        expect_same_bits(run_derivatives(in, statistics, {.cpu = {.threads = 3, .isa = isa, .walk = Walk::resident}}),
                         want);
      });
      expect_same_bits(run_derivatives(in, statistics, {.cpu = {.threads = 7, .walk = Walk::streamed}}), want);
    }
  }
}

std::vector<Extent> both_shapes() { return {{33, 17, 1}, {3, 4, 129}, {9, 5, 7}}; }

TEST(LibraryDerivatives, B52GradientForDyHasTheBitsOfTheForwardMode) {
  for (const Extent& extent : both_shapes()) {
    for (const auto statistics : {Statistics::batch, Statistics::frozen}) {
      const auto out = run_derivatives(Inputs<float>(extent), statistics);
      EXPECT_TRUE(same_bits(out.grad_dy, out.y_dot));
    }
  }
}

TEST(LibraryDerivatives, B50WithoutCotangentsOfTheStatisticsIsThePlainBackwardBitForBit) {
  for (const Extent& extent : both_shapes()) {
    Inputs<float> in(extent);
    const auto plain = run_backward(in.p, in.mean, in.rstd);
    const auto with = run_derivatives(in, Statistics::batch);
    EXPECT_TRUE(same_bits(with.dgamma, plain.dgamma));
    EXPECT_TRUE(same_bits(with.dbeta, plain.dbeta));
    in.dmean.clear(), in.dvar.clear();
    EXPECT_TRUE(same_bits(run_derivatives(in, Statistics::batch).dx, plain.dx));
  }
}

TEST(LibraryDerivatives, B50DxMayBeExactlyDy) {
  for (const Extent& extent : both_shapes()) {
    const Inputs<float> in(extent);
    auto both = in.p.dy;
    batch_norm_statistics_backward<float>({.extent = extent,
                                           .x = in.p.x,
                                           .dy = both,
                                           .mean = in.mean,
                                           .rstd = in.rstd,
                                           .gamma = in.p.gamma,
                                           .dmean = in.dmean,
                                           .dvar = in.dvar,
                                           .dx = both});
    EXPECT_TRUE(same_bits(both, run_derivatives(in, Statistics::batch).dx));
  }
}

TEST(LibraryDerivatives, B54MatchesNumericDifferentiationOfTheLibrarysBackward) {
  for (const Extent& extent : {Extent{7, 3, 1}, Extent{2, 3, 5}}) {
    Inputs<double> in(extent, 1, 0.5);
    const auto analytic = run_derivatives(in, Statistics::batch);
    const ScalarFunction second_loss = [&](std::span<const double>) {
      const auto g = run_backward(in.p);
      double loss = 0;
      for (std::size_t k = 0; k < in.v.size(); ++k) loss += in.v[k] * g.dx[k];
      for (std::size_t c = 0; c < in.u.size(); ++c) loss += in.u[c] * g.dgamma[c] + in.w[c] * g.dbeta[c];
      return loss;
    };
    EXPECT_LE(gradcheck(second_loss, in.p.x, analytic.grad_x).l2_error, 1e-9);
    EXPECT_LE(gradcheck(second_loss, in.p.dy, analytic.grad_dy).l2_error, 1e-9);
    EXPECT_LE(gradcheck(second_loss, in.p.gamma, analytic.grad_gamma).l2_error, 1e-9);
  }
}

TEST(LibraryDerivatives, AbsentCotangentsAndTangentsAreZeros) {
  for (const Extent& extent : both_shapes()) {
    for (const auto statistics : {Statistics::batch, Statistics::frozen}) {
      for (int absent = 1; absent < 8; ++absent) {
        SCOPED_TRACE(describe(extent) + ", absent " + std::to_string(absent));
        Inputs<float> zeros(extent), none(extent);
        if ((absent & 1) != 0) std::fill(zeros.v.begin(), zeros.v.end(), 0.0f), none.v.clear();
        if ((absent & 2) != 0) std::fill(zeros.u.begin(), zeros.u.end(), 0.0f), none.u.clear();
        if ((absent & 4) != 0) std::fill(zeros.w.begin(), zeros.w.end(), 0.0f), none.w.clear();
        const auto a = run_derivatives(none, statistics), b = run_derivatives(zeros, statistics);
        const auto same = [](const auto& of_none, const auto& of_zeros) {
          EXPECT_LE(relative_l2(of_none, as<double>(of_zeros)), tolerance<float>(Quantity::dx, 0));
        };
        same(a.grad_x, b.grad_x);
        same(a.grad_dy, b.grad_dy);
        same(a.y_dot, b.y_dot);
        EXPECT_EQ(a.grad_gamma, b.grad_gamma);
        EXPECT_EQ(a.mean_dot, b.mean_dot);
        EXPECT_EQ(a.var_dot, b.var_dot);
      }
    }
  }
}

TEST(LibraryDerivatives, AbsentGammaIsOne) {
  for (const Extent& extent : both_shapes()) {
    Inputs<float> ones(extent), none(extent);
    std::fill(ones.p.gamma.begin(), ones.p.gamma.end(), 1.0f), none.p.gamma.clear();
    for (const auto statistics : {Statistics::batch, Statistics::frozen}) {
      expect_same_bits(run_derivatives(none, statistics), run_derivatives(ones, statistics));
    }
  }
}

template <class V>
std::span<V> if_asked(bool asked, Guarded<V>& buffer) {
  return asked ? buffer.span() : std::span<V>{};
}

template <class V>
void expect_only(bool asked, const Guarded<V>& buffer, const std::vector<V>& seen, const std::vector<V>& want) {
  EXPECT_TRUE(buffer.guards_intact());
  EXPECT_TRUE(asked ? same_bits(seen, want) : ::testing::AssertionResult(buffer.untouched()));
}

TEST(LibraryDerivatives, OutputsAreWrittenIfAskedForAndTheirBitsDoNotDependOnWhatElseIs) {
  for (const Extent& extent : both_shapes()) {
    const Inputs<float> in(extent);
    const auto& p = in.p;
    const auto all = run_derivatives(in, Statistics::batch), frozen = run_derivatives(in, Statistics::frozen);
    for (int asked = 0; asked < 8; ++asked) {
      SCOPED_TRACE(describe(extent) + ", asked " + std::to_string(asked));
      const bool first = (asked & 1) != 0, second = (asked & 2) != 0, third = (asked & 4) != 0;
      for (const bool of_batch : {true, false}) {
        const auto& want = of_batch ? all : frozen;
        Guarded<float> grad_x(extent.size()), grad_dy(extent.size()), grad_gamma(extent.channels), y_dot(extent.size());
        Guarded<double> mean_dot(extent.channels), var_dot(extent.channels);
        const BatchNormDoubleBackward<float> twice{extent,
                                                   p.x,
                                                   p.dy,
                                                   in.mean,
                                                   in.rstd,
                                                   p.gamma,
                                                   in.v,
                                                   in.u,
                                                   in.w,
                                                   if_asked(first, grad_x),
                                                   if_asked(second, grad_dy),
                                                   if_asked(third, grad_gamma)};
        const BatchNormJvp<float> forwards{extent,
                                           p.x,
                                           in.mean,
                                           in.rstd,
                                           p.gamma,
                                           in.v,
                                           in.u,
                                           in.w,
                                           if_asked(first, y_dot),
                                           if_asked(second, mean_dot),
                                           if_asked(third, var_dot)};
        of_batch ? batch_norm_double_backward(twice) : batch_norm_frozen_double_backward(twice);
        of_batch ? batch_norm_jvp(forwards) : batch_norm_frozen_jvp(forwards);
        expect_only(first, grad_x, grad_x.values(), want.grad_x);
        expect_only(second, grad_dy, grad_dy.values(), want.grad_dy);
        expect_only(third, grad_gamma, grad_gamma.values(), want.grad_gamma);
        expect_only(first, y_dot, y_dot.values(), want.y_dot);
        expect_only(second, mean_dot, mean_dot.values(), want.mean_dot);
        expect_only(third, var_dot, var_dot.values(), want.var_dot);
      }
      Guarded<float> dx(extent.size()), dgamma(extent.channels), dbeta(extent.channels);
      batch_norm_statistics_backward<float>({extent, p.x, p.dy, in.mean, in.rstd, p.gamma, in.dmean, in.dvar,
                                             if_asked(first, dx), if_asked(second, dgamma), if_asked(third, dbeta)});
      expect_only(first, dx, dx.values(), all.dx);
      expect_only(second, dgamma, dgamma.values(), all.dgamma);
      expect_only(third, dbeta, dbeta.values(), all.dbeta);
    }
  }
}

TEST(LibraryDerivatives, NanReachesItsOwnChannelAlone) {
  for (const Extent& extent : both_shapes()) {
    const Inputs<float> clean(extent);
    Inputs<float> spoilt = clean;
    spoilt.v[to_size(extent.index(1, 1, 0))] = std::nanf("");
    for (const auto statistics : {Statistics::batch, Statistics::frozen}) {
      const auto a = run_derivatives(clean, statistics), b = run_derivatives(spoilt, statistics);
      for (std::int64_t c = 0; c < extent.channels; ++c) {
        for (const auto tensor : {&LibraryOutputs<float>::grad_x, &LibraryOutputs<float>::grad_dy}) {
          const auto before = channel_values(extent, a.*tensor, c), after = channel_values(extent, b.*tensor, c);
          if (c != 1) {
            EXPECT_TRUE(same_bits(before, after)) << c;
          } else if (statistics == Statistics::batch) {
            EXPECT_TRUE(all_nan(after));
          }
        }
        EXPECT_EQ(std::isnan(b.grad_gamma[to_size(c)]), c == 1);
      }
    }
  }
}

TEST(LibraryDerivatives, EmptyBatchGivesZeroForWhatBelongsToChannels) {
  const Inputs<float> in(Extent{0, 3, 4});
  for (const auto statistics : {Statistics::batch, Statistics::frozen}) {
    auto out = run_derivatives(in, statistics);
    EXPECT_TRUE(out.grad_x.empty() && out.grad_dy.empty() && out.y_dot.empty());
    EXPECT_EQ(out.grad_gamma, std::vector<float>(3));
    EXPECT_EQ(out.dgamma, std::vector<float>(3));
    EXPECT_EQ(out.mean_dot, std::vector<double>(3));
    EXPECT_EQ(out.var_dot, std::vector<double>(3));
  }
}

}  // namespace
}  // namespace unitvar::test
