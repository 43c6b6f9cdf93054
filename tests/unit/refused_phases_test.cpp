#include <gtest/gtest.h>

#include <initializer_list>
#include <limits>
#include <string>
#include <vector>

#include "support/arena.hpp"
#include "support/expect_error.hpp"
#include "support/guarded.hpp"
#include "support/problem.hpp"
#include "unitvar/phases.hpp"

namespace unitvar::test {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// Legal arguments of every phase on {3, 4, 5}; each test spoils one, and nothing may have been written.
class PhasesRefuse : public ::testing::Test {
 protected:
  Moments<float> moments_args() { return {.extent = p.extent, .x = p.x, .mean = a.span(), .m2 = b.span()}; }
  Normalize<float> normalize_args() {
    return {.extent = p.extent, .x = p.x, .mean = ones, .rstd = ones, .gamma = p.gamma, .beta = p.beta, .y = y.span()};
  }
  GradientSums<float> sums_args() {
    return {.extent = p.extent, .x = p.x, .dy = p.dy, .mean = ones, .sum_dy = a.span(), .sum_dy_xmu = b.span()};
  }
  InputGradient<float> input_args() {
    return {.extent = p.extent,
            .x = p.x,
            .dy = p.dy,
            .mean = ones,
            .rstd = ones,
            .gamma = p.gamma,
            .sum_dy = ones,
            .sum_dy_xmu = ones,
            .count = 15,
            .dx = y.span()};
  }

  template <class Call>
  void refused(ErrorCode code, std::initializer_list<std::string> parts, Call&& call) {
    expect_error(code, parts, call);
    EXPECT_TRUE(y.untouched() && a.untouched() && b.untouched() && arena.untouched());
  }

