#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

/// Measures of difference between arrays.
namespace unitvar::test {

template <class R>
R l2_norm(const std::vector<R>& values) {
  R sum = 0;
  for (R v : values) sum += v * v;
  return std::sqrt(sum);
}

/// |actual - expected| / max(|expected|, least_scale) in the L2 norm. least_scale is the size of the terms that the
/// expected value is a sum of; it matters where they cancel (two values per channel, one channel). NaN stays NaN.
template <class A, class R>
double relative_l2(const std::vector<A>& actual, const std::vector<R>& expected, R least_scale = 0) {
  EXPECT_EQ(actual.size(), expected.size());
  R error = 0;
  for (std::size_t k = 0; k < std::min(actual.size(), expected.size()); ++k) {
    const R d = static_cast<R>(actual[k]) - expected[k];
    error += d * d;
  }
  if (error == 0) return 0;
  return static_cast<double>(std::sqrt(error) / std::max(l2_norm(expected), least_scale));
}

/// Largest |actual - expected| / |expected|.
template <class A, class R>
double worst_relative(const std::vector<A>& actual, const std::vector<R>& expected) {
  EXPECT_EQ(actual.size(), expected.size());
  R worst = 0;
  for (std::size_t k = 0; k < std::min(actual.size(), expected.size()); ++k) {
    const R d = std::abs(static_cast<R>(actual[k]) - expected[k]);
    if (d != 0 && !(d / std::abs(expected[k]) <= worst)) worst = d / std::abs(expected[k]);
  }
  return static_cast<double>(worst);
}

/// Equality of every bit, with the first difference in the message.
template <class T>
::testing::AssertionResult same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  if (a.size() != b.size()) return ::testing::AssertionFailure() << "sizes " << a.size() << " and " << b.size();
  if (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0) return ::testing::AssertionSuccess();
  std::size_t differing = 0, first = a.size();
  for (std::size_t k = a.size(); k-- > 0;) {
    if (std::memcmp(&a[k], &b[k], sizeof(T)) != 0) ++differing, first = k;
  }
  return ::testing::AssertionFailure() << differing << " of " << a.size() << " elements differ, first at " << first
                                       << std::hexfloat << ": " << static_cast<double>(a[first]) << " and "
                                       << static_cast<double>(b[first]);
}

template <class T>
bool all_nan(const std::vector<T>& values) {
  return std::all_of(values.begin(), values.end(), [](T v) { return std::isnan(static_cast<double>(v)); });
}

template <class T>
bool all_finite(const std::vector<T>& values) {
  return std::all_of(values.begin(), values.end(), [](T v) { return std::isfinite(static_cast<double>(v)); });
}

}  // namespace unitvar::test
