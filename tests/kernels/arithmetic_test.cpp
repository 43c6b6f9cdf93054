// Arithmetic, selections and masks of the kernels' vectors, pairs and scalars, element by element.
#include <functional>

#include "kernels/units.hpp"

namespace unitvar::test {
namespace {

template <class E>
class Vectors : public ::testing::Test {
 protected:
  /// Calls body(operations) for every unit of every instruction set.
  static void for_each_unit(const std::function<void(const Operations<E>&)>& body) {
    for_each_target([&](const Primitives& primitives, Isa isa) {
      const auto all = std::get<std::span<const Operations<E>>>(primitives.operations);
      const bool has_pairs = std::is_same_v<E, float> && isa != Isa::portable;
      ASSERT_EQ(all.size(), has_pairs ? 6U : 2U);
      for (const Operations<E>& operations : all) {
        SCOPED_TRACE(operations.unit);
        body(operations);
      }
    });
  }
};
using Registers = ::testing::Types<float, double>;
TYPED_TEST_SUITE(Vectors, Registers);

template <class E, class F>
std::vector<E> each(int size, const F& f) {
  std::vector<E> values;
  for (int k = 0; k < size; ++k) values.push_back(f(static_cast<std::size_t>(k)));
  return values;
}

TYPED_TEST(Vectors, AddSubtractAndMultiplyEachElementForItself) {
  using E = TypeParam;
  this->for_each_unit([](const Operations<E>& unit) {
    // Sums and products that have to be rounded.
    const std::vector<E> a = each<E>(unit.width, [](std::size_t k) { return E{1} / static_cast<E>(k + 3); });
    const std::vector<E> b = each<E>(unit.width, [](std::size_t k) { return static_cast<E>(k) - E{1} / 7; });
    std::vector<E> seen(a.size());
    unit.add(a.data(), b.data(), seen.data());
    expect_same_bits(seen, each<E>(unit.width, [&](std::size_t k) { return a[k] + b[k]; }), a);
    unit.sub(a.data(), b.data(), seen.data());
    expect_same_bits(seen, each<E>(unit.width, [&](std::size_t k) { return a[k] - b[k]; }), a);
    unit.mul(a.data(), b.data(), seen.data());
    expect_same_bits(seen, each<E>(unit.width, [&](std::size_t k) { return a[k] * b[k]; }), a);
    unit.zero(seen.data());
    expect_same_bits(seen, std::vector<E>(a.size()), a);
  });
}

TYPED_TEST(Vectors, TakeOneCoefficientForAllElementsOrOneForEach) {
  using E = TypeParam;
  this->for_each_unit([](const Operations<E>& unit) {
    constexpr int column = 3;
    const std::vector<E> coefficients = ramp<E>(unit.width + column);
    const std::vector<E> wanted(coefficients.begin() + column, coefficients.end());
    std::vector<E> seen(wanted.size());
    unit.at_one(E{0.75}, column, seen.data());
    expect_same_bits(seen, std::vector<E>(wanted.size(), E{0.75}), wanted);
    if (unit.at_each == nullptr) return;
    unit.at_each(coefficients.data(), column, seen.data());
    expect_same_bits(seen, wanted, wanted);
  });
}

/// Of less than none and of more than all elements, too.
TYPED_TEST(Vectors, TakeTheFirstElementsOfOneAndTheOthersOfAnother) {
  using E = TypeParam;
  this->for_each_unit([](const Operations<E>& unit) {
    if (unit.first_of == nullptr) return;
    const std::vector<E> a = ramp<E>(unit.width), b = ramp<E>(unit.width, 100);
    std::vector<E> seen(a.size());
    for (std::int64_t n = -2; n <= unit.width + 2; ++n) {
      SCOPED_TRACE(n);
      unit.first_of(n, a.data(), b.data(), seen.data());
      expect_same_bits(
          seen, each<E>(unit.width, [&](std::size_t k) { return static_cast<std::int64_t>(k) < n ? a[k] : b[k]; }), a);
    }
  });
}

TYPED_TEST(Vectors, AddUpInDoubleWhatEachElementHolds) {
  using E = TypeParam;
  this->for_each_unit([](const Operations<E>& unit) {
    if (unit.sum == nullptr) return;
    constexpr int count = 3;
    const std::vector<E> values =
        each<E>(count * unit.width, [](std::size_t k) { return E{1} / static_cast<E>(k + 3); });
    std::vector<double> seen(static_cast<std::size_t>(unit.width)), wanted(seen.size());
    for (std::size_t k = 0; k < values.size(); ++k) wanted[k % wanted.size()] += static_cast<double>(values[k]);
    unit.sum(values.data(), count, seen.data());
    expect_same_bits(seen, wanted, wanted);
  });
}

constexpr int word_bits = 64;

/// Negative and positive numbers in no period, zeros of both signs, and NaN, which is not at most zero.
template <class E>
std::vector<E> signs() {
  std::vector<E> values = each<E>(word_bits, [](std::size_t k) { return static_cast<E>(k * k % 7) - E{2.5}; });
  values[3] = 0;
  values[17] = E{-0.0};
  values[20] = std::numeric_limits<E>::quiet_NaN();
  values[40] = -std::numeric_limits<E>::infinity();
  values[63] = -std::numeric_limits<E>::denorm_min();
  return values;
}

template <class E>
std::uint64_t word_of(const std::vector<E>& values) {
  std::uint64_t word = 0;
  for (std::size_t k = 0; k < values.size(); ++k) word |= std::uint64_t{values[k] <= 0} << k;
  return word;
}

TYPED_TEST(Vectors, TellWhichElementsAreAtMostZero) {
  using E = TypeParam;
  const std::vector<E> values = signs<E>();
  const std::uint64_t word = word_of(values);
  this->for_each_unit([&](const Operations<E>& unit) {
    if (unit.at_most_zero == nullptr) return;
    EXPECT_EQ(unit.word_at_most_zero(values.data()), word);
    for (int at = 0; at < word_bits; at += unit.width) {
      const std::uint64_t own = word >> at & (~std::uint64_t{0} >> (word_bits - unit.width));
      EXPECT_EQ(unit.at_most_zero(values.data() + at), own) << "elements from " << at << " on";
    }
  });
}

TYPED_TEST(Vectors, SelectElementsByTheirBitsOfAWord) {
  using E = TypeParam;
  constexpr std::uint64_t word = 0x9d3c'51e7'0f86'a2b4;
  this->for_each_unit([](const Operations<E>& unit) {
    if (unit.select == nullptr) return;
    const std::vector<E> yes = ramp<E>(unit.width), no = ramp<E>(unit.width, 100);
    std::vector<E> seen(yes.size());
    for (int at = 0; at < word_bits; at += unit.width) {
      SCOPED_TRACE(at);
      const auto bit = [&](std::size_t k) { return (word >> (static_cast<std::size_t>(at) + k) & 1) != 0; };
      unit.select(word, at, yes.data(), no.data(), seen.data());
      expect_same_bits(seen, each<E>(unit.width, [&](std::size_t k) { return bit(k) ? yes[k] : no[k]; }), yes);
      unit.zero_where(word, at, yes.data(), seen.data());
      expect_same_bits(seen, each<E>(unit.width, [&](std::size_t k) { return bit(k) ? E{0} : yes[k]; }), yes);
    }
  });
}

}  // namespace
}  // namespace unitvar::test
