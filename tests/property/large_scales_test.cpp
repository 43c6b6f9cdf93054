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
#include "unitvar/ghost.hpp"
#include "unitvar/in_place.hpp"
#include "unitvar/phases.hpp"
#include "unitvar/renorm.hpp"
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

/// Of dx: what dy around 1e-20 makes of gamma * rstd, and 100 of it.
std::vector<long double> dx_scales(const Expected<double>& e) {
  const auto& cache = e.forward.cache;
  std::vector<long double> scales;
  for (std::size_t c = 0; c < cache.gamma.size(); ++c) {
    scales.push_back(std::abs(cache.gamma[c] * cache.rstd[c]) * 1e-18L);
  }
  return scales;
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
        for (const Walk walk : all_walks) body(p, e, Options{.cpu = {.threads = 2, .isa = isa, .walk = walk}});
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
    std::vector<std::uint8_t> mask(to_size(batch_norm_act_mask_bytes(p.extent)));
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
                                    .activation = Activation::leaky_relu(0.25)},
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
                                     .activation = Activation::leaky_relu(0.25)},
                                    options);
    const auto dy = as<long double>(p.dy);
    const auto back = reference::fused_backward<long double>(e.forward.cache, positive, 0.25L, dy);
    expect_near(p, dx, back.dx, dx_scales(e));
  });
}

TEST_F(GammaTimesRstd, MayOverflowWithWeights) {
  for_each_case([](const Problem<double>& p, const Expected<double>& e, const Options& options) {
    const std::vector<double> ones(to_size(p.extent.count()), 1.0);
    std::vector<double> y(p.x.size());
    batch_norm_weighted_forward<double>(
        {.extent = p.extent, .x = p.x, .weight = ones, .gamma = p.gamma, .beta = p.beta, .y = y, .eps = p.eps},
        options);
    expect_near(p, y, e.forward.y, y_scales(p));
  });
}

