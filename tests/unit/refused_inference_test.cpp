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

/// A legal call on {3, 4, 5}; each test spoils one argument, and nothing may have been written.
template <class T>
class BatchNormInferenceRefuses : public ::testing::Test {
 protected:
  BatchNormInference<T> args() {
    return {.extent = p.extent,
            .x = p.x,
            .mean = mean,
            .var = var,
            .gamma = p.gamma,
            .beta = p.beta,
            .y = y.span(),
            .eps = 1e-5};
  }

  void refused(ErrorCode code, std::initializer_list<std::string> parts, const BatchNormInference<T>& spoilt,
               const Options& options = {}) {
    expect_error(code, {"batch_norm_inference"}, [&] { batch_norm_inference<T>(spoilt, options); });
    expect_error(code, parts, [&] { batch_norm_inference<T>(spoilt, options); });
    EXPECT_TRUE(y.untouched() && arena.untouched());
  }

  Problem<T> p = make_problem<T>(Extent{3, 4, 5});
  std::vector<double> mean = {0, 1, 2, 3}, var = {1, 2, 3, 4};
  Guarded<T> y{60};
  Arena arena;
};

using Dtypes = ::testing::Types<float, double>;
TYPED_TEST_SUITE(BatchNormInferenceRefuses, Dtypes);

TYPED_TEST(BatchNormInferenceRefuses, NothingAboutTheLegalCall) {
  EXPECT_NO_THROW(batch_norm_inference<TypeParam>(this->args()));
  EXPECT_FALSE(this->y.untouched());
}

TYPED_TEST(BatchNormInferenceRefuses, NullData) {
  using T = TypeParam;
  auto spoilt = this->args();
  spoilt.x = nowhere<const T>(60);
  this->refused(ErrorCode::null_data, {"x", "60"}, spoilt);
  spoilt = this->args(), spoilt.y = nowhere<T>(60);
  this->refused(ErrorCode::null_data, {"y", "60"}, spoilt);
  spoilt = this->args(), spoilt.mean = nowhere<const double>(4);
  this->refused(ErrorCode::null_data, {"mean", "4"}, spoilt);
  spoilt = this->args(), spoilt.var = nowhere<const double>(4);
  this->refused(ErrorCode::null_data, {"var", "4"}, spoilt);
  spoilt = this->args(), spoilt.gamma = nowhere<const T>(4);
  this->refused(ErrorCode::null_data, {"gamma", "4"}, spoilt);
  spoilt = this->args(), spoilt.beta = nowhere<const T>(4);
  this->refused(ErrorCode::null_data, {"beta", "4"}, spoilt);
}

TYPED_TEST(BatchNormInferenceRefuses, WrongLengths) {
  auto spoilt = this->args();
  spoilt.x = spoilt.x.first(59);
  this->refused(ErrorCode::wrong_length, {"x", "59", "60"}, spoilt);
  spoilt = this->args(), spoilt.y = spoilt.y.first(59);
  this->refused(ErrorCode::wrong_length, {"y", "59", "60"}, spoilt);
  spoilt = this->args(), spoilt.gamma = spoilt.gamma.first(3);
  this->refused(ErrorCode::wrong_length, {"gamma", "3", "4"}, spoilt);
  spoilt = this->args(), spoilt.beta = spoilt.beta.first(3);
  this->refused(ErrorCode::wrong_length, {"beta", "3", "4"}, spoilt);
}

TYPED_TEST(BatchNormInferenceRefuses, AbsentStatisticsWhichAreNotOptional) {
  auto spoilt = this->args();
  spoilt.mean = {};
  this->refused(ErrorCode::wrong_length, {"mean", "0", "4"}, spoilt);
  spoilt = this->args(), spoilt.var = {};
  this->refused(ErrorCode::wrong_length, {"var", "0", "4"}, spoilt);
}

