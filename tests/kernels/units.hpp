#pragma once
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "cpu/runtime/isa.hpp"
#include "kernels/primitives.hpp"
#include "support/dtypes.hpp"
#include "support/isas.hpp"

namespace unitvar::test {

/// Calls body(primitives) for every instruction set of this machine, after asserting that they were compiled for it.
template <class Body>
void for_each_target(const Body& body) {
  for_each_isa([&](Isa isa) {
    const Primitives& primitives = primitives_for(isa);
    ASSERT_EQ(primitives.target, cpu::highway_target(isa));
    body(primitives, isa);
  });
}

/// The bits of a number; those of every NaN are one.
template <class V>
std::uint64_t bits_of(V value) {
  using Bits = std::conditional_t<sizeof(V) == 8, std::uint64_t,
                                  std::conditional_t<sizeof(V) == 4, std::uint32_t, std::uint16_t>>;
  return std::isnan(static_cast<double>(value)) ? ~std::uint64_t{0} : std::uint64_t{std::bit_cast<Bits>(value)};
}

/// Compares bits. Says of the first element that differs what it came from.
template <class V, class From>
void expect_same_bits(const std::vector<V>& seen, const std::vector<V>& wanted, const std::vector<From>& from) {
  ASSERT_EQ(seen.size(), wanted.size());
  for (std::size_t k = 0; k < seen.size(); ++k) {
    ASSERT_EQ(bits_of(seen[k]), bits_of(wanted[k]))
        << "element " << k << " of " << static_cast<double>(from[k]) << " is " << static_cast<double>(seen[k])
        << ", want " << static_cast<double>(wanted[k]);
  }
}

/// -4, -3.25, ... : few enough bits for every type, and both zeros among them.
template <class V>
std::vector<V> ramp(int size, double from = -4) {
  std::vector<V> values;
  for (int k = 0; k < size; ++k) values.push_back(static_cast<V>(from + 0.75 * k));
  if (size > 1) values[1] = static_cast<V>(-0.0);
  return values;
}

/// Whole groups of `width` elements; what is missing are zeros.
template <class V>
std::vector<V> padded(std::vector<V> values, int width) {
  const auto n = static_cast<std::size_t>(width);
  values.resize((values.size() + n - 1) / n * n);
  return values;
}

}  // namespace unitvar::test
