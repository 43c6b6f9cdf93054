// Batch normalization with a residual and an activation behind it.
#include "unitvar/activation.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "parity/functions.hpp"
#include "support/dtypes.hpp"
#include "support/expect_error.hpp"
#include "support/fenced.hpp"
#include "support/few_values.hpp"
#include "support/isas.hpp"
#include "support/oracle.hpp"

namespace unitvar::test {
namespace {

struct Kind {
  bool residual;
  double slope;
};
constexpr Kind all_kinds[] = {{false, 0}, {false, 0.25}, {true, 0}, {true, 0.25}};

using functions::function_extents;

template <class T>
using ActForward = functions::Forward<T>;

template <class T>
std::vector<T> residual_of(const Problem<T>& p, bool wanted = true) {
  return wanted ? functions::residual_of(p) : std::vector<T>();
}

template <class T>
ActForward<T> run_act(const Problem<T>& p, const std::vector<T>& residual, double slope, const Options& options = {}) {
  return functions::run_forward(p, residual, Activation::leaky_relu(slope), options);
}

template <class T>
struct ActBackward {
  BackwardResult<T> plain;
  std::vector<T> dresidual;
};

template <class T>
BatchNormActBackward<T> arguments(const Problem<T>& p, const ActForward<T>& f, double slope) {
  return {.extent = p.extent,
          .x = p.x,
          .dy = p.dy,
          .mask = f.mask,
          .mean = f.mean,
          .rstd = f.rstd,
          .gamma = p.gamma,
          .activation = Activation::leaky_relu(slope)};
}

template <class T>
ActBackward<T> run_act_backward(const Problem<T>& p, const ActForward<T>& f, double slope,
                                const Options& options = {}) {
  const std::vector<param_t<T>> c(to_size(p.extent.channels));
  ActBackward<T> r{{std::vector<T>(p.x.size()), c, c}, std::vector<T>(p.x.size())};
  auto args = arguments(p, f, slope);
  args.dx = r.plain.dx, args.dgamma = r.plain.dgamma, args.dbeta = r.plain.dbeta, args.dresidual = r.dresidual;
  batch_norm_act_backward<T>(args, options);
  return r;
}

/// By the library's own signs: an element that is 0 but for rounding may fall on either side.
template <class T>
std::vector<bool> signs_of(const std::vector<T>& y) {
  std::vector<bool> mask(y.size());
  for (std::size_t k = 0; k < y.size(); ++k) mask[k] = static_cast<double>(y[k]) > 0;
  return mask;
}

template <class T>
class LeakyRelu : public ::testing::Test {};
TYPED_TEST_SUITE(LeakyRelu, AllDtypes);

template <class T>
void expect_reference(const Problem<T>& p, const Kind& kind) {
  using R = oracle_t<T>;
  const auto residual = residual_of(p, kind.residual);
  const auto x = as<R>(p.x), dy = as<R>(p.dy), gamma = as<R>(p.gamma), beta = as<R>(p.beta), z = as<R>(residual);
  const auto e = expected(p);
  const auto want =
      reference::fused_forward<R>(p.extent, x, gamma, beta, static_cast<R>(p.eps), z, static_cast<R>(kind.slope));
  const R y_scale = e.y_scale + l2_norm(z);
  for_each_isa([&](Isa isa) {
    for (const Walk walk : all_walks) {
      const Options options{.cpu = {.threads = 2, .isa = isa, .walk = walk}};
      const auto f = run_act(p, residual, kind.slope, options);
      expect_within<T>(Quantity::y, relative_l2(f.y, want.y, y_scale), e.mean_over_std);
      const auto gradients = reference::fused_backward<R>(want.cache, signs_of(f.y), static_cast<R>(kind.slope), dy);
      const auto b = run_act_backward(p, f, kind.slope, options);
      const auto within = [&](Quantity quantity, const auto& seen, const auto& wanted, R scale) {
        expect_within<T>(quantity, relative_l2(seen, wanted, scale), e.mean_over_std);
      };
      within(Quantity::dx, b.plain.dx, gradients.dx, e.dx_scale);
      within(Quantity::dgamma, b.plain.dgamma, gradients.dgamma, e.dgamma_scale);
      within(Quantity::dbeta, b.plain.dbeta, gradients.dbeta, e.dbeta_scale);
      within(Quantity::dx, b.dresidual, gradients.dz, R(0));
    }
  });
}

TYPED_TEST(LeakyRelu, B46ToB49MatchTheReferenceInEveryShapeAndWalk) {
  for (const Extent& extent : function_extents()) {
    const bool large = extent.size() > 100000;
    for (const Kind& kind : all_kinds) {
      if (large && !(kind.residual && kind.slope == 0)) continue;
      SCOPED_TRACE(describe(extent) + (kind.residual ? ", residual" : "") + ", slope " + std::to_string(kind.slope));
      expect_reference(make_problem<TypeParam>(extent, is_half<TypeParam> ? 1 : 100), kind);
    }
  }
}

/// The same as of the plain layer: tests/parity/digits_test.cpp.
TEST(LeakyReluOfFloats, KeepsThePromiseOnFewDistinctValues) {
  for (const FewValues& values : all_few_values) {
    for (const Extent& extent : {Extent{8, 3, 128 * 128}, {40000, 16, 1}}) {
      SCOPED_TRACE(std::string(values.name) + " " + describe(extent));
      const auto p = with_values(make_problem<float>(extent), values);
      const auto x = as<double>(p.x), dy = as<double>(p.dy), gamma = as<double>(p.gamma), beta = as<double>(p.beta);
      const auto want = reference::fused_forward<double>(p.extent, x, gamma, beta, p.eps, {}, 0);
      const auto e = expected(p);
      for_each_isa([&](Isa isa) {
        const auto f = run_act(p, {}, 0, {.cpu = {.isa = isa}});
        const auto gradients = reference::fused_backward<double>(want.cache, signs_of(f.y), 0, dy);
        const auto b = run_act_backward(p, f, 0, {.cpu = {.isa = isa}}).plain;
        expect_within<float>(Quantity::y, relative_l2(f.y, want.y, e.y_scale), e.mean_over_std);
        expect_gradient<float>(Quantity::dx, b.dx, gradients.dx, e.dx_terms, e.mean_over_std);
        expect_gradient<float>(Quantity::dgamma, b.dgamma, gradients.dgamma, e.dgamma_scale, e.mean_over_std);
        expect_gradient<float>(Quantity::dbeta, b.dbeta, gradients.dbeta, e.dbeta_scale, e.mean_over_std);
      });
    }
  }
}

TYPED_TEST(LeakyRelu, HasTheSameBitsForEveryThreadCountInstructionSetAndWalk) {
  for (const Extent& extent : function_extents()) {
    SCOPED_TRACE(describe(extent));
    const auto p = make_problem<TypeParam>(extent, 3);
    const auto residual = residual_of(p);
    const auto f = run_act(p, residual, 0.1, {.cpu = {.threads = 1}});
    const auto b = run_act_backward(p, f, 0.1, {.cpu = {.threads = 1}});
    for_each_isa([&](Isa isa) {
      for (const int threads : {1, 2, 5}) {
        for (const Walk walk : all_walks) {
          const Options options{.cpu = {.threads = threads, .isa = isa, .walk = walk}};
          SCOPED_TRACE(describe(options));
          const auto again = run_act(p, residual, 0.1, options);
          EXPECT_TRUE(same_bits(f.y, again.y));
          EXPECT_TRUE(same_bits(f.mask, again.mask));
          const auto back = run_act_backward(p, f, 0.1, options);
          EXPECT_TRUE(same_bits(b.plain.dx, back.plain.dx));
          EXPECT_TRUE(same_bits(b.plain.dgamma, back.plain.dgamma));
          EXPECT_TRUE(same_bits(b.dresidual, back.dresidual));
        }
      }
    });
  }
}

TYPED_TEST(LeakyRelu, OfInferenceIsTheActivationOfPlainInference) {
  using T = TypeParam;
  for (const Extent& extent : few_extents()) {
    const auto p = make_problem<T>(extent);
    const std::vector<double> mean(to_size(extent.channels), 0.25), var(to_size(extent.channels), 2.0);
    const auto plain = run_inference(p, mean, var);
    auto in_place = p.x;
    batch_norm_act_inference<T>({.extent = extent,
                                 .x = in_place,
                                 .mean = mean,
                                 .var = var,
                                 .gamma = p.gamma,
                                 .beta = p.beta,
                                 .y = in_place,
                                 .eps = p.eps});
    for (std::size_t k = 0; k < plain.size(); ++k) {
      EXPECT_EQ(std::max(0.0, static_cast<double>(plain[k])), static_cast<double>(in_place[k]));
    }
  }
}

TYPED_TEST(LeakyRelu, StaysInsideItsMemory) {
  using T = TypeParam;
  for (const Extent& extent :
       {Extent{3, 2, 65}, Extent{5, 31, 1}, Extent{9, 3, 7}, Extent{1, 1, 33}, Extent{2, 9, 127}}) {
    SCOPED_TRACE(describe(extent));
    const auto p = make_problem<T>(extent, 1);
    const auto residual = residual_of(p);
    const auto want = run_act(p, residual, 0);
    const auto gradients = run_act_backward(p, want, 0);
    for_each_isa([&](Isa isa) {
      for (const Fence fence : {Fence::before, Fence::after}) {
        const std::size_t n = p.x.size(), c = to_size(extent.channels);
        Fenced<T> x(p.x, fence), dy(p.dy, fence), z(residual, fence), y(n, fence), dx(n, fence), dz(n, fence);
        Fenced<std::uint8_t> mask(want.mask.size(), fence);
        Fenced<double> mean(c, fence), rstd(c, fence);
        Fenced<param_t<T>> gamma(p.gamma, fence), beta(p.beta, fence);
        batch_norm_act_forward<T>({.extent = extent,
                                   .x = x.span(),
                                   .residual = z.span(),
                                   .gamma = gamma.span(),
                                   .beta = beta.span(),
                                   .y = y.span(),
                                   .mask = mask.span(),
                                   .mean = mean.span(),
                                   .rstd = rstd.span()},
                                  {.cpu = {.isa = isa}});
        EXPECT_TRUE(same_bits(want.y, y.values()));
        batch_norm_act_backward<T>({.extent = extent,
                                    .x = x.span(),
                                    .dy = dy.span(),
                                    .mask = mask.span(),
                                    .mean = mean.span(),
                                    .rstd = rstd.span(),
                                    .gamma = gamma.span(),
                                    .dx = dx.span(),
                                    .dresidual = dz.span()},
                                   {.cpu = {.isa = isa}});
        EXPECT_TRUE(same_bits(gradients.plain.dx, dx.values()));
        EXPECT_TRUE(same_bits(gradients.dresidual, dz.values()));
      }
    });
  }
}

TYPED_TEST(LeakyRelu, GivesEachGradientAloneAndDxInThePlaceOfDy) {
  using T = TypeParam;
  for (const Extent& extent : function_extents()) {
    SCOPED_TRACE(describe(extent));
    const auto p = make_problem<T>(extent);
    const auto f = run_act(p, {}, 0.5);
    const auto want = run_act_backward(p, f, 0.5);
    auto args = arguments(p, f, 0.5);
    std::vector<T> dresidual(p.x.size()), dx = p.dy;
    std::vector<param_t<T>> dbeta(to_size(extent.channels));
    args.dresidual = dresidual;
    batch_norm_act_backward<T>(args);
    EXPECT_TRUE(same_bits(want.dresidual, dresidual));
    args.dresidual = {}, args.dbeta = dbeta;
    batch_norm_act_backward<T>(args);
    EXPECT_TRUE(same_bits(want.plain.dbeta, dbeta));
    args.dy = dx, args.dx = dx, args.dbeta = {};
    batch_norm_act_backward<T>(args);
    EXPECT_TRUE(same_bits(want.plain.dx, dx));
  }
}

TEST(LeakyReluOfFloats, MakesZeroOfMinusInfinityAndLeavesNaN) {
  constexpr float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> x = {1, 2, 3, 4}, beta = {-inf};
  const std::vector<double> mean = {0}, var = {1};
  std::vector<float> y(4);
  batch_norm_act_inference<float>({.extent = {1, 1, 4}, .x = x, .mean = mean, .var = var, .beta = beta, .y = y});
  EXPECT_EQ(std::vector<float>(4, 0.0F), y);
  const std::vector<double> nan = {std::numeric_limits<double>::quiet_NaN()};
  batch_norm_act_inference<float>({.extent = {1, 1, 4}, .x = x, .mean = nan, .var = var, .y = y});
  EXPECT_TRUE(all_nan(y));
}

TEST(LeakyReluOfFloats, WorksOnChannelsThatFloatArithmeticCannotHold) {
  for (const Extent& extent : few_extents()) {
    SCOPED_TRACE(describe(extent));
    auto p = make_problem<float>(extent);
    for (std::size_t k = 0; k < p.x.size(); ++k) {
      if (k / to_size(extent.inner) % to_size(extent.channels) % 2 == 0) p.x[k] *= 1e30F;
    }
    expect_reference(p, {true, 0.25});
  }
}

TEST(ActivationRefusals, NameWhatIsWrong) {
  const auto p = make_problem<float>(Extent{4, 3, 5});
  const auto f = run_act(p, {}, 0);
  std::vector<float> y(p.x.size(), 7);
  std::vector<std::uint8_t> small(3);
  BatchNormActForward<float> args{.extent = p.extent, .x = p.x, .y = y, .mask = small};
  expect_error(
      ErrorCode::wrong_length,
      {"mask has 3 elements, want batch_norm_act_mask_bytes(extent, activation) = " + std::to_string(f.mask.size())},
      [&] { batch_norm_act_forward<float>(args); });
  args.mask = {}, args.activation = Activation::leaky_relu(std::numeric_limits<double>::quiet_NaN());
  expect_error(ErrorCode::bad_argument, {"activation.negative_slope is nan"},
               [&] { batch_norm_act_forward<float>(args); });
  EXPECT_EQ(std::vector<float>(p.x.size(), 7), y);
  auto backward = arguments(p, f, 0);
  backward.dresidual = y, backward.mask = {};
  expect_error(ErrorCode::wrong_length, {"mask has 0 elements"}, [&] { batch_norm_act_backward<float>(backward); });
  expect_error(ErrorCode::bad_extent, {"batch_norm_act_mask_bytes"}, [] {
    (void)batch_norm_act_mask_bytes({1, 0, 3});
  });
}

}  // namespace
}  // namespace unitvar::test
