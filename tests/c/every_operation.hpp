#pragma once
#include <cstdint>
#include <random>

#include "fuzz/filled.hpp"

namespace unitvar::testing {

/// Choices for Filled from a seed.
class Seeded {
 public:
  explicit Seeded(std::uint32_t seed) : random_(seed) {}

  template <class E>
  E ConsumeEnum() {
    return static_cast<E>(random_() % (static_cast<unsigned>(E::kMaxValue) + 1));
  }
  template <class I>
  I ConsumeIntegral() {
    return static_cast<I>(random_());
  }
  template <class I>
  I ConsumeIntegralInRange(I low, I high) {
    return std::uniform_int_distribution<I>(low, high)(random_);
  }
  bool ConsumeBool() { return random_() % 2 == 0; }

 private:
  std::mt19937 random_;
};

template <class Operation>
using FilledFor = fuzz::Filled<typename Operation::Arguments, Seeded>;

inline unitvar_options with_threads(std::int32_t threads) {
  unitvar_options options{};
  options.struct_size = sizeof options;
  options.threads = threads;
  return options;
}

/// Calls act(operation) with each operation of the C interface.
template <class Act>
void for_each_operation(const Act& act) {
  std::apply([&](const auto&... all) { (act(all), ...); }, fuzz::kOperations);
}

}  // namespace unitvar::testing
