#include "cpu/precision/float_policy.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "cpu/kernels/kernels.hpp"
#include "support/dtypes.hpp"

/// What goes to double, at each threshold from both sides.
namespace unitvar::test {
namespace {

using namespace unitvar::cpu;

constexpr double inf = std::numeric_limits<double>::infinity();
const double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double denormal = std::numeric_limits<double>::denorm_min();
constexpr float float_denormal = std::numeric_limits<float>::denorm_min();

double below(double v) { return std::nextafter(v, 0); }
double above(double v) { return std::nextafter(v, inf); }

/// Both signs of each of `values`.
template <class Keeps>
void expect_kept(const std::vector<double>& values, bool want, const Keeps& keeps) {
  for (const double v : values) {
    EXPECT_EQ(keeps(v), want) << v;
    EXPECT_EQ(keeps(-v), want) << -v;
  }
}

TEST(FloatPolicy, EveryHoldsWhereAllConditionsHoldAndAnyWhereOneDoes) {
  for (int bits = 0; bits < 8; ++bits) {
    const bool a = (bits & 1) != 0, b = (bits & 2) != 0, c = (bits & 4) != 0;
    EXPECT_EQ(every(a, b, c), a && b && c) << bits;
    EXPECT_EQ(any(a, b, c), a || b || c) << bits;
  }
}

TEST(FloatPolicy, FloatKeepsDigitsOfCoefficientsBetweenItsThresholdsAndOfZero) {
  const auto keeps = [](double v) { return keeps_digits_of<float>(v); };
  expect_kept({0, 0x1p-90, above(0x1p-90), 1e-5, 1, 1e30, below(0x1p100), 0x1p100}, true, keeps);
  expect_kept({below(0x1p-90), float_denormal, denormal, above(0x1p100), 1e31, inf, nan}, false, keeps);
}

TEST(FloatPolicy, FloatKeepsSmallAddendsToo) {
  const auto keeps = [](double v) { return keeps_addend<float>(v); };
  expect_kept({0, denormal, float_denormal, below(0x1p-90), 1, below(0x1p100), 0x1p100}, true, keeps);
  expect_kept({above(0x1p100), 1e31, inf, nan}, false, keeps);
}

TEST(FloatPolicy, FloatKeepsSumsOfProductsBetweenItsThresholdsButNotZero) {
  const auto keeps = [](double v) { return keeps_sum_of_products<float>(v); };
  expect_kept({0x1p-80, above(0x1p-80), 1, below(0x1p100), 0x1p100}, true, keeps);
  expect_kept({0, denormal, float_denormal, below(0x1p-80), above(0x1p100), inf, nan}, false, keeps);
}

TEST(FloatPolicy, FloatKeepsProductsOneOfWhoseMeansIsLargeEnough) {
  const auto keeps = [](double mean, double with_x_hat) { return keeps_products<float>(mean, with_x_hat); };
  for (const double with_x_hat : {0.0, denormal, 0x1p-120, 1.0, inf, nan}) {
    expect_kept({0x1p-120, 1, inf}, true, [&](double mean) { return keeps(mean, with_x_hat); });
    expect_kept({below(0x1p-120), denormal, nan}, false, [&](double mean) { return keeps(mean, with_x_hat); });
  }
  // They cancelled, or are all 0: the other mean tells.
  expect_kept({0, 0x1p-120, above(0x1p-120), 1, inf}, true, [&](double with_x_hat) { return keeps(0, with_x_hat); });
  expect_kept({below(0x1p-120), denormal, nan}, false, [&](double with_x_hat) { return keeps(0, with_x_hat); });
}

TEST(FloatPolicy, DoubleKeepsEverything) {
  for (const double v : {0.0, denormal, 1.0, 0x1p101, 1e300, inf, nan}) {
    EXPECT_TRUE(keeps_digits_of<double>(v)) << v;
    EXPECT_TRUE(keeps_addend<double>(v)) << v;
    EXPECT_TRUE(keeps_sum_of_products<double>(v)) << v;
    EXPECT_TRUE(keeps_products<double>(v, v)) << v;
    EXPECT_TRUE(keeps_y<double>(v, v, v)) << v;
    EXPECT_TRUE(keeps_dx<double>(v, v, v, v)) << v;
    EXPECT_TRUE(keeps_term<double>(v, v)) << v;
    EXPECT_TRUE(keeps_gradient_sums<double>(v, v, v)) << v;
    EXPECT_EQ(remainder_of<double>(v, v), 0) << v;
  }
}

TEST(FloatPolicy, YStaysInFloatOnlyIfEachOfItsCoefficientsDoes) {
  EXPECT_TRUE(keeps_y<float>(0.1, 2, 3));
  EXPECT_TRUE(keeps_y<float>(0, 0, 0));
  for (const double bad : {1e31, 1e-30, denormal, inf, nan}) {
    EXPECT_FALSE(keeps_y<float>(bad, 2, 3)) << bad;
    EXPECT_FALSE(keeps_y<float>(0.1, bad, 3)) << bad;
    EXPECT_FALSE(keeps_y<float>(0.1, 2, bad)) << bad;
  }
  // What float leaves of the mean, times the scale, is more than float adds.
  EXPECT_TRUE(keeps_y<float>(0x1p90 + 0x1p60, 0x1p39, 0));
  EXPECT_FALSE(keeps_y<float>(0x1p90 + 0x1p60, 0x1p41, 0));
}

TEST(FloatPolicy, DxStaysInFloatOnlyIfEachOfItsCoefficientsDoes) {
  EXPECT_TRUE(keeps_dx<float>(0.1, 2, 3, 4));
  EXPECT_TRUE(keeps_dx<float>(0, 0, 0, 0));
  for (const double bad : {1e31, 1e-30, denormal, inf, nan}) {
    EXPECT_FALSE(keeps_dx<float>(bad, 2, 3, 4)) << bad;
    EXPECT_FALSE(keeps_dx<float>(0.1, bad, 3, 4)) << bad;
    EXPECT_FALSE(keeps_dx<float>(0.1, 2, bad, 4)) << bad;
    EXPECT_FALSE(keeps_dx<float>(0.1, 2, 3, bad)) << bad;
  }
  EXPECT_TRUE(keeps_dx<float>(0x1p90 + 0x1p60, 0, 0x1p39, 1));
  EXPECT_FALSE(keeps_dx<float>(0x1p90 + 0x1p60, 0, 0x1p41, 1));
}

TEST(FloatPolicy, ATermStaysInFloatOnlyIfCenterAndSlopeDo) {
  EXPECT_TRUE(keeps_term<float>(0.1, 2));
  for (const double bad : {1e31, 1e-30, denormal, inf, nan}) {
    EXPECT_FALSE(keeps_term<float>(bad, 2)) << bad;
    EXPECT_FALSE(keeps_term<float>(0.1, bad)) << bad;
  }
}

TEST(FloatPolicy, GradientSumsOf16BitsStayOnlyIfCenterAndBothSumsDo) {
  EXPECT_TRUE(keeps_gradient_sums<float>(0.1, 2, 3));
  EXPECT_TRUE(keeps_gradient_sums<float>(0, 0, 3));
  for (const double bad : {1e31, 1e-30, denormal, inf, nan}) {
    EXPECT_FALSE(keeps_gradient_sums<float>(bad, 2, 3)) << bad;
    EXPECT_FALSE(keeps_gradient_sums<float>(0.1, bad, 3)) << bad;
    EXPECT_FALSE(keeps_gradient_sums<float>(0.1, 2, bad)) << bad;
  }
  EXPECT_FALSE(keeps_gradient_sums<float>(0.1, 2, 0));
}

template <class T>
class FloatPolicyOf : public testing::Test {};
TYPED_TEST_SUITE(FloatPolicyOf, AllDtypes);

/// Sums of n values of variance 1 about a shift that is k below their mean.
struct ShiftedSums {
  double n, sum, sum_of_squares;
};
ShiftedSums sums_about(double k) { return {100, 100 * k, 100 * (1 + k * k)}; }

TYPED_TEST(FloatPolicyOf, AShiftIsTooFarBeyondItsMostDeviations) {
  const double most = std::is_same_v<TypeParam, float> ? 1024 : 3;
  const auto too_far = [](double k) {
    const ShiftedSums s = sums_about(k);
    return shift_is_too_far<TypeParam>(s.n, s.sum, s.sum_of_squares);
  };
  expect_kept({0, 1, most - 0.001, most}, false, too_far);
  expect_kept({most + 0.001, 2 * most}, true, too_far);
  EXPECT_TRUE(shift_is_too_far<TypeParam>(4, 8, 16)) << "values that are all the same, but not the shift";
  EXPECT_FALSE(shift_is_too_far<TypeParam>(4, 0, 0)) << "values that are all the shift";
  EXPECT_FALSE(shift_is_too_far<TypeParam>(4, nan, 1));
  EXPECT_FALSE(shift_is_too_far<TypeParam>(4, 1, nan));
  EXPECT_FALSE(shift_is_too_far<TypeParam>(4, inf, inf)) << "no shift repairs it";
}

TYPED_TEST(FloatPolicyOf, MomentsAreSummedAgainWhereTheShiftOrTheArithmeticIsToBlame) {
  using Sum = kernels::sum_t<TypeParam>;
  const auto keeps = [](const ShiftedSums& s, bool shift_is_given = false) {
    return keeps_moments<TypeParam, Sum>(s.n, s.sum, s.sum_of_squares, shift_is_given);
  };
  EXPECT_TRUE(keeps(sums_about(1)));
  EXPECT_EQ(keeps(sums_about(100)), (std::is_same_v<TypeParam, float>));
  EXPECT_FALSE(keeps(sums_about(2000)));
  EXPECT_TRUE(keeps(sums_about(2000), true)) << "as RMS norm's, which is 0";
  const bool sums_are_double = !is_half<TypeParam>;
  for (const double squares : {0.0, denormal, below(0x1p-80), above(0x1p100), inf, nan}) {
    EXPECT_EQ(keeps({100, 0, squares}), sums_are_double) << squares;
    EXPECT_EQ(keeps({100, 0, squares}, true), sums_are_double) << squares;
  }
}

TYPED_TEST(FloatPolicyOf, SingleElementsAreInFloatAndSumsInDoubleButFor16Bits) {
  using Fast = kernels::fast_t<TypeParam>;
  using Sum = kernels::sum_t<TypeParam>;
  const bool is_double = std::is_same_v<TypeParam, double>;
  EXPECT_EQ(keeps_y<Fast>(1e31, 1, 0), is_double);
  EXPECT_EQ(keeps_sum_of_products<Sum>(1e31), !is_half<TypeParam>);
  const auto computes_in = [](bool fast) {
    std::size_t bytes = 0;
    with_arithmetic<Fast>(fast, [&](auto a) { bytes = sizeof(a); });
    return bytes;
  };
  EXPECT_EQ(computes_in(true), is_double ? sizeof(double) : sizeof(float));
  EXPECT_EQ(computes_in(false), sizeof(double));
}

TEST(FloatPolicy, WhatFloatLeavesOfAValueIsTheRestOfItTimesTheFactor) {
  EXPECT_EQ(remainder_of<float>(1), 0);
  EXPECT_EQ(remainder_of<float>(1 + 0x1p-30), 0x1p-30);
  EXPECT_EQ(remainder_of<float>(-1 - 0x1p-30, 8), -0x1p-27);
  EXPECT_EQ(remainder_of<float>(denormal), denormal) << "float holds nothing of it";
  EXPECT_TRUE(std::isnan(remainder_of<float>(nan)));
  EXPECT_TRUE(std::isnan(remainder_of<float>(inf)));
  // High and low half together are the value.
  const double value = 0.1;
  EXPECT_EQ(static_cast<double>(static_cast<float>(value)) + remainder_of<float>(value), value);
}

TEST(FloatPolicy, AnAddendTakesOverWhatFloatLeavesOfTheCenter) {
  const double center = 1e6 + 0x1p-20, slope = 3, addend = 5, x = 1e6;
  const auto as_float = static_cast<double>(static_cast<float>(center));
  EXPECT_NE(as_float, center);
  EXPECT_EQ((x - as_float) * slope + addend_about<float>(addend, center, slope), (x - center) * slope + addend);
  EXPECT_EQ(addend_about<double>(addend, center, slope), addend);
  EXPECT_TRUE(std::signbit(addend_about<float>(-0.0, 1, 1))) << "-0 stays -0, which changes no sum";
}

TEST(FloatPolicy, ASampleIsTheMiddleOfFourValuesWhicheverOneIsAnOutlier) {
  const std::array<double, 4> usual = {1, 1.25, 1.5, 1.75};
  for (std::size_t place = 0; place < 4; ++place) {
    for (const double outlier : {1e30, -1e30, inf, -inf}) {
      std::array<double, 4> v = usual;
      v[place] = outlier;
      const Sample s = sample_of(v[0], v[1], v[2], v[3]);
      EXPECT_GE(s.middle, 1) << place << " " << outlier;
      EXPECT_LE(s.middle, 1.75) << place << " " << outlier;
      EXPECT_GT(s.spread, 0) << place << " " << outlier;
      EXPECT_LE(s.spread, 0.75) << place << " " << outlier;
    }
  }
  const Sample s = sample_of(4, 1, 3, 2);
  EXPECT_EQ(s.middle, 2.5);
  EXPECT_EQ(s.spread, 2);
  EXPECT_EQ(sample_of(7, 7, 7, -1).spread, 0) << "mostly one number";
  EXPECT_EQ(sample_of(7, 7, 7, -1).middle, 7);
}

TEST(FloatPolicy, ASampleIsReadAtItsPlaces) {
  const std::vector<bf16> x = {bf16(9.0), bf16(1.0), bf16(9.0), bf16(2.0), bf16(3.0), bf16(4.0)};
  const Sample s = sample_at(x.data(), {1, 3, 4, 5});
  EXPECT_EQ(s.middle, 2.5);
  EXPECT_EQ(s.spread, 2);
}

TEST(FloatPolicy, AShiftOfFloatSumsIsNearTheValueAndAMultipleOfAPartOfTheSpread) {
  for (const double value : {10.3, 10.123456789, -10.123456789, 1e6 + 0.3, 3.0000001}) {
    for (const double spread : {1.0, 1.9, 0.3, 1e-3}) {
      const double shift = round_shift<float>(value, {value, spread});
      EXPECT_LE(std::abs(shift - value), std::max(spread, 0x1p-24 * std::abs(value))) << value << " " << spread;
      EXPECT_EQ(shift, static_cast<double>(static_cast<float>(shift)));
      if (std::abs(value) > 1e5 * spread) continue;  // float's own step is as wide
      const double grid = std::exp2(std::floor(std::log2(spread))) / 4;
      EXPECT_EQ(std::remainder(shift, grid), 0) << value << " " << spread;
      EXPECT_LE(std::abs(shift - value), std::max(grid / 2, 0x1p-24 * std::abs(value))) << value << " " << spread;
    }
  }
}

TEST(FloatPolicy, AShiftOfFloatSumsIsZeroWithinTheSpreadAndTheNumberThatDataMostlyAre) {
  EXPECT_EQ(round_shift<float>(1, {1, 1}), 0);
  EXPECT_NE(round_shift<float>(above(1), {1, 1}), 0);
  EXPECT_EQ(round_shift<float>(-1, {-1, 1}), 0);
  EXPECT_EQ(round_shift<float>(0.30078125, {7, 0}), 7) << "spread 0: the middle";
  EXPECT_EQ(round_shift<float>(0, {0, 0}), 0);
}

TEST(FloatPolicy, AShiftThatFloatDoesNotHoldIsLeftAsItIs) {
  EXPECT_EQ(round_shift<float>(0x1p100, {0x1p100, 0x1p90}), 0x1p100);
  EXPECT_EQ(round_shift<float>(below(0x1p100), {0x1p100, 0x1p90}), 0x1p100) << "rounded";
  EXPECT_EQ(round_shift<float>(above(0x1p100), {0x1p100, 0x1p90}), above(0x1p100));
  EXPECT_EQ(round_shift<float>(1e300, {1e300, 0}), 1e300);
  EXPECT_EQ(round_shift<float>(-inf, {0, 1}), -inf);
  EXPECT_TRUE(std::isnan(round_shift<float>(nan, {0, 1})));
  EXPECT_TRUE(std::isfinite(round_shift<float>(denormal, {denormal, denormal})));
}

TEST(FloatPolicy, AShiftOfDoubleSumsIsTheValueItself) {
  for (const double value : {10.123456789, 0.1, denormal, 1e300, inf})
    EXPECT_EQ(round_shift<double>(value, {7, 1}), value);
}

TEST(FloatPolicy, MomentsComeOutTheSameAboutEveryShift) {
  const std::vector<double> x = {1, 2, 4, 9};  // mean 4, M2 38
  for (const double shift : {0.0, 4.0, -8.0, 100.0}) {
    double sum = 0, sum_of_squares = 0;
    for (const double v : x) {
      sum += v - shift;
      sum_of_squares += (v - shift) * (v - shift);
    }
    const MeanM2 m = moments_about(shift, 4, sum, sum_of_squares);
    EXPECT_EQ(m.mean, 4) << shift;
    EXPECT_EQ(m.m2, 38) << shift;
    EXPECT_EQ(better_shift(shift, 4, sum), 4) << shift;
  }
}

TEST(FloatPolicy, MomentsAreNeverNegativeAndKeepNan) {
  EXPECT_EQ(moments_about(0, 4, 4, below(4)).m2, 0);
  EXPECT_TRUE(std::isnan(moments_about(0, 4, nan, 4).m2));
  EXPECT_TRUE(std::isnan(moments_about(0, 4, 4, nan).m2));
  EXPECT_TRUE(std::isnan(moments_about(0, 4, nan, 4).mean));
}

TEST(FloatPolicy, GradientSumsMoveFromTheCenterToTheMean) {
  const std::vector<double> x = {1, 2, 4, 9}, dy = {3, -1, 2, 5};
  const auto about = [&](double center) {
    double sum = 0;
    for (std::size_t k = 0; k < x.size(); ++k) sum += dy[k] * (x[k] - center);
    return sum;
  };
  EXPECT_EQ(moved_to_mean(about(6), 9, 6, 4), about(4));
  EXPECT_EQ(moved_to_mean(about(4), 9, 4, 4), about(4));
}

}  // namespace
}  // namespace unitvar::test
