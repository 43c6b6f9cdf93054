// Outputs that nobody asked for: not touched, and of no effect on those that were asked for.
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "support/dtypes.hpp"
#include "support/fenced.hpp"
#include "support/guarded.hpp"
#include "support/isas.hpp"
#include "support/measure.hpp"
#include "support/run.hpp"

namespace unitvar::test {
namespace {

template <class T>
class OptionalOutputs : public ::testing::Test {
 protected:
  template <class Body>
  void for_each_case(Body&& body) {
    for (const Extent& extent : few_extents()) {
      SCOPED_TRACE(describe(extent));
      const Problem<T> p = make_problem<T>(extent, 5);
      for_each_isa([&](Isa isa) {
        for (const Walk walk : all_walks) body(p, Options{.cpu = {.isa = isa, .walk = walk}});
      });
    }
  }
};

TYPED_TEST_SUITE(OptionalOutputs, AllDtypes);

template <class T>
std::span<T> if_asked(bool asked, Guarded<T>& buffer) {
  return asked ? buffer.span() : std::span<T>{};
}

template <class T>
void expect_only(bool asked, const Guarded<T>& buffer, const std::vector<T>& seen, const std::vector<T>& want) {
  EXPECT_TRUE(buffer.guards_intact());
  if (asked) {
    EXPECT_TRUE(same_bits(seen, want));
  } else {
    EXPECT_TRUE(buffer.untouched());
  }
}

TYPED_TEST(OptionalOutputs, BackwardWritesWhatIsAskedForAndTheBitsDoNotDependOnWhatElseIs) {
  using T = TypeParam;
  this->for_each_case([](const Problem<T>& p, const Options& options) {
    const ForwardResult<T> f = run_forward(p, options);
    const BackwardResult<T> all = run_backward(p, f.mean, f.rstd, options);
    for (int asked = 0; asked < 8; ++asked) {
      SCOPED_TRACE(describe(options) + ", asked " + std::to_string(asked));
      Guarded<T> dx(p.extent.size());
      Guarded<param_t<T>> dgamma(p.extent.channels), dbeta(p.extent.channels);
      batch_norm_backward<T>({.extent = p.extent,
                              .x = p.x,
                              .dy = p.dy,
                              .mean = f.mean,
                              .rstd = f.rstd,
                              .gamma = p.gamma,
                              .dx = if_asked((asked & 1) != 0, dx),
                              .dgamma = if_asked((asked & 2) != 0, dgamma),
                              .dbeta = if_asked((asked & 4) != 0, dbeta)},
                             options);
      expect_only((asked & 1) != 0, dx, dx.values(), all.dx);
      expect_only((asked & 2) != 0, dgamma, dgamma.values(), all.dgamma);
      expect_only((asked & 4) != 0, dbeta, dbeta.values(), all.dbeta);
    }
  });
}

TYPED_TEST(OptionalOutputs, ForwardSavesTheStatisticsAskedFor) {
  using T = TypeParam;
  this->for_each_case([](const Problem<T>& p, const Options& options) {
    const ForwardResult<T> all = run_forward(p, options);
    for (int asked = 0; asked < 8; ++asked) {
      SCOPED_TRACE(describe(options) + ", asked " + std::to_string(asked));
      Guarded<T> y(p.extent.size());
      Guarded<double> mean(p.extent.channels), var(p.extent.channels), rstd(p.extent.channels);
      batch_norm_forward<T>({.extent = p.extent,
                             .x = p.x,
                             .gamma = p.gamma,
                             .beta = p.beta,
                             .y = y.span(),
                             .mean = if_asked((asked & 1) != 0, mean),
                             .var = if_asked((asked & 2) != 0, var),
                             .rstd = if_asked((asked & 4) != 0, rstd)},
                            options);
      expect_only(true, y, y.values(), all.y);
      expect_only((asked & 1) != 0, mean, mean.values(), all.mean);
      expect_only((asked & 2) != 0, var, var.values(), all.var);
      expect_only((asked & 4) != 0, rstd, rstd.values(), all.rstd);
    }
  });
}

TYPED_TEST(OptionalOutputs, XIsNotReadIfOnlyDbetaIsAskedFor) {
  using T = TypeParam;
  this->for_each_case([](const Problem<T>& p, const Options& options) {
    const ForwardResult<T> f = run_forward(p, options);
    Fenced<T> unreadable(p.x, Fence::after);
    unreadable.forbid();
    std::vector<param_t<T>> dbeta(f.mean.size());
    batch_norm_backward<T>({.extent = p.extent,
                            .x = unreadable.span(),
                            .dy = p.dy,
                            .mean = f.mean,
                            .rstd = f.rstd,
                            .gamma = p.gamma,
                            .dbeta = dbeta},
                           options);
    EXPECT_TRUE(same_bits(dbeta, run_backward(p, f.mean, f.rstd, options).dbeta));
  });
}

}  // namespace
}  // namespace unitvar::test
