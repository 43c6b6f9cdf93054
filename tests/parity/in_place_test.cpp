// Normalization that overwrites its input, and the backward pass from its output.
#include "unitvar/in_place.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <string>
#include <vector>

#include "support/dtypes.hpp"
#include "support/expect_error.hpp"
#include "support/isas.hpp"
#include "support/oracle.hpp"
#include "unitvar/activation.hpp"

namespace unitvar::test {
namespace {

constexpr double slopes[] = {1, 0.01};

/// gamma away from 0: |gamma| in [0.5, 1.5], either sign; |beta| <= 0.5, so that no more than 0.3 digits are lost.
template <class T>
Problem<T> recoverable(const Extent& extent) {
  auto p = make_problem<T>(extent);
  Random random(11);
  for (auto& g : p.gamma) g = static_cast<param_t<T>>((random.uniform(0, 1) < 0.5 ? -1 : 1) * random.uniform(0.5, 1.5));
  for (auto& b : p.beta) b = static_cast<param_t<T>>(random.uniform(-0.5, 0.5));
  return p;
}

template <class T>
struct InPlace {
  std::vector<T> y;
  std::vector<double> mean, var, rstd;
};

template <class T>
InPlace<T> run_in_place(const Problem<T>& p, double slope, const Options& options = {}) {
  const std::vector<double> c(to_size(p.extent.channels));
  InPlace<T> r{p.x, c, c, c};
  batch_norm_in_place_forward<T>({.extent = p.extent,
                                  .x = r.y,
                                  .gamma = p.gamma,
                                  .beta = p.beta,
                                  .mean = r.mean,
                                  .var = r.var,
                                  .rstd = r.rstd,
                                  .eps = p.eps,
                                  .negative_slope = slope},
                                 options);
  return r;
}

template <class T>
BackwardResult<T> run_in_place_backward(const Problem<T>& p, const InPlace<T>& f, double slope,
                                        const Options& options = {}) {
  const std::vector<param_t<T>> c(to_size(p.extent.channels));
  BackwardResult<T> r{std::vector<T>(p.x.size()), c, c};
  batch_norm_in_place_backward<T>({.extent = p.extent,
                                   .y = f.y,
                                   .dy = p.dy,
                                   .rstd = f.rstd,
                                   .gamma = p.gamma,
                                   .beta = p.beta,
                                   .dx = r.dx,
                                   .dgamma = r.dgamma,
                                   .dbeta = r.dbeta,
                                   .negative_slope = slope},
                                  options);
  return r;
}

template <class T>
class InPlaceNorm : public ::testing::Test {
 protected:
  std::vector<Extent> extents() const {
    auto all = few_extents();
    all.push_back({7, 401, 196});
    return all;
  }
};
TYPED_TEST_SUITE(InPlaceNorm, AllDtypes);

TYPED_TEST(InPlaceNorm, ForwardGivesTheBitsOfTheSeparateOneInEveryWalk) {
  using T = TypeParam;
  for (const Extent& extent : this->extents()) {
    SCOPED_TRACE(describe(extent));
    const auto p = recoverable<T>(extent);
    for (const double slope : slopes) {
      std::vector<T> y(p.x.size());
      batch_norm_act_forward<T>({.extent = extent,
                                 .x = p.x,
                                 .gamma = p.gamma,
                                 .beta = p.beta,
                                 .y = y,
                                 .eps = p.eps,
                                 .activation = Activation::leaky_relu(slope)});
      for_each_isa([&](Isa isa) {
        for (const Walk walk : all_walks) {
          EXPECT_TRUE(same_bits(y, run_in_place(p, slope, {.cpu = {.threads = 2, .isa = isa, .walk = walk}}).y));
        }
      });
    }
  }
}

/// What y has lost by its own rounding is B61's factor, at most 2 here; 16 bits lose half a step of y itself.
TYPED_TEST(InPlaceNorm, B58ToB60BackwardFromYIsTheBackwardFromX) {
  using T = TypeParam;
  using R = oracle_t<T>;
  for (const Extent& extent : this->extents()) {
    const auto p = recoverable<T>(extent);
    const auto e = expected(p);
    const auto x = as<R>(p.x), dy = as<R>(p.dy), gamma = as<R>(p.gamma), beta = as<R>(p.beta);
    for (const double slope : slopes) {
      SCOPED_TRACE(describe(extent) + ", slope " + std::to_string(slope));
      const auto f = run_in_place(p, slope);
      std::vector<bool> positive(f.y.size());
      for (std::size_t k = 0; k < positive.size(); ++k) positive[k] = static_cast<double>(f.y[k]) > 0;
      const auto want = reference::fused_backward<R>(e.forward.cache, positive, static_cast<R>(slope), dy);
      const double from_y = is_half<T> ? 3 * half_step<T> : 0;
      for_each_isa([&](Isa isa) {
        const auto b = run_in_place_backward(p, f, slope, {.cpu = {.threads = 2, .isa = isa}});
        const double ratio = e.mean_over_std;
        EXPECT_LE(relative_l2(b.dx, want.dx, e.dx_scale), from_y + 2 * tolerance<T>(Quantity::dx, ratio));
        EXPECT_LE(relative_l2(b.dgamma, want.dgamma, e.dgamma_scale),
                  from_y + 2 * tolerance<T>(Quantity::dgamma, ratio));
        EXPECT_LE(relative_l2(b.dbeta, want.dbeta, e.dbeta_scale), tolerance<T>(Quantity::dbeta, ratio));
      });
    }
  }
}

TYPED_TEST(InPlaceNorm, HasTheSameBitsForEveryThreadCountInstructionSetAndWalk) {
  for (const Extent& extent : this->extents()) {
    SCOPED_TRACE(describe(extent));
    const auto p = recoverable<TypeParam>(extent);
    const auto f = run_in_place(p, 0.01);
    const auto want = run_in_place_backward(p, f, 0.01, {.cpu = {.threads = 1}});
    for_each_isa([&](Isa isa) {
      for (const Walk walk : all_walks) {
        const auto b = run_in_place_backward(p, f, 0.01, {.cpu = {.threads = 3, .isa = isa, .walk = walk}});
        EXPECT_TRUE(same_bits(want.dx, b.dx));
        EXPECT_TRUE(same_bits(want.dgamma, b.dgamma));
        EXPECT_TRUE(same_bits(want.dbeta, b.dbeta));
      }
    });
  }
}

TYPED_TEST(InPlaceNorm, GivesDbetaAloneAndDxInThePlaceOfDy) {
  using T = TypeParam;
  const auto p = recoverable<T>({9, 5, 33});
  const auto f = run_in_place(p, 0.01);
  const auto want = run_in_place_backward(p, f, 0.01);
  std::vector<param_t<T>> dbeta(5);
  BatchNormInPlaceBackward<T> args{.extent = p.extent,
                                   .y = f.y,
                                   .dy = p.dy,
                                   .rstd = f.rstd,
                                   .gamma = p.gamma,
                                   .beta = p.beta,
                                   .dbeta = dbeta,
                                   .negative_slope = 0.01};
  batch_norm_in_place_backward<T>(args);
  EXPECT_TRUE(same_bits(want.dbeta, dbeta));
  auto dx = p.dy;
  args.dy = dx, args.dx = dx, args.dbeta = {};
  batch_norm_in_place_backward<T>(args);
  EXPECT_TRUE(same_bits(want.dx, dx));
}

TEST(InPlaceRefusals, B61NobodyLosesDigitsWithoutHavingSaidSo) {
  auto p = recoverable<float>(Extent{4, 3, 5});
  p.gamma[1] = 1e-3F, p.beta[1] = 0.5F;
  auto x = p.x;
  BatchNormInPlaceForward<float> args{.extent = p.extent, .x = x, .gamma = p.gamma, .beta = p.beta};
  const auto call = [&] { batch_norm_in_place_forward<float>(args); };
  expect_error(ErrorCode::bad_argument,
               {"batch_norm_in_place_forward", "in channel 1", "loses 2.69", "max_lost_digits = 1"}, call);
  EXPECT_EQ(p.x, x) << "nothing is overwritten";
  args.max_lost_digits = 3;
  call();
  EXPECT_NE(p.x, x);
  std::vector<float> dx(x.size());
  const std::vector<double> rstd(3, 1.0);
  expect_error(ErrorCode::bad_argument, {"batch_norm_in_place_backward", "in channel 1"}, [&] {
    batch_norm_in_place_backward<float>(
        {.extent = p.extent, .y = x, .dy = p.dy, .rstd = rstd, .gamma = p.gamma, .beta = p.beta, .dx = dx});
  });
  p.gamma[1] = 0, p.beta[1] = 0;
  args.max_lost_digits = 1e9;
  expect_error(ErrorCode::bad_argument, {"gamma is 0 in channel 1"}, call);
  p.gamma[1] = 1, args.negative_slope = 0;
  expect_error(ErrorCode::bad_argument, {"negative_slope is 0", "> 0"}, call);
}

/// Every power of ten that a double holds is refused by both passes before anything is written, or taken by both; then
/// finite y, and no NaN, come of it.
TYPED_TEST(InPlaceNorm, TakesASlopeThatItCanTakeBackOrRefusesIt) {
  using T = TypeParam;
  const auto p = recoverable<T>({9, 5, 33});
  const auto f = run_in_place(p, 0.5);
  const std::vector<T> unwritten(p.x.size(), T(7));
  int taken = 0;
  for (int exponent = -323; exponent <= 308; ++exponent) {
    const double slope = std::pow(10, exponent);
    SCOPED_TRACE(slope);
    auto y = p.x, dx = unwritten;
    const auto forward = [&] {
      batch_norm_in_place_forward<T>(
          {.extent = p.extent, .x = y, .gamma = p.gamma, .beta = p.beta, .negative_slope = slope});
    };
    const auto backward = [&] {
      batch_norm_in_place_backward<T>({.extent = p.extent,
                                       .y = y,
                                       .dy = p.dy,
                                       .rstd = f.rstd,
                                       .gamma = p.gamma,
                                       .beta = p.beta,
                                       .dx = dx,
                                       .negative_slope = slope});
    };
    try {
      forward();
    } catch (const Error&) {
      EXPECT_EQ(p.x, y) << "nothing is overwritten";
      EXPECT_THROW(backward(), Error);
      EXPECT_EQ(unwritten, dx) << "nothing is written";
      continue;
    }
    ++taken;
    EXPECT_TRUE(all_finite(y));
    backward();
    EXPECT_FALSE(std::any_of(dx.begin(), dx.end(), [](T v) { return std::isnan(static_cast<double>(v)); }));
  }
  const double decades = std::is_same_v<T, double> ? 610 : std::is_same_v<T, f16> ? 7 : 72;
  EXPECT_GE(taken, decades);
}

TEST(InPlaceRefusals, SaysWhatIsWrongWithASlope) {
  const auto refused = [](auto type, double slope, std::initializer_list<std::string> parts) {
    using T = decltype(type);
    auto p = recoverable<T>(Extent{4, 3, 5});
    p.gamma.assign(3, 1), p.beta.assign(3, 0);
    auto x = p.x, dx = p.x;
    expect_error(ErrorCode::bad_argument, parts, [&] {
      batch_norm_in_place_forward<T>(
          {.extent = p.extent, .x = x, .gamma = p.gamma, .beta = p.beta, .negative_slope = slope});
    });
    expect_error(ErrorCode::bad_argument, {"batch_norm_in_place_backward", "negative_slope"}, [&] {
      const std::vector<double> rstd(3, 1.0);
      batch_norm_in_place_backward<T>(
          {.extent = p.extent, .y = x, .dy = p.dy, .rstd = rstd, .dx = dx, .negative_slope = slope});
    });
  };
  refused(float(), 1e-50,
          {"batch_norm_in_place_forward: negative_slope is 1e-50, want one that is a normal number in f32, and its "
           "reciprocal too (they are 0 and inf there)"});
  refused(bf16(), 1e39, {"negative_slope is 1e+39", "f32", "they are inf and 1.0"});
  refused(double(), 1e-310, {"negative_slope is 1e-310", "f64", "and inf"});
  refused(f16(), 1e5, {"negative_slope is 1e+05, want at most 150", "in channel 0, beyond which y exceeds f16"});
  refused(f16(), 1e-6, {"negative_slope 1e-06: x_hat loses 1.78", "digits, want at most max_lost_digits = 1"});
}

/// As the caller knows them: with their signs, and what is wrong by its name.
TEST(InPlaceRefusals, SaysWhatIsWrongWithAGamma) {
  const auto refused = [](auto type, const Extent& extent, double gamma, double beta, double slope,
                          std::initializer_list<std::string> parts) {
    using T = decltype(type);
    std::vector<T> x(to_size(extent.size()), T(1)), unwritten = x;
    const std::vector<param_t<T>> gammas(to_size(extent.channels), static_cast<param_t<T>>(gamma));
    const std::vector<param_t<T>> betas(gammas.size(), static_cast<param_t<T>>(beta));
    expect_error(ErrorCode::bad_argument, parts, [&] {
      batch_norm_in_place_forward<T>(
          {.extent = extent, .x = x, .gamma = gammas, .beta = betas, .negative_slope = slope});
    });
    expect_error(ErrorCode::bad_argument, {"batch_norm_in_place_backward", "gamma is"}, [&] {
      const std::vector<double> rstd(gammas.size(), 1.0);
      batch_norm_in_place_backward<T>({.extent = extent,
                                       .y = unwritten,
                                       .dy = unwritten,
                                       .rstd = rstd,
                                       .gamma = gammas,
                                       .beta = betas,
                                       .dx = x,
                                       .negative_slope = slope});
    });
    EXPECT_EQ(unwritten, x) << "nothing is written";
  };
  const Extent small{4, 3, 5};
  refused(double(), small, -0.5, -49.5, 1, {"gamma is -0.5 and beta -49.5 in channel 0: x_hat loses 2", "digits"});
  refused(double(), small, -1e-310, 0, 1, {"gamma is -1e-310 in channel 0, want one that y can be divided by"});
  for (const double slope : {0.25, 1.0, 2.0}) {
    refused(f16(), Extent{1000, 1, 1000}, -2000, 16, slope,
            {"gamma is -2000 and beta 16 in channel 0: with 1e+06 values a channel |y| may reach 2000014.9",
             "want at most 65504, the largest f16"});
    refused(double(), small, 1e308, 0, slope,
            {"gamma is 1e+308 and beta 0 in channel 0", "|y| may reach inf", "the largest f64"});
  }
}

TEST(InPlaceRefusals, AGammaWhoseReciprocalOverflows) {
  auto p = recoverable<double>(Extent{4, 3, 5});
  p.gamma[2] = 1e-310, p.beta[2] = 0;
  expect_error(ErrorCode::bad_argument, {"gamma is 1e-310 in channel 2, want one that y can be divided by"}, [&] {
    batch_norm_in_place_forward<double>(
        {.extent = p.extent, .x = p.x, .gamma = p.gamma, .beta = p.beta, .max_lost_digits = 1e9});
  });
}

/// The bound that the API states: of ten times as large a beta, ten times as much is lost.
TEST(InPlaceNormOfFloats, LosesAsManyDigitsAsItSays) {
  for (const float ratio : {1.0F, 10.0F, 100.0F, 1000.0F}) {
    auto p = make_problem<float>(Extent{32, 8, 196});
    p.gamma.assign(8, 0.5F), p.beta.assign(8, 0.5F * ratio);
    const auto e = expected(p);
    auto y = p.x;
    std::vector<double> rstd(8);
    const double lost = std::log10(1.0 + ratio);
    batch_norm_in_place_forward<float>(
        {.extent = p.extent, .x = y, .gamma = p.gamma, .beta = p.beta, .rstd = rstd, .max_lost_digits = lost});
    std::vector<float> dx(y.size());
    batch_norm_in_place_backward<float>({.extent = p.extent,
                                         .y = y,
                                         .dy = p.dy,
                                         .rstd = rstd,
                                         .gamma = p.gamma,
                                         .beta = p.beta,
                                         .dx = dx,
                                         .max_lost_digits = lost});
    const double error = relative_l2(dx, e.backward.dx);
    EXPECT_LE(error, 3e-7 * (1 + ratio));
    // x_hat's error enters dx times mean(dy x_hat), 1 / sqrt(6272) of it: that some is lost shows where much is.
    if (ratio == 1000) {
      EXPECT_GE(error, 1e-7);
    }
  }
}

}  // namespace
}  // namespace unitvar::test