  Problem<float> p = make_problem<float>(Extent{3, 4, 5});
  const std::vector<double> ones = {1, 1, 1, 1};
  Guarded<float> y{60};
  Guarded<double> a{4}, b{4};
  Arena arena;
};

TEST_F(PhasesRefuse, NothingAboutLegalCalls) {
  EXPECT_NO_THROW(moments<float>(moments_args()));
  EXPECT_NO_THROW(normalize<float>(normalize_args()));
  EXPECT_NO_THROW(gradient_sums<float>(sums_args()));
  EXPECT_NO_THROW(input_gradient<float>(input_args()));
}

TEST_F(PhasesRefuse, MomentsOfWrongArguments) {
  auto spoilt = moments_args();
  spoilt.x = spoilt.x.first(59);
  refused(ErrorCode::wrong_length, {"moments", "x", "59", "60"}, [&] { moments<float>(spoilt); });
  spoilt = moments_args(), spoilt.mean = {};
  refused(ErrorCode::wrong_length, {"moments", "mean", "0", "4"}, [&] { moments<float>(spoilt); });
  spoilt = moments_args(), spoilt.m2 = spoilt.m2.first(3);
  refused(ErrorCode::wrong_length, {"moments", "m2", "3", "4"}, [&] { moments<float>(spoilt); });
  spoilt = moments_args(), spoilt.x = nowhere<const float>(60);
  refused(ErrorCode::null_data, {"moments", "x"}, [&] { moments<float>(spoilt); });
  spoilt = moments_args(), spoilt.extent = {3, 0, 5};
  refused(ErrorCode::bad_extent, {"moments", "channels"}, [&] { moments<float>(spoilt); });
}

TEST_F(PhasesRefuse, MomentsOnOverlappingOutputs) {
  auto spoilt = moments_args();
  spoilt.mean = arena.view<double>(0, 4), spoilt.m2 = arena.view<double>(24, 4);
  refused(ErrorCode::overlap, {"moments", "mean", "m2"}, [&] { moments<float>(spoilt); });
  spoilt = moments_args();
  spoilt.mean = arena.view<double>(0, 4), spoilt.x = arena.view<float>(8, 60);
  refused(ErrorCode::overlap, {"moments", "mean", "x"}, [&] { moments<float>(spoilt); });
}

TEST_F(PhasesRefuse, NormalizeOfWrongArguments) {
  auto spoilt = normalize_args();
  spoilt.rstd = spoilt.rstd.first(3);
  refused(ErrorCode::wrong_length, {"normalize", "rstd", "3", "4"}, [&] { normalize<float>(spoilt); });
  spoilt = normalize_args(), spoilt.mean = {};
  refused(ErrorCode::wrong_length, {"normalize", "mean", "0", "4"}, [&] { normalize<float>(spoilt); });
  spoilt = normalize_args(), spoilt.gamma = spoilt.gamma.first(3);
  refused(ErrorCode::wrong_length, {"normalize", "gamma", "3", "4"}, [&] { normalize<float>(spoilt); });
  spoilt = normalize_args(), spoilt.y = nowhere<float>(60);
  refused(ErrorCode::null_data, {"normalize", "y"}, [&] { normalize<float>(spoilt); });
  spoilt = normalize_args(), spoilt.x = arena.view<float>(4, 60), spoilt.y = arena.view<float>(0, 60);
  refused(ErrorCode::overlap, {"normalize", "y", "x"}, [&] { normalize<float>(spoilt); });
  spoilt = normalize_args();
  refused(ErrorCode::bad_argument, {"normalize", "threads", "-1"},
          [&] { normalize<float>(spoilt, {.cpu = {.threads = -1}}); });
}

TEST_F(PhasesRefuse, GradientSumsOfWrongArguments) {
  auto spoilt = sums_args();
  spoilt.dy = spoilt.dy.first(59);
  refused(ErrorCode::wrong_length, {"gradient_sums", "dy", "59", "60"}, [&] { gradient_sums<float>(spoilt); });
  spoilt = sums_args(), spoilt.mean = spoilt.mean.first(3);
  refused(ErrorCode::wrong_length, {"gradient_sums", "mean", "3", "4"}, [&] { gradient_sums<float>(spoilt); });
  spoilt = sums_args(), spoilt.sum_dy = nowhere<double>(4);
  refused(ErrorCode::null_data, {"gradient_sums", "sum_dy"}, [&] { gradient_sums<float>(spoilt); });
  spoilt = sums_args(), spoilt.sum_dy_xmu = spoilt.sum_dy_xmu.first(3);
  refused(ErrorCode::wrong_length, {"gradient_sums", "sum_dy_xmu", "3", "4"}, [&] { gradient_sums<float>(spoilt); });
  spoilt = sums_args(), spoilt.sum_dy = arena.view<double>(0, 4), spoilt.sum_dy_xmu = arena.view<double>(8, 4);
  refused(ErrorCode::overlap, {"gradient_sums", "sum_dy", "sum_dy_xmu"}, [&] { gradient_sums<float>(spoilt); });
}

TEST_F(PhasesRefuse, InputGradientOfWrongArguments) {
  auto spoilt = input_args();
  spoilt.sum_dy = spoilt.sum_dy.first(3);
  refused(ErrorCode::wrong_length, {"input_gradient", "sum_dy", "3", "4"}, [&] { input_gradient<float>(spoilt); });
  spoilt = input_args(), spoilt.sum_dy_xmu = {};
  refused(ErrorCode::wrong_length, {"input_gradient", "sum_dy_xmu", "0", "4"}, [&] { input_gradient<float>(spoilt); });
  spoilt = input_args(), spoilt.dx = nowhere<float>(60);
  refused(ErrorCode::null_data, {"input_gradient", "dx"}, [&] { input_gradient<float>(spoilt); });
  spoilt = input_args(), spoilt.dx = arena.view<float>(0, 60), spoilt.dy = arena.view<float>(4, 60);
  refused(ErrorCode::overlap, {"input_gradient", "dx", "dy"}, [&] { input_gradient<float>(spoilt); });
  spoilt = input_args(), spoilt.dx = arena.view<float>(0, 60), spoilt.x = arena.view<float>(0, 60);
  refused(ErrorCode::overlap, {"input_gradient", "dx", "x"}, [&] { input_gradient<float>(spoilt); });
}

TEST_F(PhasesRefuse, InputGradientWithoutAPositiveCount) {
  for (const double count : {0.0, -15.0, nan}) {
    auto spoilt = input_args();
    spoilt.count = count;
    refused(ErrorCode::bad_argument, {"input_gradient", "count"}, [&] { input_gradient<float>(spoilt); });
  }
}

TEST_F(PhasesRefuse, FinishMomentsWithoutAPositiveVariance) {
  const std::vector<double> m2 = {4, 4, 0, 4};
  refused(ErrorCode::bad_epsilon, {"finish_moments", "eps", "2"},
          [&] { finish_moments(4, m2, 0, a.span(), b.span()); });
  refused(ErrorCode::bad_epsilon, {"finish_moments", "eps", "-0.5"},
          [&] { finish_moments(4, m2, -0.5, a.span(), b.span()); });
  refused(ErrorCode::bad_epsilon, {"finish_moments", "eps"}, [&] { finish_moments(4, m2, nan, a.span(), b.span()); });
  refused(ErrorCode::bad_epsilon, {"finish_moments", "eps"}, [&] { finish_moments(0, ones, 0, a.span(), b.span()); });
}

TEST_F(PhasesRefuse, FinishMomentsOfWrongArguments) {
  refused(ErrorCode::wrong_length, {"finish_moments", "rstd", "3", "4"},
          [&] { finish_moments(4, ones, 1e-5, a.span(), b.span().first(3)); });
  refused(ErrorCode::wrong_length, {"finish_moments", "var", "3", "4"},
          [&] { finish_moments(4, ones, 1e-5, a.span().first(3), b.span()); });
  refused(ErrorCode::null_data, {"finish_moments", "m2"},
          [&] { finish_moments(4, nowhere<const double>(4), 1e-5, a.span(), b.span()); });
  refused(ErrorCode::overlap, {"finish_moments", "var", "rstd"},
          [&] { finish_moments(4, ones, 1e-5, arena.view<double>(0, 4), arena.view<double>(24, 4)); });
  refused(ErrorCode::overlap, {"finish_moments", "m2"},
          [&] { finish_moments(4, arena.view<double>(0, 4), 1e-5, a.span(), arena.view<double>(0, 4)); });
  refused(ErrorCode::overlap, {"finish_moments", "var", "m2"},
          [&] { finish_moments(4, arena.view<double>(0, 4), 1e-5, arena.view<double>(8, 4), b.span()); });
  refused(ErrorCode::bad_argument, {"finish_moments", "count"},
          [&] { finish_moments(-1, ones, 1e-5, a.span(), b.span()); });
}

TEST_F(PhasesRefuse, MergeOfWrongArguments) {
  refused(ErrorCode::wrong_length, {"merge_moments", "3", "4"},
          [&] { (void)merge_moments(2, a.span(), b.span(), 2, std::span(ones).first(3), ones); });
  refused(ErrorCode::wrong_length, {"merge_moments", "3", "4"},
          [&] { (void)merge_moments(2, a.span(), b.span().first(3), 2, ones, ones); });
  refused(ErrorCode::null_data, {"merge_moments"},
          [&] { (void)merge_moments(2, a.span(), b.span(), 2, ones, nowhere<const double>(4)); });
  refused(ErrorCode::bad_argument, {"merge_moments", "count", "-2"},
          [&] { (void)merge_moments(-2, a.span(), b.span(), 2, ones, ones); });
  refused(ErrorCode::bad_argument, {"merge_moments", "count", "nan"},
          [&] { (void)merge_moments(2, a.span(), b.span(), nan, ones, ones); });
}

TEST_F(PhasesRefuse, MergeOfAPartWithItself) {
  const auto mean = arena.view<double>(0, 4), m2 = arena.view<double>(32, 4);
  refused(ErrorCode::overlap, {"merge_moments"}, [&] { (void)merge_moments(2, mean, m2, 2, mean, ones); });
  refused(ErrorCode::overlap, {"merge_moments"}, [&] { (void)merge_moments(2, mean, m2, 2, ones, m2); });
  refused(ErrorCode::overlap, {"merge_moments"}, [&] { (void)merge_moments(2, mean, mean, 2, ones, ones); });
}

}  // namespace
}  // namespace unitvar::test
