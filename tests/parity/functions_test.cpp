// Batch normalization with the activations that are no leaky ReLU, and with a residual alone.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "support/dtypes.hpp"
#include "support/expect_error.hpp"
#include "support/fenced.hpp"
#include "support/isas.hpp"
#include "support/oracle.hpp"
#include "unitvar/activation.hpp"
#include "unitvar/frozen.hpp"
#include "unitvar/gradcheck.hpp"

namespace unitvar::test {
namespace {

struct Named {
  const char* name;
  Activation activation;
};
constexpr Named all_functions[] = {{"identity", Activation::identity()},
                                   {"clip", Activation::clip(-0.5, 1.25)},
                                   {"hard-swish", Activation::hard_swish()},
                                   {"silu", Activation::silu()}};

/// The last is written past the caches, by rows that share lines of memory.
std::vector<Extent> function_extents() {
  auto extents = few_extents();
  extents.push_back({7, 401, 196});
  return extents;
}

template <class T>
std::vector<T> residual_of(const Problem<T>& p) {
  return make_problem<T>(ProblemSpec{.extent = p.extent, .seed = 99}).x;
}

template <class T>
struct Forward {
  std::vector<T> y;
  std::vector<std::uint8_t> mask;
  std::vector<double> mean, var, rstd;
};

template <class T>
Forward<T> run_forward(const Problem<T>& p, const std::vector<T>& residual, const Activation& activation,
                       const Options& options = {}) {
  const std::vector<double> c(to_size(p.extent.channels));
  Forward<T> f{std::vector<T>(p.x.size()),
               std::vector<std::uint8_t>(to_size(batch_norm_act_mask_bytes(p.extent, activation))), c, c, c};
  batch_norm_act_forward<T>({.extent = p.extent,
                             .x = p.x,
                             .residual = residual,
                             .gamma = p.gamma,
                             .beta = p.beta,
                             .y = f.y,
                             .mask = f.mask,
                             .mean = f.mean,
                             .var = f.var,
                             .rstd = f.rstd,
                             .eps = p.eps,
                             .activation = activation},
                            options);
  return f;
}

template <class T>
struct Backward {
  std::vector<T> dx, dresidual;
  std::vector<param_t<T>> dgamma, dbeta;
};

template <class T>
BatchNormActBackward<T> arguments(const Problem<T>& p, const std::vector<T>& residual, const Forward<T>& f,
                                  const Activation& activation) {
  return {.extent = p.extent,
          .x = p.x,
          .dy = p.dy,
          .mask = f.mask,
          .residual = residual,
          .mean = f.mean,
          .rstd = f.rstd,
          .gamma = p.gamma,
          .beta = p.beta,
          .activation = activation};
}

template <class T>
Backward<T> run_backward(const Problem<T>& p, const std::vector<T>& residual, const Forward<T>& f,
                         const Activation& activation, const Options& options = {}) {
  const std::vector<param_t<T>> c(to_size(p.extent.channels));
  Backward<T> b{std::vector<T>(p.x.size()), std::vector<T>(p.x.size()), c, c};
  auto args = arguments(p, residual, f, activation);
  args.dx = b.dx, args.dresidual = b.dresidual, args.dgamma = b.dgamma, args.dbeta = b.dbeta;
  batch_norm_act_backward<T>(args, options);
  return b;
}

/// Where the activation has a kink, an element that is there but for rounding may fall on either side: its g is taken
/// from the library.
template <class T>
void expect_reference(const Problem<T>& p, bool with_residual, const Activation& activation) {
  using R = oracle_t<T>;
  const auto residual = with_residual ? residual_of(p) : std::vector<T>();
  const auto x = as<R>(p.x), gamma = as<R>(p.gamma), beta = as<R>(p.beta), z = as<R>(residual);
  const auto want = reference::act_forward<R>(p.extent, x, gamma, beta, static_cast<R>(p.eps), z, activation);
  const auto gradients = reference::act_backward<R>(want.cache, want.v, activation, as<R>(p.dy));
  const auto e = expected(p);
  const R y_scale = e.y_scale + l2_norm(z), dy_scale = l2_norm(as<R>(p.dy));
  // v is known to its own rounding, and so is a'(v): its slope is at most 1/2.
  const R dz_scale = dy_scale * (1 + y_scale / std::sqrt(static_cast<R>(p.x.size())));
  for_each_isa([&](Isa isa) {
    for (const Walk walk : all_walks) {
      const Options options{.cpu = {.threads = 2, .isa = isa, .walk = walk}};
      const auto f = run_forward(p, residual, activation, options);
      expect_within<T>(Quantity::y, relative_l2(f.y, want.y, y_scale), e.mean_over_std);
      const auto b = run_backward(p, residual, f, activation, options);
      expect_within<T>(Quantity::dx, relative_l2(b.dresidual, gradients.dz, dz_scale), e.mean_over_std);
      const auto plain = reference::backward<R>(want.cache, as<R>(b.dresidual));
      expect_within<T>(Quantity::dx, relative_l2(b.dx, plain.dx, e.dx_scale), e.mean_over_std);
      expect_within<T>(Quantity::dgamma, relative_l2(b.dgamma, plain.dgamma, e.dgamma_scale), e.mean_over_std);
      expect_within<T>(Quantity::dbeta, relative_l2(b.dbeta, plain.dbeta, e.dbeta_scale), e.mean_over_std);
    }
  });
}

template <class T>
class Functions : public ::testing::Test {};
TYPED_TEST_SUITE(Functions, AllDtypes);

TYPED_TEST(Functions, B88ToB91MatchTheReferenceInEveryShapeAndWalk) {
  for (const Extent& extent : function_extents()) {
    const bool large = extent.size() > 100000;
    for (const auto& [name, activation] : all_functions) {
      for (const bool residual : {false, true}) {
        if (large && !residual) continue;
        SCOPED_TRACE(describe(extent) + " " + name + (residual ? " residual" : ""));
        expect_reference(make_problem<TypeParam>(extent, is_half<TypeParam> ? 1 : 100), residual, activation);
      }
    }
  }
}

TYPED_TEST(Functions, HaveTheSameBitsForEveryThreadCountInstructionSetAndWalk) {
  for (const Extent& extent : function_extents()) {
    const auto p = make_problem<TypeParam>(extent, 3);
    const auto residual = residual_of(p);
    for (const auto& [name, activation] : all_functions) {
      // Past the caches, one that keeps bits and one that is computed again stand for all.
      const bool stands_for_all =
          activation.kind == Activation::Kind::clip || activation.kind == Activation::Kind::silu;
      if (extent.size() > 100000 && !stands_for_all) continue;
      SCOPED_TRACE(describe(extent) + " " + name);
      const auto f = run_forward(p, residual, activation, {.cpu = {.threads = 1}});
      const auto b = run_backward(p, residual, f, activation, {.cpu = {.threads = 1}});
      for_each_isa([&](Isa isa) {
        for (const int threads : {1, 2, 5}) {
          for (const Walk walk : all_walks) {
            const Options options{.cpu = {.threads = threads, .isa = isa, .walk = walk}};
            SCOPED_TRACE(describe(options));
            const auto again = run_forward(p, residual, activation, options);
            EXPECT_TRUE(same_bits(f.y, again.y));
            EXPECT_TRUE(same_bits(f.mask, again.mask));
            const auto back = run_backward(p, residual, f, activation, options);
            EXPECT_TRUE(same_bits(b.dx, back.dx));
            EXPECT_TRUE(same_bits(b.dresidual, back.dresidual));
            EXPECT_TRUE(same_bits(b.dgamma, back.dgamma));
          }
        }
      });
    }
  }
}

TYPED_TEST(Functions, OfInferenceHaveTheBitsOfTheTrainingForwardWithTheSameStatistics) {
  using T = TypeParam;
  for (const Extent& extent : few_extents()) {
    const auto p = make_problem<T>(extent);
    const auto residual = residual_of(p);
    for (const auto& [name, activation] : all_functions) {
      const auto f = run_forward(p, residual, activation);
      auto in_place = p.x;
      batch_norm_act_inference<T>({.extent = extent,
                                   .x = in_place,
                                   .residual = residual,
                                   .mean = f.mean,
                                   .var = f.var,
                                   .gamma = p.gamma,
                                   .beta = p.beta,
                                   .y = in_place,
                                   .eps = p.eps,
                                   .activation = activation});
      EXPECT_TRUE(same_bits(f.y, in_place)) << name << " " << describe(extent);
    }
  }
}

TYPED_TEST(Functions, StayInsideTheirMemory) {
  using T = TypeParam;
  for (const Extent& extent :
       {Extent{3, 2, 65}, Extent{5, 31, 1}, Extent{9, 3, 7}, Extent{1, 1, 33}, Extent{2, 9, 127}}) {
    const auto p = make_problem<T>(extent, 1);
    const auto residual = residual_of(p);
    for (const auto& [name, activation] : all_functions) {
      SCOPED_TRACE(describe(extent) + " " + name);
      const auto f = run_forward(p, residual, activation);
      const auto want = run_backward(p, residual, f, activation);
      for_each_isa([&](Isa isa) {
        for (const Fence fence : {Fence::before, Fence::after}) {
          const std::size_t n = p.x.size();
          Fenced<T> x(p.x, fence), dy(p.dy, fence), z(residual, fence), y(n, fence), dx(n, fence), dz(n, fence);
          Fenced<std::uint8_t> mask(f.mask, fence);
          const Options options{.cpu = {.isa = isa}};
          batch_norm_act_forward<T>({.extent = extent,
                                     .x = x.span(),
                                     .residual = z.span(),
                                     .gamma = p.gamma,
                                     .beta = p.beta,
                                     .y = y.span(),
                                     .activation = activation},
                                    options);
          EXPECT_TRUE(same_bits(f.y, y.values()));
          auto args = arguments(p, residual, f, activation);
          args.x = x.span(), args.dy = dy.span(), args.residual = z.span(), args.mask = mask.span();
          args.dx = dx.span(), args.dresidual = dz.span();
          batch_norm_act_backward<T>(args, options);
          EXPECT_TRUE(same_bits(want.dx, dx.values()));
          EXPECT_TRUE(same_bits(want.dresidual, dz.values()));
        }
      });
    }
  }
}

TYPED_TEST(Functions, GiveEachGradientAloneAndDxInThePlaceOfDy) {
  using T = TypeParam;
  for (const Extent& extent : function_extents()) {
    const auto p = make_problem<T>(extent);
    const auto residual = residual_of(p);
    for (const auto& [name, activation] : all_functions) {
      SCOPED_TRACE(describe(extent) + " " + name);
      const auto f = run_forward(p, residual, activation);
      const auto want = run_backward(p, residual, f, activation);
      auto args = arguments(p, residual, f, activation);
      std::vector<T> dresidual(p.x.size()), dx = p.dy;
      std::vector<param_t<T>> dbeta(to_size(extent.channels)), dgamma(dbeta);
      args.dresidual = dresidual;
      batch_norm_act_backward<T>(args);
      EXPECT_TRUE(same_bits(want.dresidual, dresidual));
      args.dresidual = {}, args.dbeta = dbeta, args.dgamma = dgamma;
      batch_norm_act_backward<T>(args);
      EXPECT_TRUE(same_bits(want.dbeta, dbeta));
      EXPECT_TRUE(same_bits(want.dgamma, dgamma));
      args.dy = dx, args.dx = dx, args.dbeta = {}, args.dgamma = {};
      batch_norm_act_backward<T>(args);
      EXPECT_TRUE(same_bits(want.dx, dx));
      dx = p.dy, dresidual.assign(p.x.size(), T(0.0F)), args.dresidual = dresidual;
      batch_norm_act_backward<T>(args);
      EXPECT_TRUE(same_bits(want.dx, dx));
      EXPECT_TRUE(same_bits(want.dresidual, dresidual));
    }
  }
}

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

TEST(FunctionsOfFloats, GiveTheResidualsGradientOfOneValuePerChannel) {
  const std::vector<float> x = {2}, dy = {3};
  const std::vector<double> mean = {0}, rstd = {1};
  std::vector<float> g(1);
  batch_norm_act_backward<float>({.extent = {1, 1, 1},
                                  .x = x,
                                  .dy = dy,
                                  .mean = mean,
                                  .rstd = rstd,
                                  .dresidual = g,
                                  .activation = Activation::hard_swish()});
  EXPECT_NEAR(3 * (2.0 / 3 + 0.5), g[0], 1e-6);
}

TEST(FunctionsOfFloats, PassNothingOfAnInfiniteGradientWhereTheyAreFlat) {
  const std::vector<float> x = {-4, -3.5F, 0.5F, 1}, dy = {std::numeric_limits<float>::infinity(), 1, 1, 1};
  const std::vector<double> mean = {0}, rstd = {1};
  std::vector<float> g(4);
  batch_norm_act_backward<float>({.extent = {1, 1, 4},
                                  .x = x,
                                  .dy = dy,
                                  .mean = mean,
                                  .rstd = rstd,
                                  .dresidual = g,
                                  .activation = Activation::hard_swish()});
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

template <class T>
struct Second {
  std::vector<T> x, dy, residual;
  std::vector<param_t<T>> gamma, beta;
};

template <class T>
Second<T> run_second(const Problem<T>& p, const Problem<T>& of, const std::vector<T>& residual, const Forward<T>& f,
                     const Activation& activation, bool frozen) {
  const std::vector<T> t(p.x.size());
  const std::vector<param_t<T>> c(to_size(p.extent.channels));
  Second<T> s{t, t, t, c, c};
  const BatchNormActDoubleBackward<T> args{.extent = p.extent,
                                           .x = p.x,
                                           .dy = p.dy,
                                           .residual = residual,
                                           .mean = f.mean,
                                           .rstd = f.rstd,
                                           .gamma = p.gamma,
                                           .beta = p.beta,
                                           .grad_dx = of.x,
                                           .grad_dresidual = of.dy,
                                           .grad_dgamma = of.gamma,
                                           .grad_dbeta = of.beta,
                                           .grad_x = s.x,
                                           .grad_dy = s.dy,
                                           .grad_residual = s.residual,
                                           .grad_gamma = s.gamma,
                                           .grad_beta = s.beta,
                                           .activation = activation};
  frozen ? batch_norm_act_frozen_double_backward<T>(args) : batch_norm_act_double_backward<T>(args);
  return s;
}

TEST(FunctionsOfDoubles, B92DoubleBackwardMatchesTheReference) {
  for (const Extent& extent : few_extents()) {
    const auto p = make_problem<double>(extent);
    const auto of = make_problem<double>(ProblemSpec{.extent = extent, .seed = 7});
    const auto residual = residual_of(p);
    for (const auto& [name, activation] : all_functions) {
      SCOPED_TRACE(describe(extent) + " " + name);
      using R = long double;
      const auto forward = reference::act_forward<R>(extent, as<R>(p.x), as<R>(p.gamma), as<R>(p.beta),
                                                     static_cast<R>(p.eps), as<R>(residual), activation);
      const auto u = as<R>(of.gamma), w = as<R>(of.beta), v = as<R>(of.x), z = as<R>(of.dy);
      const auto want = reference::act_double_backward<R>(forward.cache, forward.v, activation, as<R>(p.dy),
                                                          {.dx = v, .dz = z, .dgamma = u, .dbeta = w});
      const auto got = run_second(p, of, residual, run_forward(p, residual, activation), activation, false);
      EXPECT_LE(relative_l2(got.x, want.grad_x, R(0)), 1e-12L);
      EXPECT_LE(relative_l2(got.dy, want.grad_dy, R(0)), 1e-12L);
      EXPECT_LE(relative_l2(got.residual, want.grad_z, R(1e-9)), 1e-12L);
      EXPECT_LE(relative_l2(got.gamma, want.grad_gamma, R(0)), 1e-12L);
      EXPECT_LE(relative_l2(got.beta, want.grad_beta, R(1e-9)), 1e-12L);
    }
  }
}

/// The cotangents' product with the gradients, as a function of one input of the frozen backward.
TEST(FunctionsOfDoubles, B92FrozenDoubleBackwardMatchesNumericDifferentiation) {
  const Extent extent{3, 2, 5};
  auto p = make_problem<double>(extent);
  const auto of = make_problem<double>(ProblemSpec{.extent = extent, .seed = 7});
  const auto residual = residual_of(p);
  const Activation silu = Activation::silu();
  Forward<double> f;
  f.mean = {0.25, -0.5}, f.rstd = {0.75, 1.5};
  const std::vector<double> var = {1 / (0.75 * 0.75), 1 / (1.5 * 1.5)};
  const auto loss = [&](std::span<const double>) {
    std::vector<double> g(p.x.size()), dx(g), dgamma(2), dbeta(2);
    auto args = arguments(p, residual, f, silu);
    args.dresidual = g;
    batch_norm_act_backward<double>(args);
    batch_norm_frozen_backward<double>({.extent = extent,
                                        .x = p.x,
                                        .dy = g,
                                        .mean = f.mean,
                                        .var = var,
                                        .gamma = p.gamma,
                                        .dx = dx,
                                        .dgamma = dgamma,
                                        .dbeta = dbeta,
                                        .eps = 0});
    double sum = 0;
    for (std::size_t k = 0; k < g.size(); ++k) sum += of.x[k] * dx[k] + of.dy[k] * g[k];
    for (std::size_t c = 0; c < 2; ++c) sum += of.gamma[c] * dgamma[c] + of.beta[c] * dbeta[c];
    return sum;
  };
  const auto got = run_second(p, of, residual, f, silu, true);
  EXPECT_LE(gradcheck(loss, p.x, got.x).l2_error, 1e-8);
  EXPECT_LE(gradcheck(loss, p.dy, got.dy).l2_error, 1e-8);
  EXPECT_LE(gradcheck(loss, p.gamma, got.gamma).l2_error, 1e-8);
  EXPECT_LE(gradcheck(loss, p.beta, got.beta).l2_error, 1e-8);
}

TEST(FunctionRefusals, NameWhatIsWrong) {
  const auto p = make_problem<float>(Extent{4, 3, 5});
  std::vector<float> y(p.x.size(), 7);
  std::vector<std::uint8_t> mask(to_size(batch_norm_act_mask_bytes(p.extent)));
  BatchNormActForward<float> args{.extent = p.extent, .x = p.x, .y = y, .mask = mask, .activation = Activation::silu()};
  expect_error(ErrorCode::wrong_length, {"mask has", "want batch_norm_act_mask_bytes(extent, activation) = 0"},
               [&] { batch_norm_act_forward<float>(args); });
  args.mask = {}, args.activation = Activation::clip(2, 2);
  expect_error(ErrorCode::bad_argument, {"activation.low is 2, want less than activation.high = 2"},
               [&] { batch_norm_act_forward<float>(args); });
  args.activation = Activation::clip(0, std::numeric_limits<double>::infinity());
  expect_error(ErrorCode::bad_argument, {"activation.high is inf"}, [&] { batch_norm_act_forward<float>(args); });
  EXPECT_EQ(std::vector<float>(p.x.size(), 7), y);
}

}  // namespace
}  // namespace unitvar::test
