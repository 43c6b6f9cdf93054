#include <gtest/gtest.h>

#include <initializer_list>
#include <limits>
#include <string>

#include "support/arena.hpp"
#include "support/expect_error.hpp"
#include "support/guarded.hpp"
#include "support/problem.hpp"

namespace unitvar::test {
namespace {

constexpr std::int64_t big = std::int64_t{1} << 40;

/// A legal call on {3, 4, 5}; each test spoils one argument, and nothing may have been written.
template <class T>
class BatchNormForwardRefuses : public ::testing::Test {
 protected:
  BatchNormForward<T> args() {
    return {.extent = p.extent,
            .x = p.x,
            .gamma = p.gamma,
            .beta = p.beta,
            .y = y.span(),
            .mean = mean.span(),
            .var = var.span(),
            .rstd = rstd.span(),
            .eps = 1e-5};
  }

  void refused(ErrorCode code, std::initializer_list<std::string> parts, const BatchNormForward<T>& spoilt,
               const Options& options = {}) {
    expect_error(code, {"batch_norm_forward"}, [&] { batch_norm_forward<T>(spoilt, options); });
    expect_error(code, parts, [&] { batch_norm_forward<T>(spoilt, options); });
    EXPECT_TRUE(y.untouched() && mean.untouched() && var.untouched() && rstd.untouched());
    EXPECT_TRUE(arena.untouched());
  }

  void make_constant(std::int64_t channel) {
    for (std::int64_t o = 0; o < p.extent.outer; ++o) {
      for (std::int64_t i = 0; i < p.extent.inner; ++i) p.x[to_size(p.extent.index(o, channel, i))] = 2.5;
    }
  }

