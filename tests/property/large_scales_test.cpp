// gamma * rstd may leave the range of doubles on the way to results that do not.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "support/groups.hpp"
#include "support/isas.hpp"
#include "support/oracle.hpp"
#include "unitvar/activation.hpp"
#include "unitvar/fold.hpp"
#include "unitvar/frozen.hpp"
#include "unitvar/phases.hpp"
#include "unitvar/weighted.hpp"

namespace unitvar::test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// Values around 1e-8 in channels whose gamma is around 1e305, so that gamma * rstd is 1e313, and y 1e305. One channel
/// is constant, one ordinary.
Problem<double> large_scales(const Extent& extent) {
  auto p = make_problem<double>(ProblemSpec{.extent = extent, .scale = 1e-8});
  for (double& g : p.gamma) g *= 1e305;
  for (double& b : p.beta) b *= 1e305;
  for (double& g : p.dy) g *= 1e-20;
  p.gamma.back() = 1;
  for (std::int64_t k = 0; k < extent.size(); ++k) {
    if (k / extent.inner % extent.channels == 0) p.x[to_size(k)] = 0.1;
  }
  p.eps = 1e-30;
  return p;
}

/// Elements are near what is wanted, measured by their channel's scale.
void expect_near(const Problem<double>& p, const std::vector<double>& seen, const std::vector<long double>& want,
                 const std::vector<long double>& scale) {
  for (std::size_t k = 0; k < want.size(); ++k) {
    const std::size_t c = k / to_size(p.extent.inner) % to_size(p.extent.channels);
    const long double error = std::abs(static_cast<long double>(seen[k]) - want[k]);
    ASSERT_TRUE(error <= 1e-12L * scale[c]) << "element " << k << " is " << seen[k] << ", want " << want[k];
  }
}

std::vector<long double> y_scales(const Problem<double>& p) {
  std::vector<long double> scales;
  for (std::size_t c = 0; c < p.gamma.size(); ++c) {
    scales.push_back(10 * std::abs(static_cast<long double>(p.gamma[c])) + std::abs(p.beta[c]));
  }
  return scales;
}

class GammaTimesRstd : public ::testing::Test {
 protected:
  /// body(p, e, options) for every extent, instruction set and walk.
  template <class Body>
  void for_each_case(Body&& body) {
    for (const Extent& extent : few_extents()) {
      SCOPED_TRACE(describe(extent));
      const auto p = large_scales(extent);
      const auto e = expected(p);
      for_each_isa([&](Isa isa) {
        for (const Walk walk : all_walks) body(p, e, Options{.threads = 2, .isa = isa, .walk = walk});
      });
    }
  }
};

TEST_F(GammaTimesRstd, MayOverflowInTheForward) {
  for_each_case([](const Problem<double>& p, const Expected<double>& e, const Options& options) {
    const auto f = run_forward(p, options);
    expect_near(p, f.y, e.forward.y, y_scales(p));
    EXPECT_EQ(channel_values(p.extent, f.y, 0), std::vector<double>(to_size(p.extent.count()), p.beta[0]));
    std::vector<double> y(p.x.size());
    normalize<double>(
        {.extent = p.extent, .x = p.x, .mean = f.mean, .rstd = f.rstd, .gamma = p.gamma, .beta = p.beta, .y = y},
        options);
    EXPECT_TRUE(same_bits(f.y, y));
    expect_near(p, run_inference(p, f.mean, f.var, options), e.forward.y, y_scales(p));
  });
}

TEST_F(GammaTimesRstd, MayOverflowBehindAResidualAndAnActivation) {
  for_each_case([](const Problem<double>& p, const Expected<double>& e, const Options& options) {
    auto want = e.forward.y;
    std::vector<double> residual(p.x.size());
    std::vector<bool> positive(want.size());
    for (std::size_t k = 0; k < want.size(); ++k) {
      residual[k] = (k % 3 == 0 ? -1e305 : 1e304);
      want[k] += static_cast<long double>(residual[k]);
      positive[k] = want[k] > 0;
      if (!positive[k]) want[k] *= 0.25L;
    }
    std::vector<double> y = residual, mean(p.gamma), rstd(p.gamma);
    std::vector<std::uint8_t> mask(to_size(activation_mask_bytes(p.extent)));
    batch_norm_act_forward<double>({.extent = p.extent,
                                    .x = p.x,
                                    .residual = y,
                                    .gamma = p.gamma,
                                    .beta = p.beta,
                                    .y = y,
                                    .mask = mask,
                                    .mean = mean,
                                    .rstd = rstd,
                                    .eps = p.eps,
                                    .negative_slope = 0.25},
                                   options);
    expect_near(p, y, want, y_scales(p));
    std::vector<double> dx(p.x.size());
    batch_norm_act_backward<double>({.extent = p.extent,
                                     .x = p.x,
                                     .dy = p.dy,
                                     .mask = mask,
                                     .mean = mean,
                                     .rstd = rstd,
                                     .gamma = p.gamma,
                                     .dx = dx,
                                     .negative_slope = 0.25},
                                    options);
    const auto dy = as<long double>(p.dy);
    const auto back = reference::fused_backward<long double>(e.forward.cache, positive, 0.25L, dy);
    std::vector<long double> scales;
    for (std::size_t c = 0; c < p.gamma.size(); ++c) {
      scales.push_back(std::abs(e.forward.cache.gamma[c] * e.forward.cache.rstd[c]) * 1e-18L);
    }
    expect_near(p, dx, back.dx, scales);
  });
}

