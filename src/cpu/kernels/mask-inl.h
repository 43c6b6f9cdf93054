// Conditions on elements: in registers, and as bits in memory. Included once per instruction set.
#if defined(UNITVAR_KERNELS_MASK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNITVAR_KERNELS_MASK_INL_H_
#undef UNITVAR_KERNELS_MASK_INL_H_
#else
#define UNITVAR_KERNELS_MASK_INL_H_
#endif

#include <bit>
#include <cstring>

#include "cpu/kernels/lines-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

/// Lane j is 2^j.
template <class Lane>
struct Powers {
  alignas(64) Lane of[8 * sizeof(Lane)];
  constexpr Powers() : of{} {
    for (std::size_t j = 0; j < 8 * sizeof(Lane); ++j) of[j] = Lane{1} << j;
  }
};
template <class Lane>
inline constexpr Powers<Lane> kPowers;

/// A condition on each element of a U. Its bits stand in a word from bit `at` on, a multiple of the width of U.
template <class U>
struct Masks;

template <class A>
struct Masks<VectorOf<A>> {
  using Value = typename VectorOf<A>::Value;
  using Mask = hn::Mask<Tag<A>>;
  static HWY_INLINE Mask at_most(Value v, Value most) { return hn::Le(v, most); }
  static HWY_INLINE Mask at_most_zero(Value v) { return at_most(v, VectorOf<A>::zero()); }
  static HWY_INLINE Mask either(Mask m, Mask n) { return hn::Or(m, n); }
  static HWY_INLINE Value select(Mask m, Value yes, Value no) { return hn::IfThenElse(m, yes, no); }
  static HWY_INLINE Value zero_where(Mask m, Value v) { return hn::IfThenZeroElse(m, v); }
  /// Puts the part of the word that has the bits into every lane. Each lane then tests its own bit.
  static HWY_INLINE Mask from_bits(std::uint64_t word, int64_t at) {
    const hn::RebindToUnsigned<Tag<A>> u;
    using Lane = hn::TFromD<decltype(u)>;
    constexpr int64_t kBits = 8 * sizeof(Lane);
    const auto all = hn::Set(u, static_cast<Lane>(word >> (at / kBits * kBits)));
    return hn::RebindMask(Tag<A>(), hn::TestBit(all, hn::LoadU(u, kPowers<Lane>.of + at % kBits)));
  }
  static HWY_INLINE std::uint64_t bits(Mask m) {
    std::uint8_t bytes[8];
    hn::StoreMaskBits(Tag<A>(), m, bytes);
    if constexpr (VectorOf<A>::kWidth <= 8) return bytes[0];
    return bytes[0] | std::uint64_t{bytes[1]} << 8;
  }
};

#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
template <class T>
struct Masks<PairOf<T, true>> {
  using Value = typename PairOf<T, true>::Value;
  using Half = Masks<VectorOf<float>>;
  struct Mask {
    Half::Mask a, b;
  };
  static constexpr int kHalf = VectorOf<float>::kWidth;
  static HWY_INLINE Mask at_most(Value v, Value most) {
    return {Half::at_most(v.a, most.a), Half::at_most(v.b, most.b)};
  }
  static HWY_INLINE Mask at_most_zero(Value v) { return {Half::at_most_zero(v.a), Half::at_most_zero(v.b)}; }
  static HWY_INLINE Mask either(Mask m, Mask n) { return {Half::either(m.a, n.a), Half::either(m.b, n.b)}; }
  static HWY_INLINE Value select(Mask m, Value yes, Value no) {
    return {Half::select(m.a, yes.a, no.a), Half::select(m.b, yes.b, no.b)};
  }
  static HWY_INLINE Value zero_where(Mask m, Value v) {
    return {Half::zero_where(m.a, v.a), Half::zero_where(m.b, v.b)};
  }
  static HWY_INLINE Mask from_bits(std::uint64_t word, int64_t at) {
    return {Half::from_bits(word, at), Half::from_bits(word, at + kHalf)};
  }
  static HWY_INLINE std::uint64_t bits(Mask m) { return Half::bits(m.a) | Half::bits(m.b) << kHalf; }
};
#endif

template <class A>
struct Masks<ScalarOf<A>> {
  using Mask = bool;
  static HWY_INLINE Mask at_most(A v, A most) { return v <= most; }
  static HWY_INLINE Mask at_most_zero(A v) { return v <= 0; }
  static HWY_INLINE Mask either(Mask m, Mask n) { return static_cast<bool>(static_cast<int>(m) | static_cast<int>(n)); }
  // No branches: which way they go would be as random as the data.
  static HWY_INLINE A select(Mask m, A yes, A no) { return from((to(yes) & -Bits{m}) | (to(no) & (Bits{m} - 1))); }
  static HWY_INLINE A zero_where(Mask m, A v) { return from(to(v) & (Bits{m} - 1)); }
  static HWY_INLINE Mask from_bits(std::uint64_t word, int64_t at) { return (word >> at & 1) != 0; }
  static HWY_INLINE std::uint64_t bits(Mask m) { return m ? 1 : 0; }

 private:
  using Bits = std::conditional_t<std::is_same_v<A, float>, std::uint32_t, std::uint64_t>;
  static HWY_INLINE Bits to(A v) { return std::bit_cast<Bits>(v); }
  static HWY_INLINE A from(Bits bits) { return std::bit_cast<A>(bits); }
};

/// Gathers the bits of n elements, one vector after the other. It rotates instead of shifting. Compilers postpone
/// shifts until all vectors are computed, and then run out of registers.
template <class U, int n>
struct Word {
  std::uint64_t bits = 0;
  HWY_INLINE void add(typename Masks<U>::Mask mask) { bits = std::rotr(bits | Masks<U>::bits(mask), U::kWidth); }
  HWY_INLINE std::uint64_t first() const { return bits >> (kWord - n); }
};

/// The 64 bits from bit k on. Reads nine bytes.
HWY_INLINE std::uint64_t load_word(const std::uint8_t* row, int64_t k) {
  const std::uint8_t* p = row + (k >> 3);
  const int64_t shift = k & 7;
  std::uint64_t word = 0;
  std::memcpy(&word, p, sizeof(word));
  return word >> shift | std::uint64_t{p[8]} << 1 << (63 - shift);
}

/// Writes the first n bits of a word at bit k, and zeros in the rest of the last byte. The caller fills a row in
/// ascending order, so nothing behind is lost. The other bits of the word must be 0.
HWY_INLINE void store_bits(std::uint8_t* row, int64_t k, int64_t n, std::uint64_t word) {
  std::uint8_t* p = row + (k >> 3);
  const int64_t shift = k & 7;
  std::uint64_t bits = word << shift | (*p & ((1U << shift) - 1));
  for (int64_t rest = std::min<int64_t>(n + shift, kWord); rest > 0; rest -= 8, bits >>= 8) {
    *p++ = static_cast<std::uint8_t>(bits);
  }
  if (n + shift > kWord) *p = static_cast<std::uint8_t>(word >> (kWord - shift));
}

/// The same for a number of bits that is a multiple of 8.
template <int n>
HWY_INLINE void store_bytes(std::uint8_t* row, int64_t k, std::uint64_t word) {
  static_assert(n % 8 == 0);
  std::uint8_t* p = row + (k >> 3);
  const int64_t shift = k & 7;
  if (shift != 0) {
    p[n / 8] = static_cast<std::uint8_t>(word >> (n - shift));
    word = word << shift | (*p & ((1U << shift) - 1));
  }
  std::memcpy(p, &word, n / 8);
}

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
