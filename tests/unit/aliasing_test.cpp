#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "support/arena.hpp"
#include "support/dtypes.hpp"
#include "support/isas.hpp"
#include "support/measure.hpp"
#include "support/run.hpp"
#include "unitvar/phases.hpp"

namespace unitvar::test {
namespace {

/// The overlaps that are allowed give what separate memory gives, in every walk and instruction set.
template <class T>
class LegalAliasing : public ::testing::Test {
 protected:
  template <class Body>
  void for_each_case(Body&& body) {
    for (const Extent& extent : few_extents()) {
      SCOPED_TRACE(describe(extent));
      const Problem<T> p = make_problem<T>(extent, 3);
      const ForwardResult<T> forward = run_forward(p);
      for_each_isa([&](Isa isa) {
        for (const Walk walk : all_walks) body(p, forward, Options{.cpu = {.threads = 2, .isa = isa, .walk = walk}});
      });
    }
  }
};

TYPED_TEST_SUITE(LegalAliasing, AllDtypes);

TYPED_TEST(LegalAliasing, InferenceInPlace) {
  using T = TypeParam;
  this->for_each_case([](const Problem<T>& p, const ForwardResult<T>& f, const Options& options) {
    std::vector<T> y = p.x;
    batch_norm_inference<T>(
        {.extent = p.extent, .x = y, .mean = f.mean, .var = f.var, .gamma = p.gamma, .beta = p.beta, .y = y}, options);
    EXPECT_TRUE(same_bits(y, run_inference(p, f.mean, f.var, options))) << describe(options);
  });
}

TYPED_TEST(LegalAliasing, NormalizeInPlace) {
  using T = TypeParam;
  this->for_each_case([](const Problem<T>& p, const ForwardResult<T>& f, const Options& options) {
    std::vector<T> y = p.x;
    normalize<T>({.extent = p.extent, .x = y, .mean = f.mean, .rstd = f.rstd, .gamma = p.gamma, .beta = p.beta, .y = y},
                 options);
    EXPECT_TRUE(same_bits(y, f.y)) << describe(options);
  });
}

TYPED_TEST(LegalAliasing, BackwardWithDxOnDy) {
  using T = TypeParam;
  this->for_each_case([](const Problem<T>& p, const ForwardResult<T>& f, const Options& options) {
    const BackwardResult<T> apart = run_backward(p, f.mean, f.rstd, options);
    std::vector<T> dx = p.dy;
    std::vector<param_t<T>> dgamma(f.mean.size()), dbeta(f.mean.size());
    batch_norm_backward<T>({.extent = p.extent,
                            .x = p.x,
                            .dy = dx,
                            .mean = f.mean,
                            .rstd = f.rstd,
                            .gamma = p.gamma,
                            .dx = dx,
                            .dgamma = dgamma,
                            .dbeta = dbeta},
                           options);
    EXPECT_TRUE(same_bits(dx, apart.dx)) << describe(options);
    EXPECT_TRUE(same_bits(dgamma, apart.dgamma)) << describe(options);
    EXPECT_TRUE(same_bits(dbeta, apart.dbeta)) << describe(options);
  });
}

TYPED_TEST(LegalAliasing, InputsMayBeOneAnother) {
  using T = TypeParam;
  this->for_each_case([](const Problem<T>& p, const ForwardResult<T>& f, const Options& options) {
    Problem<T> copied = p;
    copied.dy = p.x;
    const BackwardResult<T> apart = run_backward(copied, f.mean, f.rstd, options);
    std::vector<T> dx(p.x.size());
    batch_norm_backward<T>(
        {.extent = p.extent, .x = p.x, .dy = p.x, .mean = f.mean, .rstd = f.rstd, .gamma = p.gamma, .dx = dx}, options);
    EXPECT_TRUE(same_bits(dx, apart.dx)) << describe(options);
  });
}

TYPED_TEST(LegalAliasing, NeighboursThatTouchDoNotOverlap) {
  using T = TypeParam;
  Arena arena;
  const auto bytes = static_cast<std::int64_t>(60 * sizeof(T));
  const auto x = arena.view<T>(bytes, 60), y = arena.view<T>(0, 60);
  const auto mean = arena.view<double>(2 * bytes, 4), var = arena.view<double>(2 * bytes + 32, 4);
  EXPECT_NO_THROW(batch_norm_forward<T>({.extent = {3, 4, 5}, .x = x, .y = y, .mean = mean, .var = var}));
  EXPECT_NO_THROW(batch_norm_inference<T>({.extent = {3, 4, 5}, .x = y, .mean = mean, .var = var, .y = x}));
}

TEST(LegalAliasingOfFinishMoments, VarMayBeExactlyM2) {
  std::vector<double> m2 = {4, 8, 12}, rstd(3);
  finish_moments(4, m2, 0, m2, rstd);
  EXPECT_EQ(m2, (std::vector<double>{1, 2, 3}));
  EXPECT_DOUBLE_EQ(rstd[0], 1);
  EXPECT_DOUBLE_EQ(rstd[1], 1 / std::sqrt(2.0));
}

}  // namespace
}  // namespace unitvar::test
