// Layer and RMS normalization behind a residual: the bits of the plain normalization of the rounded sum, its gradient
// against the reference, on every instruction set; what may take whose place; memory.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "support/dtypes.hpp"
#include "support/fenced.hpp"
#include "support/guarded.hpp"
#include "support/isas.hpp"
#include "support/measure.hpp"
#include "support/past_caches.hpp"
#include "support/rows_add.hpp"

namespace unitvar::test {
namespace {

std::vector<RowExtent> ragged_extents() {
  std::vector<RowExtent> extents;
  for (std::int64_t length = 1; length <= 70; length += 3) extents.push_back({1 + length % 9, length});
  for (const std::int64_t length : {127, 128, 129, 1000, 4097}) extents.push_back({9, length});
  return thinned(extents, 4);
}

template <class T>
class RowAddNorms : public ::testing::Test {
 protected:
  using P = param_t<T>;

  static std::string describe(const RowAddProblem<T>& p) {
    return test::describe(p.norm.norm, p.norm.extent) + " behind a residual";
  }
  /// h is the sum, rounded once; all else has the bits of the normalization of h.
  static void expect_forward_of_the_sum(const RowAddProblem<T>& p, const Options& options) {
    const auto plain = run_forward(p.norm, options);
    const auto f = run_add_forward(p, options);
    ASSERT_TRUE(same_bits(f.h, p.norm.x));
    ASSERT_TRUE(same_bits(f.norm.mean, plain.mean) && same_bits(f.norm.rstd, plain.rstd));
    ASSERT_TRUE(same_bits(f.norm.y, plain.y));
  }
  static void expect_backward_is_the_reference(const RowAddProblem<T>& p, const Options& options) {
    using R = oracle_t<T>;
    const auto e = expected(p.norm);
    const auto want = reference::row_norm_add_backward<R>(e.forward.cache, as<R>(p.norm.dy), as<R>(p.dh));
    R dh_square = 0;
    for (const T v : p.dh) dh_square += std::pow(static_cast<R>(v), R(2));
    const auto b = run_add_backward(p, run_add_forward(p, options).norm, options);
    expect_within<T>(Quantity::dx, relative_l2(b.dx, want.dx, std::hypot(e.dx_scale, std::sqrt(dh_square))),
                     e.mean_over_std);
    expect_within<T>(Quantity::dgamma, relative_l2(b.dgamma, want.dgamma, e.dgamma_scale), e.mean_over_std);
    expect_within<T>(Quantity::dbeta, relative_l2(b.dbeta, want.dbeta, e.dbeta_scale), e.mean_over_std);
  }
  template <class Body>
  static void for_each_problem(const std::vector<RowExtent>& extents, double mean, const Body& body) {
    for (const RowNorm norm : both_row_norms) {
      for (const RowExtent& extent : extents) {
        const auto p = make_row_add_problem<T>(norm, extent, mean);
        SCOPED_TRACE(describe(p));
        body(p);
      }
    }
  }
};

TYPED_TEST_SUITE(RowAddNorms, AllDtypes);

TYPED_TEST(RowAddNorms, HIsTheSumRoundedOnceAndYHasTheBitsOfItsNorm) {
  this->for_each_problem(ragged_extents(), 2, [this](const auto& p) {
    for_each_isa([&](Isa isa) { this->expect_forward_of_the_sum(p, {.cpu = {.threads = 2, .isa = isa}}); });
  });
}

/// Rows that are computed in double, whose sum is infinite, or which need a second shift.
TYPED_TEST(RowAddNorms, RowsOfUnusualSizeHaveTheBitsOfTheirNorm) {
  using T = TypeParam;
  for (const RowNorm norm : both_row_norms) {
    for (const RowExtent& extent : {RowExtent{7, 5}, {9, 100}, {6, 1500}}) {
      for (const double size : {1e-40, 1e-6, 1e4, 1e30, 1e38}) {
        auto p = make_row_add_problem<T>(norm, extent, 3, std::min(size, largest<T> / 4));
        p.norm.eps = 1e-90;
        p.x[to_size(extent.length)] = T(largest<T>), p.residual[to_size(extent.length)] = T(largest<T>);
        p.residual[0] = static_cast<T>(std::min(1e5 * size, largest<T> / 4));
        p.norm.x = rounded_sum(p.x, p.residual);
        SCOPED_TRACE(this->describe(p) + ", size " + std::to_string(std::log10(size)));
        for_each_isa([&](Isa isa) {
          const auto plain = run_forward(p.norm, {.cpu = {.isa = isa}});
          const auto f = run_add_forward(p, {.cpu = {.isa = isa}});
          ASSERT_TRUE(same_bits(f.h, p.norm.x));
          for (std::size_t k = 0; k < f.norm.y.size(); ++k) {
            const auto seen = static_cast<double>(f.norm.y[k]), want = static_cast<double>(plain.y[k]);
            ASSERT_TRUE(seen == want || (std::isnan(seen) && std::isnan(want))) << k;
          }
        });
      }
    }
  }
}

/// Sums of 16 bits that lie halfway between two numbers, and all others: one rounding, to even.
TYPED_TEST(RowAddNorms, EverySumOf16BitsIsRoundedOnce) {
  using T = TypeParam;
  if constexpr (is_half<T>) {
    const RowExtent extent{64, 1024};
    auto p = make_row_add_problem<T>(RowNorm::rms, extent);
    std::uint32_t state = 1;
    const auto finite = [&] {
      state = state * 1664525 + 1013904223;
      const T v = T::from_bits(static_cast<std::uint16_t>(state >> 16));
      return std::isfinite(static_cast<double>(v)) ? v : T(0);
    };
    for (std::size_t k = 0; k < p.x.size(); ++k) {
      p.x[k] = finite();
      // Of a similar size in every second place, where few bits of the sum are lost.
      p.residual[k] = k % 2 == 0 ? finite() : T(static_cast<double>(p.x[k]) * 0.37);
    }
    const auto sum = rounded_sum(p.x, p.residual);
    for_each_isa([&](Isa isa) { EXPECT_TRUE(same_bits(run_add_forward(p, {.cpu = {.isa = isa}}).h, sum)); });
  }
}

TYPED_TEST(RowAddNorms, ResultsMayTakeThePlaceOfInputs) {
  using T = TypeParam;
  this->for_each_problem({{7, 5}, {9, 130}, {5, 1000}, {40, 4100}}, 2, [](const auto& p) {
    const auto apart = run_add_forward(p);
    for_each_isa([&](Isa isa) {
      const Options options{.cpu = {.threads = 2, .isa = isa}};
      auto f = apart.norm;
      for (int place = 0; place < 6; ++place) {
        SCOPED_TRACE("place " + std::to_string(place));
        std::vector<T> x = p.x, residual = p.residual, other(p.x.size());
        std::vector<T>* const h[] = {&x, &residual, &x, &residual, &other, &other};
        std::vector<T>* const y[] = {&residual, &x, &other, &other, &x, &residual};
        run_add_into<T>(p, x, residual, *y[place], *h[place], f, options);
        ASSERT_TRUE(same_bits(*h[place], apart.h) && same_bits(*y[place], apart.norm.y));
      }
    });
  });
}

TYPED_TEST(RowAddNorms, GradientsMatchTheReference) {
  for (const double mean : {0.0, 10.0}) {
    this->for_each_problem(ragged_extents(), mean, [this](const auto& p) {
      for_each_isa([&](Isa isa) { this->expect_backward_is_the_reference(p, {.cpu = {.threads = 2, .isa = isa}}); });
    });
  }
}

TYPED_TEST(RowAddNorms, GradientsWithoutDhHaveTheBitsOfTheNorm) {
  this->for_each_problem({{7, 5}, {9, 130}, {700, 257}}, 2, [](auto p) {
    p.dh.clear();
    const auto f = run_forward(p.norm);
    const auto plain = run_backward(p.norm, f), b = run_add_backward(p, f);
    EXPECT_TRUE(same_bits(b.dx, plain.dx) && same_bits(b.dgamma, plain.dgamma) && same_bits(b.dbeta, plain.dbeta));
  });
}

TYPED_TEST(RowAddNorms, DxMayTakeThePlaceOfDyOrDh) {
  using T = TypeParam;
  this->for_each_problem({{7, 5}, {9, 130}, {40, 4100}}, 2, [](const auto& p) {
    const auto f = run_forward(p.norm);
    const auto b = run_add_backward(p, f);
    for_each_isa([&](Isa isa) {
      const Options options{.cpu = {.threads = 2, .isa = isa}};
      std::vector<param_t<T>> dgamma(b.dgamma.size()), dbeta(dgamma);
      std::vector<T> over_dy = p.norm.dy, over_dh = p.dh;
      run_add_backward_into<T>(p, over_dy, p.dh, f, over_dy, dgamma, dbeta, options);
      ASSERT_TRUE(same_bits(over_dy, b.dx) && same_bits(dgamma, b.dgamma) && same_bits(dbeta, b.dbeta));
      run_add_backward_into<T>(p, p.norm.dy, over_dh, f, over_dh, {}, {}, options);
      ASSERT_TRUE(same_bits(over_dh, b.dx));
    });
  });
}

TYPED_TEST(RowAddNorms, HaveTheSameBitsForEveryThreadCountAndInstructionSet) {
  this->for_each_problem({{6, 17}, {9, 130}, {700, 257}, {129, 4096}, {3001, 9}}, 2, [](const auto& p) {
    const auto forward = run_add_forward(p, {.cpu = {.threads = 1}});
    const auto backward = run_add_backward(p, forward.norm, {.cpu = {.threads = 1}});
    for_each_isa([&](Isa isa) {
      for (const int threads : {1, 2, 7}) {
        const Options options{.cpu = {.threads = threads, .isa = isa}};
        const auto f = run_add_forward(p, options);
        ASSERT_TRUE(same_bits(f.h, forward.h) && same_bits(f.norm.y, forward.norm.y));
        ASSERT_TRUE(same_bits(f.norm.mean, forward.norm.mean) && same_bits(f.norm.rstd, forward.norm.rstd));
        const auto b = run_add_backward(p, forward.norm, options);
        ASSERT_TRUE(same_bits(b.dx, backward.dx) && same_bits(b.dgamma, backward.dgamma) &&
                    same_bits(b.dbeta, backward.dbeta));
      }
    });
  });
}

/// Results past the caches that meet within lines of memory, begin at different places of a line, or begin just behind
/// an input.
TYPED_TEST(RowAddNorms, PastTheCachesAreTheSameWhereverMemoryBegins) {
  using T = TypeParam;
  for (const std::int64_t length : thinned<std::int64_t>({96, 1000, 1001, 4128}, 2)) {
    const RowExtent extent{past_caches<T>() / length, length};
    const auto p = make_row_add_problem<T>(RowNorm::layer, extent, 1);
    const auto plain = run_forward(p.norm);
    const auto b = run_add_backward(p, plain);
    Guarded<T, 4096> x(extent.size()), residual(extent.size(), 2048 / sizeof(T));
    x.fill_with(p.x), residual.fill_with(p.residual);
    struct Places {
      std::int64_t y, h;
    };
    for_each_isa([&](Isa isa) {
      for (const Places at : {Places{0, 0}, {6, 6}, {0, 6}, {2048 / sizeof(T) + 6, 6}}) {
        SCOPED_TRACE(this->describe(p) + ", y " + std::to_string(at.y) + " and h " + std::to_string(at.h) +
                     " elements behind a page");
        const Options options{.cpu = {.threads = 2, .isa = isa}};
        Guarded<T, 4096> y(extent.size(), at.y), h(extent.size(), at.h), dx(extent.size(), at.y);
        RowForwardResult<T> f;
        run_add_into<T>(p, x.span(), residual.span(), y.span(), h.span(), f, options);
        ASSERT_TRUE(same_bits(h.values(), p.norm.x) && same_bits(y.values(), plain.y));
        run_add_backward_into<T>(p, p.norm.dy, p.dh, plain, dx.span(), {}, {}, options);
        ASSERT_TRUE(same_bits(dx.values(), b.dx));
        ASSERT_TRUE(y.guards_intact() && h.guards_intact() && dx.guards_intact());
      }
      Guarded<T> in_x(extent.size(), 6), in_residual(extent.size(), 6);
      in_x.fill_with(p.x), in_residual.fill_with(p.residual);
      RowForwardResult<T> f;
      run_add_into<T>(p, in_x.span(), in_residual.span(), in_x.span(), in_residual.span(), f, {.cpu = {.isa = isa}});
      ASSERT_TRUE(same_bits(in_residual.values(), p.norm.x) && same_bits(in_x.values(), plain.y));
    });
  }
}

TYPED_TEST(RowAddNorms, StayInsideMemoryThatEndsOrStartsAtAForbiddenPage) {
  using T = TypeParam;
  for (const std::int64_t length : {1, 2, 3, 7, 8, 9, 15, 16, 17, 33, 63, 64, 65, 129}) {
    this->for_each_problem({{length % 3 == 0 ? 5 : 9, length}}, 2, [](const auto& p) {
      const auto f = run_forward(p.norm);
      const auto b = run_add_backward(p, f);
      for_each_isa([&](Isa isa) {
        for (const Fence fence : {Fence::before, Fence::after}) {
          const Options options{.cpu = {.threads = 2, .isa = isa}};
          Fenced<T> x(p.x, fence), residual(p.residual, fence), y(p.x.size(), fence), dh(p.dh, fence);
          auto seen = f;
          run_add_into<T>(p, x.span(), residual.span(), y.span(), residual.span(), seen, options);
          EXPECT_TRUE(same_bits(y.values(), f.y) && same_bits(residual.values(), p.norm.x));
          run_add_backward_into<T>(p, p.norm.dy, dh.span(), f, dh.span(), {}, {}, options);
          EXPECT_TRUE(same_bits(dh.values(), b.dx));
        }
      });
    });
  }
}

TYPED_TEST(RowAddNorms, NaNStaysInItsRow) {
  using T = TypeParam;
  const auto nan = static_cast<T>(std::numeric_limits<double>::quiet_NaN());
  this->for_each_problem({{11, 40}}, 2, [nan](const auto& clean) {
    const auto f = run_add_forward(clean);
    const auto b = run_add_backward(clean, f.norm);
    auto p = clean;
    p.residual[40 * 5 + 7] = nan, p.dh[40 * 5 + 7] = nan;
    for_each_isa([&](Isa isa) {
      const auto seen = run_add_forward(p, {.cpu = {.threads = 2, .isa = isa}});
      const auto gradients = run_add_backward(p, f.norm, {.cpu = {.threads = 2, .isa = isa}});
      for (std::size_t k = 0; k < p.x.size(); ++k) {
        ASSERT_EQ(std::isnan(static_cast<double>(seen.norm.y[k])), k / 40 == 5) << k;
        ASSERT_EQ(std::isnan(static_cast<double>(seen.h[k])), k == 40 * 5 + 7) << k;
        ASSERT_EQ(std::isnan(static_cast<double>(gradients.dx[k])), k == 40 * 5 + 7) << k;
        ASSERT_TRUE(k / 40 == 5 || seen.norm.y[k] == f.norm.y[k]) << k;
      }
      ASSERT_TRUE(same_bits(gradients.dgamma, b.dgamma) && same_bits(gradients.dbeta, b.dbeta));
    });
  });
}

/// gamma is a multiple of 2^-12, so that float holds 1 + gamma.
TYPED_TEST(RowAddNorms, OnePlusGammaHasTheBitsOfAGammaThatIsOneLarger) {
  this->for_each_problem({{7, 5}, {9, 130}, {40, 4100}}, 2, [](auto p) {
    for (auto& v : p.norm.gamma) v = std::round(v * 4096) / 4096;
    auto around_zero = p;
    for (auto& v : around_zero.norm.gamma) v -= 1;
    around_zero.one_plus_gamma = true;
    for_each_isa([&](Isa isa) {
      const Options options{.cpu = {.threads = 2, .isa = isa}};
      const auto want = run_add_forward(p, options), seen = run_add_forward(around_zero, options);
      ASSERT_TRUE(same_bits(seen.norm.y, want.norm.y) && same_bits(seen.h, want.h));
      const auto b = run_add_backward(p, want.norm, options), c = run_add_backward(around_zero, want.norm, options);
      ASSERT_TRUE(same_bits(b.dx, c.dx) && same_bits(b.dgamma, c.dgamma) && same_bits(b.dbeta, c.dbeta));
    });
    p.norm.gamma.assign(p.norm.gamma.size(), 1);
    auto absent = p;
    absent.norm.gamma.clear(), absent.one_plus_gamma = true;
    ASSERT_TRUE(same_bits(run_add_forward(absent).norm.y, run_add_forward(p).norm.y));
  });
}

/// The plain norms take it as well, and so do their second derivatives.
TYPED_TEST(RowAddNorms, OnePlusGammaOfThePlainNormsIsAGammaThatIsOneLarger) {
  using T = TypeParam;
  const RowExtent extent{9, 130};
  auto p = make_row_problem<T>(RowNorm::layer, extent, 2);
  for (auto& v : p.gamma) v = std::round(v * 4096) / 4096;
  auto gamma = p.gamma;
  for (auto& v : gamma) v -= 1;
  const auto f = run_forward(p);
  const auto b = run_backward(p, f);
  const auto c = make_cotangents<T>(extent);
  const auto d = run_double_backward(p, f, c);
  std::vector<T> y(p.x.size()), dx(y), grad_x(y), grad_dy(y);
  std::vector<double> mean(9), rstd(9);
  std::vector<param_t<T>> grad_gamma(gamma.size());
  layer_norm_forward<T>(
      {.extent = extent, .x = p.x, .gamma = gamma, .beta = p.beta, .y = y, .rstd = rstd, .one_plus_gamma = true});
  EXPECT_TRUE(same_bits(y, f.y));
  layer_norm_backward<T>({.extent = extent,
                          .x = p.x,
                          .dy = p.dy,
                          .mean = f.mean,
                          .rstd = f.rstd,
                          .gamma = gamma,
                          .dx = dx,
                          .one_plus_gamma = true});
  EXPECT_TRUE(same_bits(dx, b.dx));
  layer_norm_double_backward<T>({.extent = extent,
                                 .x = p.x,
                                 .dy = p.dy,
                                 .mean = f.mean,
                                 .rstd = f.rstd,
                                 .gamma = gamma,
                                 .grad_dx = c.dx,
                                 .grad_dgamma = c.dgamma,
                                 .grad_dbeta = c.dbeta,
                                 .grad_x = grad_x,
                                 .grad_dy = grad_dy,
                                 .grad_gamma = grad_gamma,
                                 .one_plus_gamma = true});
  EXPECT_TRUE(same_bits(grad_x, d.x) && same_bits(grad_dy, d.dy) && same_bits(grad_gamma, d.gamma));
}

}  // namespace
}  // namespace unitvar::test
