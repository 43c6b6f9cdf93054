#include "train/random.hpp"

#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

namespace unitvar::train {
namespace {

std::mt19937_64 make_engine(std::uint64_t seed, std::uint64_t stream) {
  std::seed_seq words{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32),
                      static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32)};
  return std::mt19937_64(words);
}

}  // namespace

Random::Random(std::uint64_t seed, std::uint64_t stream) : engine_(make_engine(seed, stream)) {}

std::uint64_t Random::below(std::uint64_t bound) {
  const std::uint64_t limit = std::numeric_limits<std::uint64_t>::max() / bound * bound;
  std::uint64_t value = engine_();
  while (value >= limit) value = engine_();
  return value % bound;
}

double Random::uniform() { return static_cast<double>((engine_() >> 11) + 1) * 0x1p-53; }

double Random::normal() {
  const double radius = std::sqrt(-2 * std::log(uniform()));
  return radius * std::cos(2 * std::numbers::pi * uniform());
}

void Random::shuffle(std::span<std::uint32_t> values) {
  for (std::size_t left = values.size(); left > 1; --left) std::swap(values[left - 1], values[below(left)]);
}

}  // namespace unitvar::train
