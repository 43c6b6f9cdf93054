#pragma once
#include <algorithm>
#include <bit>
#include <concepts>
#include <cstdint>

#include "unitvar/api.hpp"

namespace unitvar {

/// The types whose values a double holds exactly.
template <class V>
concept ExactInDouble = std::same_as<V, float> || std::same_as<V, double> || std::same_as<V, int>;

/// A binary floating point number of 16 bits: a sign, kExponentBits of exponent, and the rest mantissa. Subnormals,
/// infinities and NaN are as in IEEE 754. It stores; to compute, convert it. It is trivially copyable, so that an array
/// of another program's bfloat16 or float16 may be seen as an array of these.
///
///   const auto h = unitvar::bf16(1.5F);
///   const auto value = static_cast<float>(h);  // 1.5F
template <int kExponentBits>
struct UNITVAR_API Half {
  static constexpr int mantissa_bits = 15 - kExponentBits;
  static constexpr int bias = (1 << (kExponentBits - 1)) - 1;

  std::uint16_t bits;

  Half() = default;

  /// The nearest number; of two equally near, the one whose last bit is 0. A value beyond the largest by half a step or
  /// more becomes infinite. Rounded once, from double too. NaN becomes a quiet NaN of the same sign.
  template <ExactInDouble V>
  constexpr explicit Half(V value) noexcept : bits(rounded(static_cast<double>(value))) {}

  /// The number whose 16 bits these are.
  static constexpr Half from_bits(std::uint16_t bits) noexcept {
    Half h{};
    h.bits = bits;
    return h;
  }

  /// Exact in every floating point type.
  template <std::floating_point V>
  constexpr explicit operator V() const noexcept {
    return static_cast<V>(widened());
  }

  /// As numbers: -0 equals 0, and NaN nothing.
  friend constexpr bool operator==(Half a, Half b) noexcept { return a.widened() == b.widened(); }

 private:
  static constexpr std::uint16_t one_normal = 1U << mantissa_bits;  // the smallest number that is not subnormal
  static constexpr std::uint16_t infinity = 0x7fff >> mantissa_bits << mantissa_bits;
  static constexpr std::uint16_t quiet_nan = infinity | one_normal / 2;
  /// 2^(1 - bias - mantissa_bits), the smallest subnormal and the step between them.
  static constexpr double smallest =
      std::bit_cast<double>(static_cast<std::uint64_t>(1023 + 1 - bias - mantissa_bits) << 52);

  [[nodiscard]] constexpr float widened() const noexcept {
    const std::uint32_t sign = std::uint32_t{bits} >> 15 << 31, size = bits & 0x7fffU;
    if constexpr (bias == 127) {
      return std::bit_cast<float>(sign | size << 16);
    } else {
      constexpr std::uint32_t rebias = std::uint32_t{127 - bias} << 23;
      std::uint32_t wide = (size << (23 - mantissa_bits)) + rebias;
      if (size >= infinity) wide += rebias;
      if (size < one_normal) wide = std::bit_cast<std::uint32_t>(static_cast<float>(size) * float{smallest});
      return std::bit_cast<float>(sign | wide);
    }
  }

  static constexpr std::uint16_t rounded(double value) noexcept {
    constexpr std::uint64_t sign_bit = std::uint64_t{1} << 63, double_infinity = std::uint64_t{0x7ff} << 52;
    constexpr std::uint64_t rebias = static_cast<std::uint64_t>(1023 - bias) << 52;
    constexpr int dropped = 52 - mantissa_bits;
    const auto wide = std::bit_cast<std::uint64_t>(value);
    const auto sign = static_cast<std::uint16_t>(wide >> 63 << 15);
    std::uint64_t size = wide & ~sign_bit;
    if (size > double_infinity) return sign | quiet_nan;
    if (size < rebias + (std::uint64_t{1} << 52)) {
      // The step of doubles at 2^52 * smallest is `smallest`: the addition rounds to a multiple of it.
      constexpr double magic = smallest * 0x1p52;
      size = std::bit_cast<std::uint64_t>(std::bit_cast<double>(size) + magic) - std::bit_cast<std::uint64_t>(magic);
    } else {
      size -= rebias;
      size = (size + (std::uint64_t{1} << (dropped - 1)) - 1 + (size >> dropped & 1)) >> dropped;
    }
    return sign | static_cast<std::uint16_t>(std::min<std::uint64_t>(size, infinity));
  }
};

/// bfloat16: float's range (3.4e38), 8 significant bits.
using bf16 = Half<8>;
/// IEEE binary16, "half precision": up to 65504, 11 significant bits, subnormals down to 6e-8.
using f16 = Half<5>;

}  // namespace unitvar