TYPED_TEST(BatchNormInferenceRefuses, ExtentsThatAreNone) {
  auto spoilt = this->args();
  spoilt.extent = {3, 0, 5};
  this->refused(ErrorCode::bad_extent, {"channels", "0"}, spoilt);
  spoilt.extent = {3, 4, -5};
  this->refused(ErrorCode::bad_extent, {"inner", "-5"}, spoilt);
  const std::int64_t big = std::int64_t{1} << 40;
  spoilt.extent = {big, big, big};
  this->refused(ErrorCode::overflow, {}, spoilt);
}

TYPED_TEST(BatchNormInferenceRefuses, VarianceAndEpsilonThatAreNotPositive) {
  auto spoilt = this->args();
  this->var[2] = 0;
  spoilt.eps = 0;
  this->refused(ErrorCode::bad_epsilon, {"eps", "2"}, spoilt);
  this->var[2] = -1;
  spoilt.eps = 1e-5;
  this->refused(ErrorCode::bad_epsilon, {"eps", "2"}, spoilt);
  this->var[2] = 0.01;
  spoilt.eps = -0.01;
  this->refused(ErrorCode::bad_epsilon, {"eps", "-0.01"}, spoilt);
  spoilt.eps = std::numeric_limits<double>::quiet_NaN();
  this->refused(ErrorCode::bad_epsilon, {"eps"}, spoilt);
  spoilt.eps = std::numeric_limits<double>::infinity();
  this->refused(ErrorCode::bad_epsilon, {"eps"}, spoilt);
}

TYPED_TEST(BatchNormInferenceRefuses, OutputThatOverlapsTheInputInPart) {
  using T = TypeParam;
  for (const std::int64_t shift : {1L, 59L}) {
    const std::int64_t bytes = shift * static_cast<std::int64_t>(sizeof(T));
    auto spoilt = this->args();
    spoilt.x = this->arena.template view<T>(bytes, 60), spoilt.y = this->arena.template view<T>(0, 60);
    this->refused(ErrorCode::overlap, {"y", "x"}, spoilt);
    spoilt.x = this->arena.template view<T>(0, 60), spoilt.y = this->arena.template view<T>(bytes, 60);
    this->refused(ErrorCode::overlap, {"y", "x"}, spoilt);
  }
}

TYPED_TEST(BatchNormInferenceRefuses, OutputThatOverlapsStatisticsOrParameters) {
  using T = TypeParam;
  auto spoilt = this->args();
  spoilt.y = this->arena.template view<T>(8, 60), spoilt.mean = this->arena.template view<double>(0, 4);
  this->refused(ErrorCode::overlap, {"y", "mean"}, spoilt);
  spoilt = this->args();
  spoilt.y = this->arena.template view<T>(8, 60), spoilt.gamma = this->arena.template view<T>(0, 4);
  this->refused(ErrorCode::overlap, {"y", "gamma"}, spoilt);
  spoilt = this->args();
  spoilt.y = this->arena.template view<T>(8, 60), spoilt.beta = this->arena.template view<T>(0, 4);
  this->refused(ErrorCode::overlap, {"y", "beta"}, spoilt);
}

TYPED_TEST(BatchNormInferenceRefuses, OutputOnTheVariance) {
  using T = TypeParam;
  auto spoilt = this->args();
  spoilt.y = this->arena.template view<T>(8, 60), spoilt.var = this->arena.template view<double>(0, 4);
  this->refused(ErrorCode::overlap, {"y", "var"}, spoilt);
}

TYPED_TEST(BatchNormInferenceRefuses, OptionsOutsideTheirRange) {
  this->refused(ErrorCode::bad_argument, {"threads", "-1"}, this->args(), {.cpu = {.threads = -1}});
  const Isa absent = supported_isas().front() == Isa::neon ? Isa::avx2 : Isa::neon;
  expect_error(ErrorCode::unsupported_isa, {"batch_norm_inference", std::string(isa_name(absent))},
               [&] { batch_norm_inference<TypeParam>(this->args(), {.cpu = {.isa = absent}}); });
  EXPECT_TRUE(this->y.untouched());
}

}  // namespace
}  // namespace unitvar::test
