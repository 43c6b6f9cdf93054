#pragma once
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

/// Data to measure on, and the check that comes before measuring.
namespace unitvar::bench {

/// Normal values, never zeros: zeros are cheaper to move and to multiply on some machines.
template <class T>
std::vector<T> random_values(std::int64_t size, double mean, double std, std::uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<double> normal(mean, std);
  std::vector<T> values(static_cast<std::size_t>(size));
  for (T& value : values) value = static_cast<T>(normal(engine));
  return values;
}

/// Ends the program unless `actual` is within `tolerance` of `expected` in relative L2 error.
template <class A, class B>
void require_close(const char* what, const A& actual, const B& expected, double tolerance) {
  double error = 0, size = 0;
  for (std::size_t k = 0; k < expected.size(); ++k) {
    const auto e = static_cast<double>(expected[k]);
    const double d = static_cast<double>(actual[k]) - e;
    error += d * d;
    size += e * e;
  }
  const double relative = std::sqrt(error / size);
  if (actual.size() == expected.size() && relative <= tolerance) return;
  std::fprintf(stderr, "%s: relative L2 error %g, want <= %g\n", what, relative, tolerance);
  std::exit(1);
}

}  // namespace unitvar::bench
