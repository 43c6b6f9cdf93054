// NaN and Inf in one channel reach that channel's results alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "support/dtypes.hpp"
#include "support/isas.hpp"
#include "support/measure.hpp"
#include "support/phases.hpp"
#include "support/run.hpp"

namespace unitvar::test {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

/// One poisoned element: where, and with what.
struct Poison {
  std::int64_t channel;
  double value;
};

template <class T>
class Containment : public ::testing::Test {
 protected:
  template <class Body>
  void for_each_case(Body&& body) {
    for (const Extent& extent : few_extents()) {
      const Problem<T> clean = make_problem<T>(extent, 2);
      for (const Poison& poison : poisons(extent.channels)) {
        SCOPED_TRACE(describe(extent) + ", channel " + std::to_string(poison.channel) + " has " +
                     std::to_string(poison.value));
        for_each_isa([&](Isa isa) {
          for (const Walk walk : all_walks)
            body(clean, poison, Options{.cpu = {.threads = 2, .isa = isa, .walk = walk}});
        });
      }
    }
  }

  static std::vector<Poison> poisons(std::int64_t channels) {
    return {{0, nan}, {0, -inf}, {channels / 2, inf}, {channels - 1, nan}, {channels - 1, inf}};
  }

  static void put(const Extent& e, std::vector<T>& values, const Poison& poison) {
    values[to_size(e.index(e.outer / 2, poison.channel, e.inner - 1))] = static_cast<T>(poison.value);
  }

  static void expect_other_channels_same(const Extent& e, std::int64_t channel, const std::vector<T>& seen,
                                         const std::vector<T>& clean) {
    for (std::int64_t c = 0; c < e.channels; ++c) {
      if (c == channel) continue;
      ASSERT_TRUE(same_bits(channel_values(e, seen, c), channel_values(e, clean, c))) << "channel " << c;
    }
  }

