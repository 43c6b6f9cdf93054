// The activations that are no leaky ReLU, at particular values.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "parity/functions.hpp"
#include "support/isas.hpp"
#include "support/oracle.hpp"
#include "unitvar/activation.hpp"

namespace unitvar::test {
namespace {

using namespace functions;

/// One element for each x: by given statistics 0 and 1, v is x.
template <class T>
std::vector<T> apply(const Activation& activation, const std::vector<T>& x, Isa isa = Isa::automatic) {
  std::vector<T> y(x.size());
  const std::vector<double> zero = {0}, one = {1};
  batch_norm_act_inference<T>(
      {.extent = {1, 1, std::ssize(x)}, .x = x, .mean = zero, .var = one, .y = y, .eps = 0, .activation = activation},
      {.cpu = {.isa = isa}});
  return y;
}

template <class T>
void expect_silu_everywhere(double tolerance, T least, int count) {
  std::vector<T> x;
  for (int k = 0; k <= count; ++k) x.push_back(least + (20 - least) * static_cast<T>(k) / static_cast<T>(count));
  const auto want = [](T v) { return static_cast<long double>(v) / (1 + std::exp(-static_cast<long double>(v))); };
  for_each_isa([&](Isa isa) {
    const auto y = apply(Activation::silu(), x, isa);
    long double worst = 0;
    for (std::size_t k = 0; k < x.size(); ++k) {
      const long double of = want(x[k]);
      if (std::abs(of) < std::numeric_limits<T>::min()) {
        EXPECT_LE(std::abs(of - static_cast<long double>(y[k])), 2 * std::numeric_limits<T>::denorm_min()) << x[k];
      } else {
        worst = std::max(worst, std::abs((static_cast<long double>(y[k]) - of) / of));
      }
    }
    EXPECT_LE(worst, tolerance);
  });
}
TEST(FunctionsOfFloats, B88SiluIsWithin3em7OfItsValueDownToTheLeastNormalNumber) {
  expect_silu_everywhere<float>(3e-7, -104, 200000);
}
TEST(FunctionsOfDoubles, B88SiluIsWithin1em15OfItsValueDownToTheLeastNormalNumber) {
  expect_silu_everywhere<double>(1e-15, -745, 200000);
}

TEST(FunctionsOfFloats, KeepNaNAndMakeZeroOfWhatIsFarBelow) {
  constexpr float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (const auto& [name, activation] : all_functions)
    EXPECT_TRUE(std::isnan(apply<float>(activation, {nan})[0])) << name;
  EXPECT_EQ((std::vector<float>{0, 0, 0, inf}), apply<float>(Activation::hard_swish(), {-inf, -1e30F, -3, inf}));
  EXPECT_EQ((std::vector<float>{0, 0, 6, 6}), apply<float>(Activation::clip(), {-inf, -1, 7, inf}));
  EXPECT_EQ((std::vector<float>{0, 1e30F, inf}), apply<float>(Activation::silu(), {-1e30F, 1e30F, inf}));
}

TEST(FunctionsOfFloats, TakeEmptySpansForAbsentOnesWhateverTheirAddress) {
  const auto p = make_problem<float>(Extent{2, 3, 70});
  std::vector<std::uint8_t> room(1000, 7);
  const std::span<std::uint8_t> nothing(room.data() + 500, 0);
  const std::span<const float> no_residual(p.dy.data(), 0);
  const auto want = run_forward(p, {}, Activation::silu());
  std::vector<float> y(p.x.size());
  batch_norm_act_forward<float>({.extent = p.extent,
                                 .x = p.x,
                                 .residual = no_residual,
                                 .gamma = p.gamma,
                                 .beta = p.beta,
                                 .y = y,
                                 .mask = nothing,
                                 .eps = p.eps,
                                 .activation = Activation::silu()});
  EXPECT_EQ(want.y, y);
  batch_norm_act_forward<float>({.extent = p.extent, .x = p.x, .residual = no_residual, .y = y, .mask = nothing});
  EXPECT_EQ(std::vector<std::uint8_t>(1000, 7), room);
}

/// The gradient of hard-swish at x, by given statistics 0 and 1.
std::vector<float> through_hard_swish(const std::vector<float>& x, const std::vector<float>& dy) {
  const std::vector<double> mean = {0}, rstd = {1};
  std::vector<float> g(x.size());
  batch_norm_act_backward<float>({.extent = {1, 1, std::ssize(x)},
                                  .x = x,
                                  .dy = dy,
                                  .mean = mean,
                                  .rstd = rstd,
                                  .dresidual = g,
                                  .activation = Activation::hard_swish()});
  return g;
}

TEST(FunctionsOfFloats, GiveTheResidualsGradientOfOneValuePerChannel) {
  EXPECT_NEAR(3 * (2.0 / 3 + 0.5), through_hard_swish({2}, {3})[0], 1e-6);
}

TEST(FunctionsOfFloats, PassNothingOfAnInfiniteGradientWhereTheyAreFlat) {
  const auto g = through_hard_swish({-4, -3.5F, 0.5F, 1}, {std::numeric_limits<float>::infinity(), 1, 1, 1});
  EXPECT_EQ(0, g[0]);
  EXPECT_EQ(0, g[1]);
  EXPECT_NEAR(0.5 / 3 + 0.5, g[2], 1e-7);
}

TEST(FunctionsOfFloats, WorkOnChannelsThatFloatArithmeticCannotHold) {
  for (const Extent& extent : few_extents()) {
    auto p = make_problem<float>(extent);
    for (std::size_t k = 0; k < p.x.size(); ++k) {
      if (k / to_size(extent.inner) % to_size(extent.channels) % 2 == 0) p.x[k] *= 1e30F;
    }
    for (const auto& [name, activation] : all_functions) {
      SCOPED_TRACE(describe(extent) + " " + name);
      expect_reference(p, true, activation);
    }
  }
}

/// gamma * rstd overflows, which takes two factors.
TEST(FunctionsOfDoubles, WorkWhereGammaTimesRstdOverflows) {
  for (const Extent& extent : {Extent{4, 3, 33}, Extent{300, 5, 1}}) {
    auto p = make_problem<double>(extent);
    for (double& x : p.x) x *= 1e-150;
    for (double& gamma : p.gamma) gamma *= 1e170;
    p.eps = 0;
    for (double& beta : p.beta) beta *= 1e170;
    const auto f = run_forward(p, {}, Activation::hard_swish());
    auto args = arguments(p, {}, f, Activation::hard_swish());
    std::vector<double> g(p.x.size());
    args.dresidual = g;
    batch_norm_act_backward<double>(args);
    for (std::size_t k = 0; k < g.size(); ++k) {
      EXPECT_EQ(f.y[k] > 0 ? p.dy[k] : 0, g[k]);
      EXPECT_TRUE(std::isfinite(f.y[k]));
    }
  }
}

}  // namespace
}  // namespace unitvar::test
