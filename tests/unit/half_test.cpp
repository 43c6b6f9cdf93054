// Conversions of the 16-bit types, against arithmetic in double that knows nothing of bits.
#include "unitvar/half.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "support/random.hpp"

namespace unitvar::test {
namespace {

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// The format in numbers.
template <class T>
struct Format;
template <>
struct Format<bf16> {
  static constexpr int digits = 8, least_exponent = -126;
  static constexpr double largest = 0x1.FEp127;
};
template <>
struct Format<f16> {
  static constexpr int digits = 11, least_exponent = -14;
  static constexpr double largest = 65504;
};

/// The distance between neighbours at v.
template <class T>
double step_at(double v) {
  const int exponent = v == 0 ? Format<T>::least_exponent : std::max(std::ilogb(v), Format<T>::least_exponent);
  return std::ldexp(1, exponent - Format<T>::digits + 1);
}

/// v rounded to nearest even by division and std::nearbyint: exact but for its own rounding.
template <class T>
double oracle(double v) {
  if (std::isnan(v) || std::isinf(v)) return v;
  const double rounded = std::nearbyint(v / step_at<T>(v)) * step_at<T>(v);
  return std::abs(rounded) > Format<T>::largest ? std::copysign(inf, v) : rounded;
}

template <class T>
void expect_rounded(double v) {
  const double seen = static_cast<double>(static_cast<T>(v)), want = oracle<T>(v);
  ASSERT_EQ(seen, want) << std::hexfloat << v;
  ASSERT_EQ(std::signbit(seen), std::signbit(v)) << std::hexfloat << v;
}

template <class T>
std::vector<T> all_numbers() {
  std::vector<T> all;
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) all.push_back(T::from_bits(static_cast<std::uint16_t>(bits)));
  return all;
}

template <class T>
class HalfTypes : public ::testing::Test {};
using Dtypes = ::testing::Types<bf16, f16>;
TYPED_TEST_SUITE(HalfTypes, Dtypes);

TYPED_TEST(HalfTypes, AreTwoPlainBytes) {
  static_assert(sizeof(TypeParam) == 2 && alignof(TypeParam) == 2);
  static_assert(std::is_trivially_copyable_v<TypeParam> && std::is_trivially_default_constructible_v<TypeParam>);
  static_assert(std::is_standard_layout_v<TypeParam>);
  static_assert(!std::is_convertible_v<float, TypeParam> && !std::is_convertible_v<TypeParam, float>, "never silently");
  static_assert(!std::is_constructible_v<TypeParam, long double>, "it would be rounded twice");
  static_assert(static_cast<float>(TypeParam(1.5F)) == 1.5F && static_cast<double>(TypeParam(-2)) == -2);
}

TYPED_TEST(HalfTypes, EveryNumberSurvivesAWayThroughFloatAndDouble) {
  for (const TypeParam h : all_numbers<TypeParam>()) {
    const float f = static_cast<float>(h);
    const double d = static_cast<double>(h);
    if (std::isnan(f)) {
      ASSERT_TRUE(std::isnan(d) && std::isnan(static_cast<double>(TypeParam(f)))) << h.bits;
      ASSERT_NE(TypeParam(d), TypeParam(d)) << "NaN equals nothing";
      continue;
    }
    ASSERT_EQ(static_cast<double>(f), d);
    ASSERT_EQ(TypeParam(f).bits, h.bits);
    ASSERT_EQ(TypeParam(d).bits, h.bits);
  }
}

/// With the bits of the oracle's numbers known, the widening is known too: they ascend step by step.
TYPED_TEST(HalfTypes, BitsCountTheStepsFromZero) {
  double want = 0;
  for (std::uint16_t bits = 0; want <= Format<TypeParam>::largest; ++bits, want += step_at<TypeParam>(want)) {
    ASSERT_EQ(static_cast<double>(TypeParam::from_bits(bits)), want) << bits;
    ASSERT_EQ(static_cast<double>(TypeParam::from_bits(bits | 0x8000U)), -want) << bits;
  }
  EXPECT_EQ(static_cast<double>(TypeParam(Format<TypeParam>::largest)), Format<TypeParam>::largest);
}

TYPED_TEST(HalfTypes, RoundToNearestEvenBetweenAllNeighbours) {
  for (const TypeParam h : all_numbers<TypeParam>()) {
    const double v = static_cast<double>(h);
    if (!std::isfinite(v)) continue;
    const double half_way = v + std::copysign(step_at<TypeParam>(v) / 2, v);
    for (const double x : {v, half_way, std::nextafter(half_way, 0.0), std::nextafter(half_way, half_way * 2)}) {
      expect_rounded<TypeParam>(x);
    }
    const auto nearest = static_cast<float>(half_way);  // exact: floats have more digits than two neighbours
    expect_rounded<TypeParam>(static_cast<double>(std::nextafter(nearest, 0.0F)));
    expect_rounded<TypeParam>(static_cast<double>(std::nextafter(nearest, nearest * 2)));
  }
}

TYPED_TEST(HalfTypes, RoundRandomNumbersOfEverySize) {
  Random random(16);
  for (int k = 0; k < 300000; ++k) {
    const double v = std::ldexp(random.uniform(-2, 2), static_cast<int>(random.integer(-160, 140)));
    expect_rounded<TypeParam>(v);
    const auto f = static_cast<float>(v);
    ASSERT_EQ(TypeParam(f).bits, TypeParam(static_cast<double>(f)).bits);
  }
}

/// Just above half way in double, half way in float: rounded twice it would fall to the even neighbour.
TYPED_TEST(HalfTypes, DoublesAreRoundedOnce) {
  const double half_way = 1 + step_at<TypeParam>(1) / 2;
  EXPECT_EQ(static_cast<double>(TypeParam(half_way)), 1);
  EXPECT_EQ(static_cast<double>(TypeParam(half_way + 0x1p-50)), 1 + step_at<TypeParam>(1));
  EXPECT_EQ(static_cast<float>(half_way + 0x1p-50), static_cast<float>(half_way)) << "the case is none";
}

TYPED_TEST(HalfTypes, OverflowToInfinityFromHalfAStepBeyondTheLargest) {
  const double largest = Format<TypeParam>::largest, limit = largest + step_at<TypeParam>(largest) / 2;
  EXPECT_EQ(static_cast<double>(TypeParam(std::nextafter(limit, 0.0))), largest);
  for (const double beyond : {limit, 1e39, 1e300, std::numeric_limits<double>::max(), inf}) {
    EXPECT_EQ(static_cast<double>(TypeParam(beyond)), inf);
    EXPECT_EQ(static_cast<double>(TypeParam(-beyond)), -inf);
  }
}

TYPED_TEST(HalfTypes, TheSmallestAreKeptOrBecomeZeroOfTheirSign) {
  const double smallest = step_at<TypeParam>(0);
  EXPECT_EQ(TypeParam(smallest).bits, 1);
  EXPECT_EQ(TypeParam(smallest / 2).bits, 0) << "the even one";
  EXPECT_EQ(TypeParam(std::nextafter(smallest / 2, 1.0)).bits, 1);
  for (const double tiny : {-smallest / 2, -1e-300, -std::numeric_limits<double>::denorm_min(), -0.0}) {
    EXPECT_EQ(TypeParam(tiny).bits, 0x8000);
  }
}

TYPED_TEST(HalfTypes, NanStaysNanWhateverItsPayload) {
  for (const std::uint64_t payload : {1ULL, 1ULL << 29, 1ULL << 45, 0xfffffffffffffULL, 1ULL << 51}) {
    for (const std::uint64_t sign : {0ULL, 1ULL << 63}) {
      const auto v = std::bit_cast<double>(sign | 0x7ff0000000000000ULL | payload);
      const TypeParam h(v);
      EXPECT_TRUE(std::isnan(static_cast<double>(h))) << payload;
      EXPECT_EQ(h.bits >> 15, sign == 0 ? 0 : 1);
    }
  }
  EXPECT_TRUE(std::isnan(static_cast<float>(TypeParam(std::bit_cast<float>(0x7fffffffU)))));
  EXPECT_TRUE(std::isnan(static_cast<float>(TypeParam(static_cast<float>(nan)))));
}

#if defined(__FLT16_MANT_DIG__)
/// The compiler's own float16.
TEST(HalfTypes, F16IsTheCompilersFloat16) {
  Random random(11);
  const auto bits_of = [](_Float16 v) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, &v, sizeof(bits));
    return bits;
  };
  for (const f16 h : all_numbers<f16>()) {
    _Float16 theirs = 0;
    std::memcpy(&theirs, &h, sizeof(h));
    const auto want = static_cast<double>(theirs);
    if (!std::isnan(want)) {
      ASSERT_EQ(static_cast<double>(h), want);
    }
  }
  for (int k = 0; k < 100000; ++k) {
    const double v = std::ldexp(random.uniform(-2, 2), static_cast<int>(random.integer(-30, 20)));
    ASSERT_EQ(f16(v).bits, bits_of(static_cast<_Float16>(v))) << std::hexfloat << v;
  }
}
#endif

}  // namespace
}  // namespace unitvar::test
