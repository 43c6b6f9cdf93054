// Batch normalization with the activations that are no leaky ReLU, and with a residual alone.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "parity/functions.hpp"
#include "support/dtypes.hpp"
#include "support/expect_error.hpp"
#include "support/fenced.hpp"
#include "support/isas.hpp"
#include "support/oracle.hpp"
#include "unitvar/activation.hpp"

namespace unitvar::test {
namespace {

using namespace functions;

template <class T>
class Functions : public ::testing::Test {};
TYPED_TEST_SUITE(Functions, AllDtypes);

TYPED_TEST(Functions, B88ToB91MatchTheReferenceInEveryShapeAndWalk) {
  for (const Extent& extent : function_extents()) {
    const bool large = extent.size() > 100000;
    for (const Named& of : all_functions) {
      const Activation& activation = of.activation;
      for (const bool residual : {false, true}) {
        if (large && !residual) continue;
        SCOPED_TRACE(describe(extent) + " " + of.name + (residual ? " residual" : ""));
        expect_reference(make_problem<TypeParam>(extent, is_half<TypeParam> ? 1 : 100), residual, activation);
      }
    }
  }
}

TYPED_TEST(Functions, HaveTheSameBitsForEveryThreadCountInstructionSetAndWalk) {
  for (const Extent& extent : function_extents()) {
    const auto p = make_problem<TypeParam>(extent, 3);
    const auto residual = residual_of(p);
    for (const Named& of : all_functions) {
      const Activation& activation = of.activation;
      // Past the caches, one that keeps bits and one that is computed again stand for all.
      const bool stands_for_all =
          activation.kind == Activation::Kind::clip || activation.kind == Activation::Kind::silu;
      if (extent.size() > 100000 && !stands_for_all) continue;
      SCOPED_TRACE(describe(extent) + " " + of.name);
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
    for (const Named& of : all_functions) {
      const Activation& activation = of.activation;
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
      EXPECT_TRUE(same_bits(f.y, in_place)) << of.name << " " << describe(extent);
    }
  }
}

TYPED_TEST(Functions, StayInsideTheirMemory) {
  using T = TypeParam;
  for (const Extent& extent :
       {Extent{3, 2, 65}, Extent{5, 31, 1}, Extent{9, 3, 7}, Extent{1, 1, 33}, Extent{2, 9, 127}}) {
    const auto p = make_problem<T>(extent, 1);
    const auto residual = residual_of(p);
    for (const Named& of : all_functions) {
      const Activation& activation = of.activation;
      SCOPED_TRACE(describe(extent) + " " + of.name);
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
    for (const Named& of : all_functions) {
      const Activation& activation = of.activation;
      SCOPED_TRACE(describe(extent) + " " + of.name);
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