  Problem<T> p = make_problem<T>(Extent{3, 4, 5});
  Guarded<T> y{60};
  Guarded<double> mean{4}, var{4}, rstd{4};
  Arena arena;
};

using Dtypes = ::testing::Types<float, double>;
TYPED_TEST_SUITE(BatchNormForwardRefuses, Dtypes);

TYPED_TEST(BatchNormForwardRefuses, NothingAboutTheLegalCall) {
  EXPECT_NO_THROW(batch_norm_forward<TypeParam>(this->args()));
  EXPECT_FALSE(this->y.untouched() || this->mean.untouched() || this->var.untouched() || this->rstd.untouched());
}

TYPED_TEST(BatchNormForwardRefuses, NullData) {
  using T = TypeParam;
  auto spoilt = this->args();
  spoilt.x = nowhere<const T>(60);
  this->refused(ErrorCode::null_data, {"x", "60"}, spoilt);
  spoilt = this->args(), spoilt.y = nowhere<T>(60);
  this->refused(ErrorCode::null_data, {"y", "60"}, spoilt);
  spoilt = this->args(), spoilt.gamma = nowhere<const T>(4);
  this->refused(ErrorCode::null_data, {"gamma", "4"}, spoilt);
  spoilt = this->args(), spoilt.beta = nowhere<const T>(4);
  this->refused(ErrorCode::null_data, {"beta", "4"}, spoilt);
  spoilt = this->args(), spoilt.mean = nowhere<double>(4);
  this->refused(ErrorCode::null_data, {"mean", "4"}, spoilt);
  spoilt = this->args(), spoilt.var = nowhere<double>(4);
  this->refused(ErrorCode::null_data, {"var", "4"}, spoilt);
  spoilt = this->args(), spoilt.rstd = nowhere<double>(4);
  this->refused(ErrorCode::null_data, {"rstd", "4"}, spoilt);
}

TYPED_TEST(BatchNormForwardRefuses, WrongLengths) {
  auto spoilt = this->args();
  spoilt.x = spoilt.x.first(59);
  this->refused(ErrorCode::wrong_length, {"x", "59", "60"}, spoilt);
  spoilt = this->args(), spoilt.x = {};
  this->refused(ErrorCode::wrong_length, {"x", "0", "60"}, spoilt);
  spoilt = this->args(), spoilt.y = spoilt.y.first(57);
  this->refused(ErrorCode::wrong_length, {"y", "57", "60"}, spoilt);
  spoilt = this->args(), spoilt.y = {};
  this->refused(ErrorCode::wrong_length, {"y", "0", "60"}, spoilt);
  spoilt = this->args(), spoilt.gamma = spoilt.gamma.first(3);
  this->refused(ErrorCode::wrong_length, {"gamma", "3", "4"}, spoilt);
  spoilt = this->args(), spoilt.beta = spoilt.beta.first(1);
  this->refused(ErrorCode::wrong_length, {"beta", "1", "4"}, spoilt);
  spoilt = this->args(), spoilt.mean = spoilt.mean.first(3);
  this->refused(ErrorCode::wrong_length, {"mean", "3", "4"}, spoilt);
  spoilt = this->args(), spoilt.var = spoilt.var.first(3);
  this->refused(ErrorCode::wrong_length, {"var", "3", "4"}, spoilt);
  spoilt = this->args(), spoilt.rstd = spoilt.rstd.first(3);
  this->refused(ErrorCode::wrong_length, {"rstd", "3", "4"}, spoilt);
}

TYPED_TEST(BatchNormForwardRefuses, LengthsLongerThanTheExtent) {
  auto spoilt = this->args();
  spoilt.extent = {3, 4, 4};
  this->refused(ErrorCode::wrong_length, {"x", "60", "48"}, spoilt);
  spoilt = this->args(), spoilt.extent = {5, 3, 4};
  this->refused(ErrorCode::wrong_length, {"4", "3"}, spoilt);
}

TYPED_TEST(BatchNormForwardRefuses, ZeroAndNegativeExtents) {
  auto spoilt = this->args();
  spoilt.extent = {3, 0, 5};
  this->refused(ErrorCode::bad_extent, {"channels", "0"}, spoilt);
  spoilt.extent = {3, 4, 0};
  this->refused(ErrorCode::bad_extent, {"inner", "0"}, spoilt);
  spoilt.extent = {-3, 4, 5};
  this->refused(ErrorCode::bad_extent, {"outer", "-3"}, spoilt);
  spoilt.extent = {-3, -4, 5};
  this->refused(ErrorCode::bad_extent, {"-"}, spoilt);
  spoilt.extent = {3, -4, -5};
  this->refused(ErrorCode::bad_extent, {"-"}, spoilt);
}

TYPED_TEST(BatchNormForwardRefuses, ExtentsWhoseSizeOverflows) {
  auto spoilt = this->args();
  spoilt.extent = {big, big, big};
  this->refused(ErrorCode::overflow, {}, spoilt);
  spoilt.extent = {std::int64_t{1} << 32, std::int64_t{1} << 31, 2};
  this->refused(ErrorCode::overflow, {}, spoilt);
  spoilt.extent = {1 << 30, 1 << 30, sizeof(TypeParam) == 4 ? 2 : 1};  // 2^63 bytes
  this->refused(ErrorCode::overflow, {}, spoilt);
}

TYPED_TEST(BatchNormForwardRefuses, OneValuePerChannel) {
  auto spoilt = this->args();
  spoilt.extent = {1, 60, 1};
  spoilt.gamma = spoilt.beta = {};
  spoilt.mean = spoilt.var = spoilt.rstd = {};
  this->refused(ErrorCode::too_few_values, {"1"}, spoilt);
}

TYPED_TEST(BatchNormForwardRefuses, EpsilonThatIsNotFinite) {
  for (const double eps : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
                           -std::numeric_limits<double>::infinity()}) {
    auto spoilt = this->args();
    spoilt.eps = eps;
    this->refused(ErrorCode::bad_epsilon, {"eps"}, spoilt);
  }
}

TYPED_TEST(BatchNormForwardRefuses, ZeroEpsilonWhenALaterChannelIsConstant) {
  this->make_constant(3);
  auto spoilt = this->args();
  spoilt.eps = 0;
  for (const Walk walk : {Walk::automatic, Walk::resident, Walk::streamed}) {
    this->refused(ErrorCode::bad_epsilon, {"eps", "3"}, spoilt, {.cpu = {.walk = walk}});
  }
}

TYPED_TEST(BatchNormForwardRefuses, NegativeEpsilonThatOutweighsOneVariance) {
  for (std::int64_t i = 0; i < 5; ++i) {
    for (std::int64_t o = 0; o < 3; ++o) this->p.x[to_size(this->p.extent.index(o, 2, i))] *= TypeParam(0.01);
  }
  auto spoilt = this->args();
  spoilt.eps = -0.01;
  this->refused(ErrorCode::bad_epsilon, {"eps", "-0.01"}, spoilt);
}

TYPED_TEST(BatchNormForwardRefuses, OutputOnTheInput) {
  using T = TypeParam;
  const auto size = static_cast<std::int64_t>(sizeof(T));
  for (const std::int64_t shift : {0L, 1L, 59L}) {
    SCOPED_TRACE(shift);
    auto spoilt = this->args();
    spoilt.x = this->arena.template view<T>(shift * size, 60);
    spoilt.y = this->arena.template view<T>(0, 60);
    this->refused(ErrorCode::overlap, {"y", "x"}, spoilt);
    spoilt.x = this->arena.template view<T>(0, 60);
    spoilt.y = this->arena.template view<T>(shift * size, 60);
    this->refused(ErrorCode::overlap, {"y", "x"}, spoilt);
  }
}

TYPED_TEST(BatchNormForwardRefuses, OutputOnAParameter) {
  using T = TypeParam;
  auto spoilt = this->args();
  spoilt.y = this->arena.template view<T>(0, 60), spoilt.gamma = this->arena.template view<T>(16, 4);
  this->refused(ErrorCode::overlap, {"y", "gamma"}, spoilt);
  spoilt = this->args();
  spoilt.y = this->arena.template view<T>(8, 60), spoilt.beta = this->arena.template view<T>(0, 4);
  this->refused(ErrorCode::overlap, {"y", "beta"}, spoilt);
  spoilt = this->args();
  spoilt.mean = this->arena.template view<double>(0, 4), spoilt.gamma = this->arena.template view<T>(24, 4);
  this->refused(ErrorCode::overlap, {"mean", "gamma"}, spoilt);
}

TYPED_TEST(BatchNormForwardRefuses, OutputOnAnotherOutput) {
  using T = TypeParam;
  auto spoilt = this->args();
  spoilt.mean = this->arena.template view<double>(0, 4), spoilt.var = this->arena.template view<double>(0, 4);
  this->refused(ErrorCode::overlap, {"mean", "var"}, spoilt);
  spoilt = this->args();
  spoilt.var = this->arena.template view<double>(24, 4), spoilt.rstd = this->arena.template view<double>(0, 4);
  this->refused(ErrorCode::overlap, {"var", "rstd"}, spoilt);
  spoilt = this->args();
  spoilt.mean = this->arena.template view<double>(24, 4), spoilt.rstd = this->arena.template view<double>(0, 4);
  this->refused(ErrorCode::overlap, {"mean", "rstd"}, spoilt);
  spoilt = this->args();
  spoilt.y = this->arena.template view<T>(8, 60), spoilt.mean = this->arena.template view<double>(0, 4);
  this->refused(ErrorCode::overlap, {"y", "mean"}, spoilt);
}

TYPED_TEST(BatchNormForwardRefuses, StatisticsOnTheInput) {
  using T = TypeParam;
  auto spoilt = this->args();
  spoilt.x = this->arena.template view<T>(8, 60), spoilt.rstd = this->arena.template view<double>(0, 4);
  this->refused(ErrorCode::overlap, {"rstd", "x"}, spoilt);
}

TYPED_TEST(BatchNormForwardRefuses, NegativeThreads) {
  this->refused(ErrorCode::bad_argument, {"threads", "-1"}, this->args(), {.cpu = {.threads = -1}});
}

TYPED_TEST(BatchNormForwardRefuses, WalksThatAreNone) {
  for (const int walk : {-1, 3}) {
    this->refused(ErrorCode::bad_argument, {"options.cpu.walk is " + std::to_string(walk)}, this->args(),
                  {.cpu = {.walk = static_cast<Walk>(walk)}});
  }
}

TYPED_TEST(BatchNormForwardRefuses, InstructionSetsThatAreNotThere) {
  const Isa absent = supported_isas().front() == Isa::neon ? Isa::avx2 : Isa::neon;
  expect_error(ErrorCode::unsupported_isa, {"batch_norm_forward", std::string(isa_name(absent))},
               [&] { batch_norm_forward<TypeParam>(this->args(), {.cpu = {.isa = absent}}); });
  EXPECT_TRUE(this->y.untouched() && this->mean.untouched());
}

}  // namespace
}  // namespace unitvar::test