  template <class V>
  static void expect_others_same(std::int64_t channel, std::vector<V> seen, const std::vector<V>& clean) {
    seen[to_size(channel)] = clean[to_size(channel)];
    ASSERT_TRUE(same_bits(seen, clean));
  }
};

TYPED_TEST_SUITE(Containment, AllDtypes);

TYPED_TEST(Containment, OfForwardWhenXIsPoisoned) {
  using T = TypeParam;
  this->for_each_case([](const Problem<T>& clean, const Poison& poison, const Options& options) {
    Problem<T> p = clean;
    TestFixture::put(p.extent, p.x, poison);
    const ForwardResult<T> want = run_forward(clean, options), f = run_forward(p, options);
    TestFixture::expect_other_channels_same(p.extent, poison.channel, f.y, want.y);
    TestFixture::expect_others_same(poison.channel, f.mean, want.mean);
    TestFixture::expect_others_same(poison.channel, f.var, want.var);
    TestFixture::expect_others_same(poison.channel, f.rstd, want.rstd);
    EXPECT_TRUE(all_nan(channel_values(p.extent, f.y, poison.channel))) << describe(options);
    EXPECT_TRUE(std::isnan(f.var[to_size(poison.channel)]) && std::isnan(f.rstd[to_size(poison.channel)]));
    EXPECT_FALSE(std::isfinite(f.mean[to_size(poison.channel)]));
  });
}

TYPED_TEST(Containment, OfForwardWhenXHasAnOutlier) {
  using T = TypeParam;
  this->for_each_case([](const Problem<T>& clean, const Poison& poison, const Options& options) {
    Problem<T> p = clean;
    const double outlier = std::min(1e8, largest<T>);
    p.x[to_size(p.extent.index(0, poison.channel, 0))] = T(outlier);
    const ForwardResult<T> want = run_forward(clean, options), f = run_forward(p, options);
    TestFixture::expect_other_channels_same(p.extent, poison.channel, f.y, want.y);
    TestFixture::expect_others_same(poison.channel, f.mean, want.mean);
    TestFixture::expect_others_same(poison.channel, f.var, want.var);
    EXPECT_GT(f.mean[to_size(poison.channel)], outlier / 2 / static_cast<double>(p.extent.count()));
  });
}

/// The channel's statistics and coefficients then lie where float has no digits left.
TYPED_TEST(Containment, OfAChannelOfAnotherMagnitude) {
  using T = TypeParam;
  this->for_each_case([](const Problem<T>& clean, const Poison& poison, const Options& options) {
    for (const double factor : {std::min(1e30, largest<T> / 100), std::is_same_v<T, f16> ? 1e-6 : 1e-30}) {
      Problem<T> p = clean;
      for (std::int64_t o = 0; o < p.extent.outer; ++o) {
        for (std::int64_t i = 0; i < p.extent.inner; ++i) {
          T& x = p.x[to_size(p.extent.index(o, poison.channel, i))];
          x = static_cast<T>(static_cast<double>(x) * factor);
        }
      }
      const ForwardResult<T> want = run_forward(clean, options), f = run_forward(p, options);
      TestFixture::expect_other_channels_same(p.extent, poison.channel, f.y, want.y);
      TestFixture::expect_others_same(poison.channel, f.mean, want.mean);
      TestFixture::expect_others_same(poison.channel, f.var, want.var);
      const BackwardResult<T> before = run_backward(clean, want.mean, want.rstd, options);
      const BackwardResult<T> b = run_backward(p, f.mean, f.rstd, options);
      TestFixture::expect_other_channels_same(p.extent, poison.channel, b.dx, before.dx);
      TestFixture::expect_others_same(poison.channel, b.dgamma, before.dgamma);
    }
  });
}

TYPED_TEST(Containment, OfBackwardWhenXIsPoisoned) {
  using T = TypeParam;
  this->for_each_case([](const Problem<T>& clean, const Poison& poison, const Options& options) {
    Problem<T> p = clean;
    TestFixture::put(p.extent, p.x, poison);
    const BackwardResult<T> want = run_backward(clean, options), b = run_backward(p, options);
    TestFixture::expect_other_channels_same(p.extent, poison.channel, b.dx, want.dx);
    TestFixture::expect_others_same(poison.channel, b.dgamma, want.dgamma);
    EXPECT_TRUE(same_bits(b.dbeta, want.dbeta)) << "dbeta does not depend on x";
    EXPECT_TRUE(all_nan(channel_values(p.extent, b.dx, poison.channel))) << describe(options);
    EXPECT_TRUE(std::isnan(b.dgamma[to_size(poison.channel)]));
  });
}

TYPED_TEST(Containment, OfBackwardWhenDyIsPoisoned) {
  using T = TypeParam;
  this->for_each_case([](const Problem<T>& clean, const Poison& poison, const Options& options) {
    Problem<T> p = clean;
    TestFixture::put(p.extent, p.dy, poison);
    const BackwardResult<T> want = run_backward(clean, options), b = run_backward(p, options);
    TestFixture::expect_other_channels_same(p.extent, poison.channel, b.dx, want.dx);
    TestFixture::expect_others_same(poison.channel, b.dgamma, want.dgamma);
    TestFixture::expect_others_same(poison.channel, b.dbeta, want.dbeta);
    for (const T v : channel_values(p.extent, b.dx, poison.channel))
      ASSERT_FALSE(std::isfinite(static_cast<double>(v)));
    EXPECT_FALSE(std::isfinite(b.dgamma[to_size(poison.channel)]));
    EXPECT_FALSE(std::isfinite(b.dbeta[to_size(poison.channel)]));
  });
}

TYPED_TEST(Containment, OfInferenceIsTheElementItself) {
  using T = TypeParam;
  this->for_each_case([](const Problem<T>& clean, const Poison& poison, const Options& options) {
    Problem<T> p = clean;
    TestFixture::put(p.extent, p.x, poison);
    const std::vector<double> mean(to_size(p.extent.channels), 0.5), var(to_size(p.extent.channels), 2);
    std::vector<T> want = run_inference(clean, mean, var, options), y = run_inference(p, mean, var, options);
    const auto at = to_size(p.extent.index(p.extent.outer / 2, poison.channel, p.extent.inner - 1));
    EXPECT_FALSE(std::isfinite(static_cast<double>(y[at])));
    y[at] = want[at];
    ASSERT_TRUE(same_bits(y, want)) << describe(options);
  });
}

TYPED_TEST(Containment, OfParametersAndRunningStatistics) {
  using T = TypeParam;
  this->for_each_case([](const Problem<T>& clean, const Poison& poison, const Options& options) {
    Problem<T> p = clean;
    const auto c = to_size(poison.channel);
    p.gamma[c] = static_cast<param_t<T>>(nan);
    std::vector<double> mean(to_size(p.extent.channels), 0.5), var(to_size(p.extent.channels), 2);
    const std::vector<T> want = run_inference(clean, mean, var, options), want_y = run_forward(clean, options).y;
    TestFixture::expect_other_channels_same(p.extent, poison.channel, run_forward(p, options).y, want_y);
    mean[c] = poison.value, var[c] = nan;
    const std::vector<T> y = run_inference(p, mean, var, options);
    TestFixture::expect_other_channels_same(p.extent, poison.channel, y, want);
    EXPECT_TRUE(all_nan(channel_values(p.extent, y, poison.channel)));
  });
}

TYPED_TEST(Containment, ANanVarianceIsNoBadEpsilonEvenWhenEpsilonIsZero) {
  using T = TypeParam;
  for (const Extent& extent : few_extents()) {
    SCOPED_TRACE(describe(extent));
    Problem<T> p = make_problem<T>(extent);
    p.eps = 0;
    const ForwardResult<T> want = run_forward(p);
    TestFixture::put(extent, p.x, {extent.channels - 1, nan});
    const ForwardResult<T> f = run_forward(p);
    TestFixture::expect_other_channels_same(extent, extent.channels - 1, f.y, want.y);
    EXPECT_TRUE(all_nan(channel_values(extent, f.y, extent.channels - 1)));
  }
}

}  // namespace
}  // namespace unitvar::test