TEST_F(GammaTimesRstd, MayOverflowInTheBackward) {
  for_each_case([](const Problem<double>& p, const Expected<double>& e, const Options& options) {
    const auto f = run_forward(p, options);
    const auto scales = dx_scales(e);
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

/// Running statistics are the batch's but for factors that r and d take in; in odd channels r is at its bound.
TEST_F(GammaTimesRstd, MayOverflowWithCorrections) {
  for_each_case([](const Problem<double>& p, const Expected<double>& e, const Options& options) {
    const auto& cache = e.forward.cache;
    const std::size_t C = p.gamma.size();
    std::vector<double> running_mean(C), running_var(C), mean(C), rstd(C), r(C), d(C), y(p.x.size()), dx(p.x.size());
    for (std::size_t c = 0; c < C; ++c) {
      const auto std = static_cast<double>(1 / cache.rstd[c]);
      running_mean[c] = static_cast<double>(cache.mean[c]) + (c == 0 ? 0.0 : 0.25 * std);
      running_var[c] = std * std * (c % 2 == 0 ? 0.64 : 100);
    }
    batch_norm_renorm_forward<double>({.extent = p.extent,
                                       .x = p.x,
                                       .gamma = p.gamma,
                                       .beta = p.beta,
                                       .running_mean = running_mean,
                                       .running_var = running_var,
                                       .y = y,
                                       .mean = mean,
                                       .rstd = rstd,
                                       .r = r,
                                       .d = d,
                                       .r_max = 3,
                                       .d_max = 5,
                                       .eps = p.eps},
                                      options);
    batch_norm_renorm_backward<double>({.extent = p.extent,
                                        .x = p.x,
                                        .dy = p.dy,
                                        .mean = mean,
                                        .rstd = rstd,
                                        .r = r,
                                        .d = d,
                                        .gamma = p.gamma,
                                        .dx = dx},
                                       options);
    auto want_y = cache.x_hat, want_dx = e.backward.dx;
    for (std::size_t k = 0; k < y.size(); ++k) {
      const std::size_t c = k / to_size(p.extent.inner) % C;
      want_y[k] = cache.gamma[c] * (want_y[k] * static_cast<long double>(r[c]) + static_cast<long double>(d[c])) +
                  static_cast<long double>(p.beta[c]);
      want_dx[k] *= static_cast<long double>(r[c]);
    }
    expect_near(p, y, want_y, y_scales(p));
    expect_near(p, dx, want_dx, dx_scales(e));
  });
}

/// A correction may also be what takes it beyond the largest double, or back.
TEST(GammaTimesRstdTimesR, MayOverflowOrMeetARstdThatDoes) {
  const Extent extent = Extent::nc(4, 2);
  const std::vector<double> x{1e-8, -1e-3, -1e-8, 1e-3, 1e-8, -1e-3, -1e-8, 1e-3}, gamma{1e300, 1e306}, none{0, 0};
  const std::vector<double> dy{1e-20, 0, 0, 0, 0, 1e-20, 0, 0};
  const std::vector<double> running_var{1e-20, 1}, rstd{1e8, 1e3}, r{100, 1e-3};
  std::vector<double> y(8), seen_r(2), dx(8);
  batch_norm_renorm_forward<double>({.extent = extent,
                                     .x = x,
                                     .gamma = gamma,
                                     .running_mean = none,
                                     .running_var = running_var,
                                     .y = y,
                                     .r = seen_r,
                                     .r_max = 1000,
                                     .d_max = 0,
                                     .eps = 0});
  EXPECT_NEAR(seen_r[0], 100, 1e-10);
  EXPECT_NEAR(seen_r[1], 1e-3, 1e-15);
  for (std::size_t k = 0; k < 8; ++k) EXPECT_NEAR(y[k] / (k % 2 == 0 ? 1e302 : 1e303), x[k] > 0 ? 1 : -1, 1e-12);
  batch_norm_renorm_backward<double>(
      {.extent = extent, .x = x, .dy = dy, .mean = none, .rstd = rstd, .r = r, .d = none, .gamma = gamma, .dx = dx});
  const std::vector<double> want{0.5, -0.5, 0, 0, -0.5, 0.5, 0, 0};  // dy - mean(dy) - x_hat * mean(dy * x_hat)
  for (std::size_t k = 0; k < 8; ++k) EXPECT_NEAR(dx[k] / (k % 2 == 0 ? 1e290 : 1e286), want[k], 1e-12);
}

TEST_F(GammaTimesRstd, MayOverflowInGhostBatches) {
  for_each_case([](const Problem<double>& p, const Expected<double>& e, const Options& options) {
    const std::size_t C = p.gamma.size();  // one ghost batch of all: the batch
    std::vector<double> y(p.x.size()), mean(C), rstd(C), dx(p.x.size());
    batch_norm_ghost_forward<double>({.extent = p.extent,
                                      .ghost = p.extent.outer,
                                      .x = p.x,
                                      .gamma = p.gamma,
                                      .beta = p.beta,
                                      .y = y,
                                      .mean = mean,
                                      .rstd = rstd,
                                      .eps = p.eps},
                                     options);
    expect_near(p, y, e.forward.y, y_scales(p));
    batch_norm_ghost_backward<double>({.extent = p.extent,
                                       .ghost = p.extent.outer,
                                       .x = p.x,
                                       .dy = p.dy,
                                       .mean = mean,
                                       .rstd = rstd,
                                       .gamma = p.gamma,
                                       .dx = dx},
                                      options);
    expect_near(p, dx, e.backward.dx, dx_scales(e));
  });
}

/// mean(dy * x_hat) / gamma must fit, too: gamma and dy are nearer to 1, but in the channel whose x is constant.
TEST(GammaTimesRstdInPlace, MayOverflow) {
  for (const Extent& extent : few_extents()) {
    SCOPED_TRACE(describe(extent));
    auto p = large_scales(extent);
    for (std::size_t c = 0; c < p.gamma.size(); ++c) {
      p.gamma[c] = (c % 2 == 0 ? -1e301 : 1e301) * (1 + 0.1 * static_cast<double>(c % 5));
      p.beta[c] = 0.5e301;
    }
    for (std::size_t k = 0; k < p.dy.size(); ++k) {
      p.dy[k] *= k / to_size(extent.inner) % p.gamma.size() == 0 ? 1e4 : 1e16;
    }
    const auto e = expected(p);
    auto dx_scale = dx_scales(e);
    for (std::size_t c = 0; c < dx_scale.size(); ++c) dx_scale[c] *= c == 0 ? 1e4L : 1e16L;
    for_each_isa([&](Isa isa) {
      for (const Walk walk : all_walks) {
        const Options options{.cpu = {.threads = 2, .isa = isa, .walk = walk}};
        auto y = p.x, dx = p.x;
        std::vector<double> rstd(p.gamma.size());
        batch_norm_in_place_forward<double>(
            {.extent = extent, .x = y, .gamma = p.gamma, .beta = p.beta, .rstd = rstd, .eps = p.eps}, options);
        expect_near(p, y, e.forward.y, y_scales(p));
        batch_norm_in_place_backward<double>(
            {.extent = extent, .y = y, .dy = p.dy, .rstd = rstd, .gamma = p.gamma, .beta = p.beta, .dx = dx}, options);
        expect_near(p, dx, e.backward.dx, dx_scale);
      }
    });
  }
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
          const auto f = run_forward(p, {.cpu = {.isa = isa, .walk = walk}});
          expect_near(p.of, f.y, e.forward.y, y_scales(p.of));
          const auto b = run_backward(p, f, {.cpu = {.isa = isa, .walk = walk}});
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
  batch_norm_fold<double>({.extent = WeightExtent::linear(2, 2),
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
  batch_norm_scale_and_shift<double>(
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
        const auto f = run_forward(p, {.cpu = {.isa = isa}});
        for (const auto& y : {f.y, run_inference(p, f.mean, f.var, {.cpu = {.isa = isa}})}) {
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
