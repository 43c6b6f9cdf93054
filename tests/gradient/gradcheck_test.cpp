#include "unitvar/gradcheck.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "support/expect_error.hpp"
#include "support/measure.hpp"

namespace unitvar::test {
namespace {

double product_of_everything(std::span<const double> x) { return std::exp(x[0]) * std::sin(x[1]) + x[2] * x[2] * x[0]; }

std::vector<double> its_gradient(std::span<const double> x) {
  return {std::exp(x[0]) * std::sin(x[1]) + x[2] * x[2], std::exp(x[0]) * std::cos(x[1]), 2 * x[2] * x[0]};
}

TEST(Gradcheck, B43B44GradientOfASmoothFunctionIsRightToTwelveDigits) {
  std::vector<double> x = {0.3, -1.2, 2.5};
  const auto report = gradcheck(product_of_everything, x, its_gradient(x));
  EXPECT_LE(report.max_rel_error, 1e-12);
  EXPECT_LE(report.l2_error, 1e-12);
}

TEST(Gradcheck, B43PlainCentralDifferencesAloneAreFarWorse) {
  std::vector<double> x = {0.3, -1.2, 2.5};
  const double h = 1e-5;
  std::vector<double> up = x, down = x;
  up[0] += h, down[0] -= h;
  const double central = (product_of_everything(up) - product_of_everything(down)) / (2 * h);
  const double truth = its_gradient(x)[0];
  EXPECT_GT(std::abs(central - truth), 100 * std::abs(numeric_gradient(product_of_everything, x).value[0] - truth));
}

TEST(Gradcheck, EstimatedErrorCoversTheTrueError) {
  for (const double at : {0.1, 1.0, 3.0, 30.0}) {
    std::vector<double> x = {at};
    const auto g = numeric_gradient([](std::span<const double> v) { return std::log(v[0]) * std::cos(v[0]); }, x);
    const double truth = std::cos(at) / at - std::log(at) * std::sin(at);
    EXPECT_LE(std::abs(g.value[0] - truth), 10 * g.error[0] + 1e-15) << "at " << at;
    EXPECT_LE(g.error[0], 1e-8) << "at " << at;
  }
}

TEST(Gradcheck, LargeArgumentsLoseOnlyWhatTheirLastDigitCosts) {
  for (const double offset : {1e3, 1e6, 1e9}) {
    std::vector<double> x = {offset + 0.25};
    const auto g = numeric_gradient([&](std::span<const double> v) { return std::sin(v[0] - offset); }, x);
    EXPECT_NEAR(g.value[0], std::cos(x[0] - offset), 1e-11) << "offset " << offset;
  }
  std::vector<double> huge = {1e20};
  const auto g = numeric_gradient([](std::span<const double> v) { return v[0] * v[0]; }, huge);
  EXPECT_NEAR(g.value[0] / 2e20, 1, 1e-7);
}

TEST(Gradcheck, LinearFunctionIsExact) {
  std::vector<double> x = {1.0, -2.0, 1e5};
  const auto g = numeric_gradient([](std::span<const double> v) { return 3 * v[0] - v[1] / 4 + 2 * v[2]; }, x);
  EXPECT_NEAR(g.value[0], 3, 1e-9);
  EXPECT_NEAR(g.value[1], -0.25, 1e-9);
  EXPECT_NEAR(g.value[2], 2, 1e-9);
}

TEST(Gradcheck, StepsThatLeaveTheDomainAreLeftOut) {
  std::vector<double> x = {0.01};
  const auto g = numeric_gradient([](std::span<const double> v) { return std::sqrt(v[0]); }, x);
  EXPECT_NEAR(g.value[0], 5, 1e-8);
  const auto nowhere = numeric_gradient([](std::span<const double>) { return std::nan(""); }, x);
  EXPECT_TRUE(std::isnan(nowhere.value[0]));
  EXPECT_EQ(nowhere.error[0], std::numeric_limits<double>::infinity());
}

TEST(Gradcheck, JacobianHasOneRowForEachOutput) {
  std::vector<double> x = {0.5, 2.0};
  const auto j = numeric_jacobian(
      [](std::span<const double> v, std::span<double> y) {
        y[0] = v[0] * v[1];
        y[1] = std::exp(v[0]);
        y[2] = v[1] / v[0];
      },
      3, x);
  ASSERT_EQ(j.rows, 3u);
  ASSERT_EQ(j.columns, 2u);
  const std::vector<double> truth = {2, 0.5, std::exp(0.5), 0, -8, 2};
  EXPECT_LE(rel_error(j.value, truth), 1e-10);
}

TEST(Gradcheck, VjpIsTheGradientOfTheWeightedSum) {
  std::vector<double> x = {0.5, 2.0};
  const std::vector<double> dy = {3, -1};
  const VectorFunction f = [](std::span<const double> v, std::span<double> y) {
    y[0] = v[0] * v[1];
    y[1] = v[0] * v[0];
  };
  EXPECT_LE(gradcheck(f, x, dy, std::vector<double>{3 * 2.0 - 1.0, 3 * 0.5}).max_rel_error, 1e-12);
}

TEST(Gradcheck, ArgumentIsRestoredBitForBitEvenAfterAThrow) {
  std::vector<double> x = {0.1, -0.0, 1e17, 5e-324};
  const std::vector<double> before = x;
  (void)numeric_gradient([](std::span<const double> v) { return v[0] + v[1] + v[2] + v[3]; }, x);
  EXPECT_TRUE(same_bits(x, before));
  int calls = 0;
  const ScalarFunction throws_third = [&](std::span<const double>) -> double {
    if (++calls == 3) throw std::runtime_error("third call");
    return 0;
  };
  EXPECT_THROW((void)numeric_gradient(throws_third, x), std::runtime_error);
  EXPECT_TRUE(same_bits(x, before));
}

TEST(Gradcheck, WrongGradientIsReportedWithItsIndexAndBothValues) {
  std::vector<double> x = {0.3, -1.2, 2.5};
  std::vector<double> wrong = its_gradient(x);
  wrong[1] *= 1.001;
  const auto report = gradcheck(product_of_everything, x, wrong);
  EXPECT_EQ(report.worst, 1u);
  EXPECT_NEAR(report.max_rel_error, 0.0005, 1e-6);
  EXPECT_EQ(report.analytic_at_worst, wrong[1]);
  EXPECT_NEAR(report.numeric_at_worst * 1.001, wrong[1], 1e-9);
  EXPECT_LE(report.error_at_worst, report.largest_error);
}

TEST(Gradcheck, NanInAGradientIsAnInfiniteError) {
  std::vector<double> x = {0.3, -1.2, 2.5};
  std::vector<double> broken = its_gradient(x);
  broken[2] = std::nan("");
  const auto report = gradcheck(product_of_everything, x, broken);
  EXPECT_EQ(report.max_rel_error, std::numeric_limits<double>::infinity());
  EXPECT_EQ(report.l2_error, std::numeric_limits<double>::infinity());
  EXPECT_EQ(report.worst, 2u);
}

TEST(Gradcheck, B45RelErrorIsThatOfCs231n) {
  EXPECT_DOUBLE_EQ(rel_error(std::vector<double>{1, 2}, std::vector<double>{1, 3}), 0.2);
  EXPECT_DOUBLE_EQ(rel_error(std::vector<double>{0}, std::vector<double>{1e-9}), 0.1);
  EXPECT_EQ(rel_error({}, {}), 0);
  EXPECT_DOUBLE_EQ(l2_error(std::vector<double>{3, 4}, std::vector<double>{0, 4}), 0.75);
}

TEST(Gradcheck, RefusesWhatItCannotDifferentiate) {
  std::vector<double> x = {1, 2};
  const std::vector<double> one = {1};
  const ScalarFunction f = [](std::span<const double> v) { return v[0]; };
  expect_error(ErrorCode::wrong_length, {"gradcheck: analytic has 1 elements, want 2"},
               [&] { (void)gradcheck(f, x, one); });
  expect_error(ErrorCode::bad_argument, {"no function"}, [&] { (void)numeric_gradient(ScalarFunction{}, x); });
  expect_error(ErrorCode::bad_argument, {"step is 0"}, [&] { (void)numeric_gradient(f, x, {.step = 0}); });
  expect_error(ErrorCode::bad_argument, {"levels is 1"}, [&] { (void)numeric_gradient(f, x, {.levels = 1}); });
  x[1] = std::nan("");
  expect_error(ErrorCode::bad_argument, {"x[1] is not finite"}, [&] { (void)numeric_gradient(f, x); });
}

}  // namespace
}  // namespace unitvar::test
