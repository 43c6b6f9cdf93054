// Loads and stores of the kernels: every number of 16 bits, every place where rounding may go either way, and no byte
// outside of the elements.
#include <functional>
#include <random>

#include "kernels/units.hpp"
#include "support/fenced.hpp"
#include "support/guarded.hpp"

namespace unitvar::test {
namespace {

/// Elements in memory, and what a register holds of them.
template <class Memory, class Register>
struct Stored {
  using T = Memory;
  using E = Register;
};

template <class S>
class Conversion : public ::testing::Test {
 protected:
  using One = Transfer<typename S::T, typename S::E>;

  /// Calls body(transfer) for every unit of every instruction set. The portable one has no pairs, the others have them
  /// for 16 bits in float.
  static void for_each_unit(const std::function<void(const One&)>& body) {
    for_each_target([&](const Primitives& primitives, Isa isa) {
      const auto transfers = std::get<std::span<const One>>(primitives.transfers);
      const bool has_pairs = is_half<typename S::T> && std::is_same_v<typename S::E, float> && isa != Isa::portable;
      ASSERT_EQ(transfers.size(), has_pairs ? 4U : 2U);
      for (const One& transfer : transfers) {
        SCOPED_TRACE(transfer.unit);
        body(transfer);
      }
    });
  }

  static std::vector<typename S::T> stored(const std::vector<typename S::E>& values) {
    std::vector<typename S::T> result;
    for (const auto value : values) result.push_back(static_cast<typename S::T>(value));
    return result;
  }
};
using AllStored =
    ::testing::Types<Stored<float, float>, Stored<bf16, float>, Stored<f16, float>, Stored<double, double>,
                     Stored<float, double>, Stored<bf16, double>, Stored<f16, double>>;
TYPED_TEST_SUITE(Conversion, AllStored);

constexpr int random_numbers = 4096;

template <class V>
using BitsOf = std::conditional_t<sizeof(V) == 8, std::uint64_t, std::uint32_t>;

/// Any bits, but of NaNs only the one that arithmetic makes.
template <class V>
std::vector<V> random_bits() {
  std::mt19937_64 engine(20150211);
  std::vector<V> values;
  for (int k = 0; k < random_numbers; ++k) {
    const auto value = std::bit_cast<V>(static_cast<BitsOf<V>>(engine()));
    values.push_back(std::isnan(value) ? std::numeric_limits<V>::quiet_NaN() : value);
  }
  return values;
}

/// Every number, if it has 16 bits.
template <class T>
std::vector<T> numbers() {
  if constexpr (is_half<T>) {
    std::vector<T> values;
    for (int bits = 0; bits < 65536; ++bits) values.push_back(T::from_bits(static_cast<std::uint16_t>(bits)));
    return values;
  } else {
    return random_bits<T>();
  }
}

/// The number of T that follows a finite one that is not negative. What follows the largest is infinite.
template <class T>
T next(T value) {
  if constexpr (is_half<T>) {
    return T::from_bits(static_cast<std::uint16_t>(value.bits + 1));
  } else {
    return std::nextafter(value, std::numeric_limits<T>::infinity());
  }
}

/// What is rounded to T: some or all numbers, the points halfway to the next, and the nearest E on both sides.
template <class T, class E>
std::vector<E> rounding_cases() {
  constexpr E infinity = std::numeric_limits<E>::infinity();
  std::vector<E> cases = random_bits<E>();
  cases.insert(cases.end(), {infinity, std::numeric_limits<E>::quiet_NaN(), std::numeric_limits<E>::max(),
                             std::numeric_limits<E>::min(), std::numeric_limits<E>::denorm_min()});
  double step = 0;
  for (const T number : numbers<T>()) {
    const auto value = static_cast<double>(number);
    if (!std::isfinite(value) || std::signbit(value)) continue;
    const auto following = static_cast<double>(next(number));
    if (std::isfinite(following)) step = following - value;
    const auto halfway = static_cast<E>(value + step / 2);
    cases.insert(cases.end(),
                 {static_cast<E>(value), std::nextafter(halfway, E{0}), halfway, std::nextafter(halfway, infinity)});
  }
  for (std::size_t k = 0, positive = cases.size(); k < positive; ++k) cases.push_back(-cases[k]);
  return cases;
}

TYPED_TEST(Conversion, LoadsEveryNumberExactly) {
  using T = typename TypeParam::T;
  using E = typename TypeParam::E;
  this->for_each_unit([](const Transfer<T, E>& unit) {
    const std::vector<T> from = padded(numbers<T>(), unit.width);
    std::vector<E> seen(from.size()), wanted;
    for (const T value : from) wanted.push_back(static_cast<E>(value));
    for (std::size_t k = 0; k < from.size(); k += static_cast<std::size_t>(unit.width)) {
      unit.load(from.data() + k, seen.data() + k);
    }
    expect_same_bits(seen, wanted, from);
  });
}

TYPED_TEST(Conversion, StoresTheNearestNumberAndOfTwoTheEvenOne) {
  using T = typename TypeParam::T;
  using E = typename TypeParam::E;
  const std::vector<E> cases = rounding_cases<T, E>();
  this->for_each_unit([&](const Transfer<T, E>& unit) {
    const std::vector<E> from = padded(cases, unit.width);
    std::vector<T> seen(from.size()), wanted = TestFixture::stored(from);
    for (std::size_t k = 0; k < from.size(); k += static_cast<std::size_t>(unit.width)) {
      unit.store(from.data() + k, seen.data() + k);
    }
    expect_same_bits(seen, wanted, from);
  });
}

TYPED_TEST(Conversion, StreamsWhatItStores) {
  using T = typename TypeParam::T;
  using E = typename TypeParam::E;
  this->for_each_unit([](const Transfer<T, E>& unit) {
    if (unit.stream == nullptr) return;
    const std::vector<E> from = ramp<E>(unit.width);
    const std::vector<T> wanted = TestFixture::stored(from);
    Guarded<T> to(unit.width);
    unit.stream(from.data(), to.span().data());
    expect_same_bits(to.values(), wanted, from);
    EXPECT_TRUE(to.guards_intact());
  });
}

TYPED_TEST(Conversion, StoresWriteNothingBehindAndBeforeTheirElements) {
  using T = typename TypeParam::T;
  using E = typename TypeParam::E;
  this->for_each_unit([](const Transfer<T, E>& unit) {
    const std::vector<E> from = ramp<E>(unit.width);
    for (int offset = 0; offset < unit.width; ++offset) {
      Guarded<T> to(unit.width, offset);
      unit.store(from.data(), to.span().data());
      EXPECT_TRUE(to.guards_intact()) << "offset " << offset;
    }
  });
}

/// A page that may not be touched begins where the elements end, and ends where they begin.
TYPED_TEST(Conversion, LoadsAndStoresTouchNoByteOutsideOfTheirElements) {
  using T = typename TypeParam::T;
  using E = typename TypeParam::E;
  this->for_each_unit([](const Transfer<T, E>& unit) {
    const std::vector<E> values = ramp<E>(unit.width);
    std::vector<E> seen(values.size());
    for (const Fence fence : {Fence::before, Fence::after}) {
      Fenced<T> memory(values.size(), fence);
      unit.store(values.data(), memory.span().data());
      unit.load(memory.span().data(), seen.data());
      expect_same_bits(seen, values, values);
    }
  });
}

}  // namespace
}  // namespace unitvar::test
