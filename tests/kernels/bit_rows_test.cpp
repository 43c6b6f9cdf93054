// Rows of bits in memory: words are read and written at any bit, and no byte changes that is not the word's.
#include <functional>

#include "kernels/units.hpp"

namespace unitvar::test {
namespace {

constexpr std::uint64_t pattern = 0x9d3c'51e7'0f86'a2b4;
constexpr std::uint8_t untouched = 0xa5;

class RowsOfBits : public ::testing::Test {
 protected:
  static void for_each(const std::function<void(const BitRows&)>& body) {
    for_each_target([&](const Primitives& primitives, Isa) { body(primitives.bits); });
  }
  static bool bit(const std::vector<std::uint8_t>& row, std::int64_t k) {
    return (row[static_cast<std::size_t>(k / 8)] >> (k % 8) & 1) != 0;
  }
  /// Stores n bits of the pattern at bit k of a row that holds its own bits before k, and looks at every bit behind.
  template <class Store>
  static void expect_stored(std::int64_t k, std::int64_t n, const Store& store) {
    SCOPED_TRACE("bit " + std::to_string(k) + ", " + std::to_string(n) + " bits");
    std::vector<std::uint8_t> row(24, untouched);
    const std::vector<std::uint8_t> before = row;
    store(row.data());
    const std::int64_t end = (k + n + 7) / 8 * 8;
    for (std::int64_t j = 0; j < static_cast<std::int64_t>(row.size()) * 8; ++j) {
      const bool inside = j >= k && j < k + n;
      const bool wanted = inside ? (pattern >> (j - k) & 1) != 0 : j >= k && j < end ? false : bit(before, j);
      ASSERT_EQ(bit(row, j), wanted) << "bit " << j;
    }
  }
};

TEST_F(RowsOfBits, LoadTheWordThatBeginsWithAnyBit) {
  std::vector<std::uint8_t> row;
  for (unsigned k = 0; k < 24; ++k) row.push_back(static_cast<std::uint8_t>(37 * k + 11));
  for_each([&](const BitRows& bits) {
    for (std::int64_t k = 0; k < 64; ++k) {
      std::uint64_t wanted = 0;
      for (std::int64_t j = 0; j < 64; ++j) wanted |= std::uint64_t{bit(row, k + j)} << j;
      EXPECT_EQ(bits.load_word(row.data(), k), wanted) << "bit " << k;
    }
  });
}

TEST_F(RowsOfBits, StoreTheFirstBitsOfAWordAndZerosToTheEndOfTheirLastByte) {
  for_each([](const BitRows& bits) {
    for (std::int64_t k = 0; k < 17; ++k) {
      for (std::int64_t n = 1; n <= 64; ++n) {
        const std::uint64_t word = pattern & (~std::uint64_t{0} >> (64 - n));
        expect_stored(k, n, [&](std::uint8_t* row) { bits.store_bits(row, k, n, word); });
      }
    }
  });
}

TEST_F(RowsOfBits, StoreWholeBytesAtAnyBit) {
  for_each([](const BitRows& bits) {
    for (std::int64_t k = 0; k < 17; ++k) {
      expect_stored(k, 16, [&](std::uint8_t* row) { bits.store_16(row, k, pattern & 0xffff); });
      expect_stored(k, 64, [&](std::uint8_t* row) { bits.store_64(row, k, pattern); });
    }
  });
}

}  // namespace
}  // namespace unitvar::test
