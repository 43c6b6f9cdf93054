#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

#include "support/arena.hpp"
#include "support/expect_error.hpp"
#include "support/guarded.hpp"
#include "support/run.hpp"

namespace unitvar::test {
namespace {

/// A legal call on {3, 4, 5}; each test spoils one argument, and nothing may have been written.
template <class T>
class BatchNormBackwardRefuses : public ::testing::Test {
 protected:
  BatchNormBackward<T> args() {
    return {.extent = p.extent,
            .x = p.x,
            .dy = p.dy,
            .mean = mean,
            .rstd = rstd,
            .gamma = p.gamma,
            .dx = dx.span(),
            .dgamma = dgamma.span(),
            .dbeta = dbeta.span()};
  }

  void refused(ErrorCode code, std::initializer_list<std::string> parts, const BatchNormBackward<T>& spoilt,
               const Options& options = {}) {
    expect_error(code, {"batch_norm_backward"}, [&] { batch_norm_backward<T>(spoilt, options); });
    expect_error(code, parts, [&] { batch_norm_backward<T>(spoilt, options); });
    EXPECT_TRUE(dx.untouched() && dgamma.untouched() && dbeta.untouched());
    EXPECT_TRUE(arena.untouched());
  }

  Problem<T> p = make_problem<T>(Extent{3, 4, 5});
  std::vector<double> mean = {0, 0.1, 0.2, 0.3}, rstd = {1, 1, 1, 1};
  Guarded<T> dx{60};
  Guarded<param_t<T>> dgamma{4}, dbeta{4};
  Arena arena;
};

using Dtypes = ::testing::Types<float, double>;
TYPED_TEST_SUITE(BatchNormBackwardRefuses, Dtypes);

TYPED_TEST(BatchNormBackwardRefuses, NothingAboutTheLegalCall) {
  EXPECT_NO_THROW(batch_norm_backward<TypeParam>(this->args()));
  EXPECT_FALSE(this->dx.untouched() || this->dgamma.untouched() || this->dbeta.untouched());
}

TYPED_TEST(BatchNormBackwardRefuses, NullData) {
  using T = TypeParam;
  auto spoilt = this->args();
  spoilt.x = nowhere<const T>(60);
  this->refused(ErrorCode::null_data, {"x", "60"}, spoilt);
  spoilt = this->args(), spoilt.dy = nowhere<const T>(60);
  this->refused(ErrorCode::null_data, {"dy", "60"}, spoilt);
  spoilt = this->args(), spoilt.mean = nowhere<const double>(4);
  this->refused(ErrorCode::null_data, {"mean", "4"}, spoilt);
  spoilt = this->args(), spoilt.rstd = nowhere<const double>(4);
  this->refused(ErrorCode::null_data, {"rstd", "4"}, spoilt);
  spoilt = this->args(), spoilt.gamma = nowhere<const T>(4);
  this->refused(ErrorCode::null_data, {"gamma", "4"}, spoilt);
  spoilt = this->args(), spoilt.dx = nowhere<T>(60);
  this->refused(ErrorCode::null_data, {"dx", "60"}, spoilt);
  spoilt = this->args(), spoilt.dgamma = nowhere<T>(4);
  this->refused(ErrorCode::null_data, {"dgamma", "4"}, spoilt);
  spoilt = this->args(), spoilt.dbeta = nowhere<T>(4);
  this->refused(ErrorCode::null_data, {"dbeta", "4"}, spoilt);
}

TYPED_TEST(BatchNormBackwardRefuses, WrongLengths) {
  auto spoilt = this->args();
  spoilt.x = spoilt.x.first(59);
  this->refused(ErrorCode::wrong_length, {"x", "59", "60"}, spoilt);
  spoilt = this->args(), spoilt.dy = spoilt.dy.first(58);
  this->refused(ErrorCode::wrong_length, {"dy", "58", "60"}, spoilt);
  spoilt = this->args(), spoilt.gamma = spoilt.gamma.first(3);
  this->refused(ErrorCode::wrong_length, {"gamma", "3", "4"}, spoilt);
  spoilt = this->args(), spoilt.dx = spoilt.dx.first(59);
  this->refused(ErrorCode::wrong_length, {"dx", "59", "60"}, spoilt);
  spoilt = this->args(), spoilt.dgamma = spoilt.dgamma.first(3);
  this->refused(ErrorCode::wrong_length, {"dgamma", "3", "4"}, spoilt);
  spoilt = this->args(), spoilt.dbeta = spoilt.dbeta.first(3);
  this->refused(ErrorCode::wrong_length, {"dbeta", "3", "4"}, spoilt);
}

TYPED_TEST(BatchNormBackwardRefuses, AbsentInputsWhichAreNotOptional) {
  auto spoilt = this->args();
  spoilt.mean = {};
  this->refused(ErrorCode::wrong_length, {"mean", "0", "4"}, spoilt);
  spoilt = this->args(), spoilt.rstd = {};
  this->refused(ErrorCode::wrong_length, {"rstd", "0", "4"}, spoilt);
  spoilt = this->args(), spoilt.dy = {};
  this->refused(ErrorCode::wrong_length, {"dy", "0", "60"}, spoilt);
}

TYPED_TEST(BatchNormBackwardRefuses, AWrongXEvenIfOnlyDbetaIsAskedFor) {
  auto spoilt = this->args();
  spoilt.dx = {}, spoilt.dgamma = {};
  spoilt.x = spoilt.x.first(59);
  this->refused(ErrorCode::wrong_length, {"x", "59", "60"}, spoilt);
}

TYPED_TEST(BatchNormBackwardRefuses, ExtentsThatAreNone) {
  auto spoilt = this->args();
  spoilt.extent = {3, 0, 5};
  this->refused(ErrorCode::bad_extent, {"channels", "0"}, spoilt);
  spoilt.extent = {3, -4, -5};
  this->refused(ErrorCode::bad_extent, {"-"}, spoilt);
  const std::int64_t big = std::int64_t{1} << 40;
  spoilt.extent = {big, big, big};
  this->refused(ErrorCode::overflow, {}, spoilt);
}

TYPED_TEST(BatchNormBackwardRefuses, OneValuePerChannel) {
  using T = TypeParam;
  const std::vector<double> statistics(60, 1.0);
  const BatchNormBackward<T> spoilt{.extent = {1, 60, 1},
                                    .x = this->p.x,
                                    .dy = this->p.dy,
                                    .mean = statistics,
                                    .rstd = statistics,
                                    .dx = this->dx.span()};
  this->refused(ErrorCode::too_few_values, {"1"}, spoilt);
}

TYPED_TEST(BatchNormBackwardRefuses, DxOnX) {
  using T = TypeParam;
  for (const std::int64_t shift : {0L, 1L, 59L}) {
    const std::int64_t bytes = shift * static_cast<std::int64_t>(sizeof(T));
    auto spoilt = this->args();
    spoilt.x = this->arena.template view<T>(bytes, 60), spoilt.dx = this->arena.template view<T>(0, 60);
    this->refused(ErrorCode::overlap, {"dx", "x"}, spoilt);
  }
}

TYPED_TEST(BatchNormBackwardRefuses, DxOnPartOfDy) {
  using T = TypeParam;
  for (const std::int64_t shift : {1L, 59L}) {
    const std::int64_t bytes = shift * static_cast<std::int64_t>(sizeof(T));
    auto spoilt = this->args();
    spoilt.dy = this->arena.template view<T>(bytes, 60), spoilt.dx = this->arena.template view<T>(0, 60);
    this->refused(ErrorCode::overlap, {"dx", "dy"}, spoilt);
    spoilt.dy = this->arena.template view<T>(0, 60), spoilt.dx = this->arena.template view<T>(bytes, 60);
    this->refused(ErrorCode::overlap, {"dx", "dy"}, spoilt);
  }
}

TYPED_TEST(BatchNormBackwardRefuses, DxOnDyWhenXIsThereToo) {
  using T = TypeParam;
  auto spoilt = this->args();
  spoilt.x = spoilt.dy = spoilt.dx = this->arena.template view<T>(0, 60);
  this->refused(ErrorCode::overlap, {"dx", "x"}, spoilt);
}

TYPED_TEST(BatchNormBackwardRefuses, OutputsOnOneAnother) {
  using T = TypeParam;
  auto spoilt = this->args();
  spoilt.dgamma = spoilt.dbeta = this->arena.template view<T>(0, 4);
  this->refused(ErrorCode::overlap, {"dgamma", "dbeta"}, spoilt);
  spoilt = this->args();
  spoilt.dx = this->arena.template view<T>(8, 60), spoilt.dgamma = this->arena.template view<T>(0, 4);
  this->refused(ErrorCode::overlap, {"dx", "dgamma"}, spoilt);
  spoilt = this->args();
  spoilt.dx = this->arena.template view<T>(8, 60), spoilt.dbeta = this->arena.template view<T>(0, 4);
  this->refused(ErrorCode::overlap, {"dx", "dbeta"}, spoilt);
}

TYPED_TEST(BatchNormBackwardRefuses, OutputsOnInputs) {
  using T = TypeParam;
  auto spoilt = this->args();
  spoilt.dgamma = this->arena.template view<T>(0, 4), spoilt.gamma = this->arena.template view<T>(0, 4);
  this->refused(ErrorCode::overlap, {"dgamma", "gamma"}, spoilt);
  spoilt = this->args();
  spoilt.dbeta = this->arena.template view<T>(0, 4), spoilt.x = this->arena.template view<T>(8, 60);
  this->refused(ErrorCode::overlap, {"dbeta", "x"}, spoilt);
  spoilt = this->args();
  spoilt.dbeta = this->arena.template view<T>(0, 4), spoilt.dy = this->arena.template view<T>(8, 60);
  this->refused(ErrorCode::overlap, {"dbeta", "dy"}, spoilt);
  spoilt = this->args();
  spoilt.dx = this->arena.template view<T>(8, 60), spoilt.mean = this->arena.template view<double>(0, 4);
  this->refused(ErrorCode::overlap, {"dx", "mean"}, spoilt);
  spoilt = this->args();
  spoilt.dx = this->arena.template view<T>(8, 60), spoilt.rstd = this->arena.template view<double>(0, 4);
  this->refused(ErrorCode::overlap, {"dx", "rstd"}, spoilt);
}

TYPED_TEST(BatchNormBackwardRefuses, OptionsOutsideTheirRange) {
  this->refused(ErrorCode::bad_argument, {"threads", "-1"}, this->args(), {.cpu = {.threads = -1}});
  const Isa absent = supported_isas().front() == Isa::neon ? Isa::avx2 : Isa::neon;
  expect_error(ErrorCode::unsupported_isa, {"batch_norm_backward", std::string(isa_name(absent))},
               [&] { batch_norm_backward<TypeParam>(this->args(), {.cpu = {.isa = absent}}); });
  EXPECT_TRUE(this->dx.untouched());
}

}  // namespace
}  // namespace unitvar::test