TEST_F(GammaTimesRstd, MayOverflowWithWeights) {
  for_each_case([](const Problem<double>& p, const Expected<double>& e, const Options& options) {
    const std::vector<double> ones(to_size(p.extent.count()), 1.0);
    std::vector<double> y(p.x.size());
    weighted_batch_norm_forward<double>(
        {.extent = p.extent, .x = p.x, .weight = ones, .gamma = p.gamma, .beta = p.beta, .y = y, .eps = p.eps},
        options);
    expect_near(p, y, e.forward.y, y_scales(p));
  });
}

TEST_F(GammaTimesRstd, MayOverflowInTheBackward) {
  for_each_case([](const Problem<double>& p, const Expected<double>& e, const Options& options) {
    const auto f = run_forward(p, options);
    std::vector<long double> scales;
    for (std::size_t c = 0; c < p.gamma.size(); ++c) {
      scales.push_back(std::abs(e.forward.cache.gamma[c] * e.forward.cache.rstd[c]) * 1e-18L);
    }
    expect_near(p, run_backward(p, f.mean, f.rstd, options).dx, e.backward.dx, scales);
    std::vector<double> dx(p.x.size());
    batch_norm_frozen_backward<double>(
        {.extent = p.extent, .dy = p.dy, .mean = f.mean, .var = f.var, .gamma = p.gamma, .dx = dx, .eps = p.eps},
        options);
    std::vector<long double> want;
    for (std::size_t k = 0; k < dx.size(); ++k) {
      const std::size_t c = k / to_size(p.extent.inner) % scales.size();
      want.push_back(e.forward.cache.gamma[c] * e.forward.cache.rstd[c] * static_cast<long double>(p.dy[k]));
    }
    expect_near(p, dx, want, scales);
  });
}

TEST(GammaTimesRstdInGroups, MayOverflow) {
  for (const Layout layout : both_layouts) {
    for (const std::int64_t groups : {2, 6}) {
      GroupProblem<double> p{make_groups(layout, 3, 6, 40, groups), {}};
      p.of = large_scales(p.groups.extent);
      SCOPED_TRACE(describe(p.groups));
      const auto e = expected(p);
      for_each_isa([&](Isa isa) {
        for (const Walk walk : all_walks) {
          const auto f = run_forward(p, {.isa = isa, .walk = walk});
          expect_near(p.of, f.y, e.forward.y, y_scales(p.of));
          const auto b = run_backward(p, f, {.isa = isa, .walk = walk});
          // The terms of a group are as large as its largest gamma makes them.
          const long double rstd = *std::max_element(e.forward.cache.rstd.begin(), e.forward.cache.rstd.end());
          expect_near(p.of, b.dx, e.backward.dx, std::vector<long double>(6, 1e305L * rstd * 1e-18L));
        }
      });
    }
  }
}

TEST(GammaTimesRstdWhenFolded, MayOverflow) {
  const std::vector<double> mean{0.5, 0.5}, var{1e-16, 1e-16}, gamma{1e305, -1e305}, beta{3, -4}, bias{0.5, 0.5};
  std::vector<double> weight{0, 1e-12, -1e-12, 0}, folded_bias(2), scale(2), shift(2);
  fold_batch_norm<double>({.extent = WeightExtent::linear(2, 2),
                           .weight = weight,
                           .bias = bias,
                           .mean = mean,
                           .var = var,
                           .gamma = gamma,
                           .beta = beta,
                           .folded_weight = weight,
                           .folded_bias = folded_bias,
                           .eps = 0});
  EXPECT_EQ(beta, folded_bias);
  EXPECT_EQ(0, weight[0]);
  EXPECT_NEAR(weight[1] / 1e301, 1, 1e-12);
  EXPECT_NEAR(weight[2] / 1e301, 1, 1e-12);
  const std::vector<double> none{0, 0};
  scale_and_shift<double>(
      {.mean = none, .var = var, .gamma = gamma, .beta = beta, .scale = scale, .shift = shift, .eps = 0});
  EXPECT_EQ((std::vector<double>{infinity, -infinity}), scale);
  EXPECT_EQ(beta, shift);
}

/// Floats never overflow there: the product is one of doubles.
TEST(GammaTimesRstdOfFloats, GivesBetaWhereXIsTheMean) {
  const auto check = [](auto type) {
    using T = decltype(type);
    for (const Extent& extent : few_extents()) {
      auto p = make_problem<T>(extent);
      p.x.assign(p.x.size(), T(0.1));
      p.gamma.assign(p.gamma.size(), 3e38F);
      p.eps = 1e-300;
      for_each_isa([&](Isa isa) {
        const auto f = run_forward(p, {.isa = isa});
        for (const auto& y : {f.y, run_inference(p, f.mean, f.var, {.isa = isa})}) {
          for (std::size_t k = 0; k < y.size(); ++k) {
            const auto beta = p.beta[k / to_size(extent.inner) % to_size(extent.channels)];
            ASSERT_EQ(static_cast<T>(beta), y[k]);
          }
        }
      });
    }
  };
  check(float());
  check(bf16());
  check(f16());
}

}  // namespace
}  // namespace unitvar::test
