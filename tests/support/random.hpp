#pragma once
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

namespace unitvar::test {

/// Random numbers of the tests. The same seed gives the same numbers on one C++ library.
class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  double normal() { return normal_(engine_); }

  /// Uniform in [low, high).
  double uniform(double low, double high) { return std::uniform_real_distribution<double>(low, high)(engine_); }

  /// Uniform in [low, high], both ends included.
  std::int64_t integer(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(engine_);
  }

  bool coin() { return integer(0, 1) == 1; }

  template <class V>
  const V& pick(const std::vector<V>& from) {
    return from[static_cast<std::size_t>(integer(0, static_cast<std::int64_t>(from.size()) - 1))];
  }

 private:
  std::mt19937_64 engine_;
  std::normal_distribution<double> normal_;
};

/// Seed of the randomized tests: UNITVAR_TEST_SEED if set, else a fresh one. Print it where it is used.
inline std::uint64_t fuzz_seed() {
  if (const char* text = std::getenv("UNITVAR_TEST_SEED")) return std::stoull(text);
  return std::random_device{}();
}

}  // namespace unitvar::test
