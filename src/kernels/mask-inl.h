// Conditions on elements: in registers, and as bits in memory. Included once per instruction set.
#if defined(UNITVAR_KERNELS_MASK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNITVAR_KERNELS_MASK_INL_H_
#undef UNITVAR_KERNELS_MASK_INL_H_
#else
#define UNITVAR_KERNELS_MASK_INL_H_
#endif

#include <cstring>

#include "kernels/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

/// A condition on each of the elements of a U, which are as many as bits fit an integer.
template <class U>
struct Masks;

template <class A>
struct Masks<Many<A>> {
  using Value = typename Many<A>::Value;
  using Mask = hn::Mask<Tag<A>>;
  static HWY_INLINE Mask at_most_zero(Value v) { return hn::Le(v, Many<A>::zero()); }
  static HWY_INLINE Value select(Mask m, Value yes, Value no) { return hn::IfThenElse(m, yes, no); }
  static HWY_INLINE Value zero_where(Mask m, Value v) { return hn::IfThenZeroElse(m, v); }
  static HWY_INLINE Mask from_bits(std::uint64_t bits) {
    std::uint8_t bytes[8];
    std::memcpy(bytes, &bits, sizeof(bits));
    return hn::LoadMaskBits(Tag<A>(), bytes);
  }
  static HWY_INLINE std::uint64_t bits(Mask m) {
    std::uint8_t bytes[8] = {};
    hn::StoreMaskBits(Tag<A>(), m, bytes);
    std::uint64_t bits = 0;
    std::memcpy(&bits, bytes, sizeof(bits));
    return bits;
  }
};

#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
template <class T>
struct Masks<Two<T, true>> {
  using Value = typename Two<T, true>::Value;
  using Half = Masks<Many<float>>;
  struct Mask {
    Half::Mask a, b;
  };
  static constexpr int kHalf = Many<float>::kWidth;
  static HWY_INLINE Mask at_most_zero(Value v) { return {Half::at_most_zero(v.a), Half::at_most_zero(v.b)}; }
  static HWY_INLINE Value select(Mask m, Value yes, Value no) {
    return {Half::select(m.a, yes.a, no.a), Half::select(m.b, yes.b, no.b)};
  }
  static HWY_INLINE Value zero_where(Mask m, Value v) {
    return {Half::zero_where(m.a, v.a), Half::zero_where(m.b, v.b)};
  }
  static HWY_INLINE Mask from_bits(std::uint64_t bits) {
    return {Half::from_bits(bits), Half::from_bits(bits >> kHalf)};
  }
  static HWY_INLINE std::uint64_t bits(Mask m) { return Half::bits(m.a) | Half::bits(m.b) << kHalf; }
};
#endif

template <class A>
struct Masks<One<A>> {
  using Mask = bool;
  static HWY_INLINE Mask at_most_zero(A v) { return v <= 0; }
  static HWY_INLINE A select(Mask m, A yes, A no) { return m ? yes : no; }
  static HWY_INLINE A zero_where(Mask m, A v) { return m ? 0 : v; }
  static HWY_INLINE Mask from_bits(std::uint64_t bits) { return (bits & 1) != 0; }
  static HWY_INLINE std::uint64_t bits(Mask m) { return m ? 1 : 0; }
};

/// n <= 32 bits from bit k on. Eight bytes are read.
HWY_INLINE std::uint64_t load_bits(const std::uint8_t* row, int64_t k) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, row + (k >> 3), sizeof(bits));
  return bits >> (k & 7);
}

/// Writes n <= 32 bits at bit k and zeros up to the end of their last byte: rows are written in ascending order.
HWY_INLINE void store_bits(std::uint8_t* row, int64_t k, int64_t n, std::uint64_t bits) {
  std::uint8_t* p = row + (k >> 3);
  const int64_t shift = k & 7;
  bits &= (std::uint64_t{1} << n) - 1;
  if (shift == 0 && n % 8 == 0) {
    std::memcpy(p, &bits, static_cast<std::size_t>(n / 8));
    return;
  }
  bits = bits << shift | (*p & ((1U << shift) - 1));
  for (int64_t rest = n + shift; rest > 0; rest -= 8, bits >>= 8) *p++ = static_cast<std::uint8_t>(bits);
}

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
