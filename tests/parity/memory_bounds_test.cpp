// No byte beside an argument is read or written, wherever the arguments start.
#include <gtest/gtest.h>

#include <vector>

#include "support/dtypes.hpp"
#include "support/fenced.hpp"
#include "support/guarded.hpp"
#include "support/isas.hpp"
#include "support/measure.hpp"
#include "support/run.hpp"

namespace unitvar::test {
namespace {

/// Shapes whose rows and columns end in every remainder of a vector.
std::vector<Extent> ragged_extents() {
  std::vector<Extent> extents;
  for (const std::int64_t n : {1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 66, 127, 129, 255, 257}) {
    extents.push_back({3, 2, n});
    extents.push_back({1, 1, n + 1});
    extents.push_back({5, n, 1});
    extents.push_back({130, n, 1});
    extents.push_back({2, n, 3});
    extents.push_back({4, n, 49});
  }
  return extents;
}

template <class T>
class MemoryBounds : public ::testing::Test {
 protected:
  template <class Body>
  void for_each_case(const std::vector<Extent>& extents, Body&& body) {
    for (const Extent& extent : extents) {
      SCOPED_TRACE(describe(extent));
      const Problem<T> p = make_problem<T>(extent, 2);
      const ForwardResult<T> forward = run_forward(p);
      const BackwardResult<T> backward = run_backward(p, forward.mean, forward.rstd);
      for_each_isa([&](Isa isa) {
        for (const Walk walk : all_walks) {
          SCOPED_TRACE(walk_name(walk));
          body(p, forward, backward, Options{.cpu = {.threads = 2, .isa = isa, .walk = walk}});
        }
      });
    }
  }
};

TYPED_TEST_SUITE(MemoryBounds, AllDtypes);

TYPED_TEST(MemoryBounds, ForwardStaysInsideMemoryThatEndsOrStartsAtAForbiddenPage) {
  using T = TypeParam;
  this->for_each_case(
      ragged_extents(), [](const Problem<T>& p, const ForwardResult<T>& want, const auto&, const Options& options) {
        for (const Fence fence : {Fence::before, Fence::after}) {
          Fenced<T> x(p.x, fence), y(p.x.size(), fence);
          Fenced<param_t<T>> gamma(p.gamma, fence), beta(p.beta, fence);
          Fenced<double> mean(want.mean.size(), fence), var(want.mean.size(), fence), rstd(want.mean.size(), fence);
          batch_norm_forward<T>({.extent = p.extent,
                                 .x = x.span(),
                                 .gamma = gamma.span(),
                                 .beta = beta.span(),
                                 .y = y.span(),
                                 .mean = mean.span(),
                                 .var = var.span(),
                                 .rstd = rstd.span()},
                                options);
          EXPECT_TRUE(same_bits(y.values(), want.y));
          EXPECT_TRUE(same_bits(rstd.values(), want.rstd));
        }
      });
}

TYPED_TEST(MemoryBounds, BackwardStaysInsideMemoryThatEndsOrStartsAtAForbiddenPage) {
  using T = TypeParam;
  this->for_each_case(ragged_extents(), [](const Problem<T>& p, const ForwardResult<T>& f,
                                           const BackwardResult<T>& want, const Options& options) {
    for (const Fence fence : {Fence::before, Fence::after}) {
      Fenced<T> x(p.x, fence), dy(p.dy, fence), dx(p.x.size(), fence);
      Fenced<double> mean(f.mean, fence), rstd(f.rstd, fence);
      Fenced<param_t<T>> gamma(p.gamma, fence), dgamma(f.mean.size(), fence), dbeta(f.mean.size(), fence);
      batch_norm_backward<T>({.extent = p.extent,
                              .x = x.span(),
                              .dy = dy.span(),
                              .mean = mean.span(),
                              .rstd = rstd.span(),
                              .gamma = gamma.span(),
                              .dx = dx.span(),
                              .dgamma = dgamma.span(),
                              .dbeta = dbeta.span()},
                             options);
      EXPECT_TRUE(same_bits(dx.values(), want.dx));
      EXPECT_TRUE(same_bits(dgamma.values(), want.dgamma));
      EXPECT_TRUE(same_bits(dbeta.values(), want.dbeta));
    }
  });
}

/// Shapes large enough for stores that go past the cache, which want aligned addresses.
std::vector<Extent> large_and_small_extents() {
  std::vector<Extent> extents = few_extents();
  extents.push_back({4, 2, 40001});
  extents.push_back({5003, 65, 1});
  return extents;
}

TYPED_TEST(MemoryBounds, ForwardIsTheSameAtEveryOffsetAndLeavesTheGuardsAlone) {
  using T = TypeParam;
  this->for_each_case(large_and_small_extents(),
                      [](const Problem<T>& p, const ForwardResult<T>& want, const auto&, const Options& options) {
                        for (const std::int64_t offset : {0, 1, 3}) {
                          const std::int64_t c = p.extent.channels;
                          Guarded<T> x(p.extent.size(), offset), y(p.extent.size(), (offset * 5) % 7);
                          Guarded<double> mean(c, offset), var(c, 1), rstd(c, offset + 1);
                          x.fill_with(p.x);
                          batch_norm_forward<T>({.extent = p.extent,
                                                 .x = x.span(),
                                                 .gamma = p.gamma,
                                                 .beta = p.beta,
                                                 .y = y.span(),
                                                 .mean = mean.span(),
                                                 .var = var.span(),
                                                 .rstd = rstd.span()},
                                                options);
                          EXPECT_TRUE(same_bits(y.values(), want.y) && same_bits(mean.values(), want.mean));
                          EXPECT_TRUE(same_bits(var.values(), want.var) && same_bits(rstd.values(), want.rstd));
                          EXPECT_TRUE(x.guards_intact() && y.guards_intact());
                          EXPECT_TRUE(mean.guards_intact() && var.guards_intact() && rstd.guards_intact());
                          EXPECT_TRUE(same_bits(x.values(), p.x)) << "the input was written";
                        }
                      });
}

TYPED_TEST(MemoryBounds, BackwardIsTheSameAtEveryOffsetAndLeavesTheGuardsAlone) {
  using T = TypeParam;
  this->for_each_case(large_and_small_extents(), [](const Problem<T>& p, const ForwardResult<T>& f,
                                                    const BackwardResult<T>& want, const Options& options) {
    for (const std::int64_t offset : {0, 1, 3}) {
      const std::int64_t c = p.extent.channels;
      Guarded<T> x(p.extent.size(), offset), dy(p.extent.size(), 2), dx(p.extent.size(), (offset * 5) % 7);
      Guarded<param_t<T>> dgamma(c, offset), dbeta(c, offset + 1);
      x.fill_with(p.x), dy.fill_with(p.dy);
      batch_norm_backward<T>({.extent = p.extent,
                              .x = x.span(),
                              .dy = dy.span(),
                              .mean = f.mean,
                              .rstd = f.rstd,
                              .gamma = p.gamma,
                              .dx = dx.span(),
                              .dgamma = dgamma.span(),
                              .dbeta = dbeta.span()},
                             options);
      EXPECT_TRUE(same_bits(dx.values(), want.dx));
      EXPECT_TRUE(same_bits(dgamma.values(), want.dgamma) && same_bits(dbeta.values(), want.dbeta));
      EXPECT_TRUE(dx.guards_intact() && dgamma.guards_intact() && dbeta.guards_intact());
      EXPECT_TRUE(same_bits(x.values(), p.x) && same_bits(dy.values(), p.dy)) << "an input was written";
    }
  });
}

TYPED_TEST(MemoryBounds, InferenceIsTheSameAtEveryOffsetAndLeavesTheGuardsAlone) {
  using T = TypeParam;
  this->for_each_case(large_and_small_extents(),
                      [](const Problem<T>& p, const ForwardResult<T>& f, const auto&, const Options& options) {
                        const std::vector<T> want = run_inference(p, f.mean, f.var);
                        for (const std::int64_t offset : {0, 1, 3}) {
                          Guarded<T> y(p.extent.size(), offset);
                          y.fill_with(p.x);
                          batch_norm_inference<T>({.extent = p.extent,
                                                   .x = y.span(),
                                                   .mean = f.mean,
                                                   .var = f.var,
                                                   .gamma = p.gamma,
                                                   .beta = p.beta,
                                                   .y = y.span()},
                                                  options);
                          EXPECT_TRUE(same_bits(y.values(), want));
                          EXPECT_TRUE(y.guards_intact());
                        }
                      });
}

}  // namespace
}  // namespace unitvar::test
