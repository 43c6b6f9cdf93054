// The 16-bit types in vectors of float and double. Included once per instruction set.
#if defined(UNITVAR_KERNELS_HALF_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNITVAR_KERNELS_HALF_INL_H_
#undef UNITVAR_KERNELS_HALF_INL_H_
#else
#define UNITVAR_KERNELS_HALF_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>
#include <type_traits>

#include "cpu/kernels/kernels.hpp"
#include "unitvar/half.hpp"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
constexpr bool kHasVectors = false;
#else
constexpr bool kHasVectors = true;
#endif

/// A vector's worth of 16-bit numbers: as many as D has lanes, and twice as many.
template <class D>
using Bits = hn::Rebind<std::uint16_t, D>;
template <class D>
using Bits2 = hn::Repartition<std::uint16_t, D>;
template <class D>
using Bits32 = hn::RebindToUnsigned<D>;

#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128

template <class D, class T>
HWY_INLINE hn::Vec<D> load_half(D d, const T* p) {
  hn::TFromD<D> lanes[hn::MaxLanes(D())];
  for (std::size_t k = 0; k < hn::MaxLanes(D()); ++k) lanes[k] = static_cast<hn::TFromD<D>>(p[k]);
  return hn::LoadU(d, lanes);
}

#else

/// Instructions for f16: Highway's own code without them knows neither infinities nor rounding.
#if HWY_TARGET == HWY_SSE4
constexpr bool kHasF16 = false;
#else
constexpr bool kHasF16 = true;
#endif

/// f16 to float in integers: Half::operator float. Too long to be wanted in every place of use, as is rounded(f16).
template <class D>
HWY_NOINLINE hn::Vec<D> widen_f16(D d, hn::Vec<Bits32<D>> bits) {
  const Bits32<D> u;
  const hn::RebindToSigned<D> i;
  const auto rebias = hn::Set(u, (127U - 15U) << 23);
  const auto size = hn::And(bits, hn::Set(u, 0x7fff));
  const auto sized = hn::BitCast(i, size);
  const auto infinite = hn::MaskFromVec(hn::BitCast(d, hn::VecFromMask(i, hn::Gt(sized, hn::Set(i, 0x7bff)))));
  const auto subnormal = hn::MaskFromVec(hn::BitCast(d, hn::VecFromMask(i, hn::Lt(sized, hn::Set(i, 0x0400)))));
  const auto finite = hn::Add(hn::ShiftLeft<13>(size), rebias);
  const auto normal = hn::IfThenElse(infinite, hn::BitCast(d, hn::Add(finite, rebias)), hn::BitCast(d, finite));
  const auto tiny = hn::Mul(hn::ConvertTo(d, sized), hn::Set(d, 0x1p-24F));
  const auto sign = hn::ShiftLeft<16>(hn::AndNot(hn::Set(u, 0x7fff), bits));
  return hn::Or(hn::IfThenElse(subnormal, tiny, normal), hn::BitCast(d, sign));
}

template <class T, class D>
HWY_INLINE hn::Vec<D> widen(D d, hn::Vec<Bits<D>> bits) {
  if constexpr (std::is_same_v<T, bf16>) {
    return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(Bits32<D>(), bits)));
  } else if constexpr (kHasF16) {
    return hn::PromoteTo(d, hn::BitCast(hn::Rebind<hwy::float16_t, D>(), bits));
  } else {
    return widen_f16(d, hn::PromoteTo(Bits32<D>(), bits));
  }
}

template <class D, class T>
HWY_INLINE hn::Vec<D> load_half(D d, const T* p) {
  const auto bits = hn::LoadU(Bits<D>(), &p->bits);
  if constexpr (std::is_same_v<hn::TFromD<D>, float>) {
    return widen<T>(d, bits);
  } else {
    return hn::PromoteTo(d, widen<T>(hn::Rebind<float, D>(), bits));
  }
}

/// Floats rounded to nearest even, as Half does; the 16 bits are the upper half of each lane's. For bf16, a NaN has to
/// have a zero among its first 16 bits or zeros behind them, else it would come out as -0 or 0. Those of float
/// arithmetic have: they come from 16 bits or are the processor's own, since coefficients that are NaN go to double.
template <class D>
HWY_INLINE hn::Vec<Bits32<D>> rounded(bf16, D, hn::Vec<D> v) {
  const Bits32<D> u;
  const auto bits = hn::BitCast(u, v);
  const auto last = hn::And(hn::ShiftRight<16>(bits), hn::Set(u, 1));
  return hn::Add(bits, hn::Add(last, hn::Set(u, 0x7fff)));
}

template <class D>
HWY_NOINLINE hn::Vec<Bits32<D>> rounded(f16, D d, hn::Vec<D> v) {
  const Bits32<D> u;
  const auto size = hn::Abs(v);
  const auto bits = hn::Sub(hn::BitCast(u, size), hn::Set(u, (127U - 15U) << 23));
  const auto last = hn::And(hn::ShiftRight<13>(bits), hn::Set(u, 1));
  const auto normal = hn::ShiftRight<13>(hn::Add(bits, hn::Add(last, hn::Set(u, 0xfff))));
  // The step of floats at 0.5 is the smallest f16.
  const auto tiny = hn::Sub(hn::BitCast(u, hn::Add(size, hn::Set(d, 0.5F))), hn::BitCast(u, hn::Set(d, 0.5F)));
  const auto finite = hn::IfThenElse(hn::Lt(size, hn::Set(d, 0x1p-14F)), hn::BitCast(d, tiny), hn::BitCast(d, normal));
  const auto infinity = hn::BitCast(d, hn::Set(u, 0x7c00)), nan = hn::BitCast(d, hn::Set(u, 0x7e00));
  const auto number = hn::IfThenElse(hn::Lt(size, hn::Set(d, 65520.0F)), finite, infinity);
  const auto result = hn::IfThenElse(hn::Eq(v, v), number, nan);
  return hn::Or(hn::ShiftLeft<16>(hn::BitCast(u, result)), hn::BitCast(u, hn::Xor(v, size)));
}

/// One vector of floats in half a vector.
template <class T, class D>
HWY_INLINE hn::Vec<Bits<D>> narrow(D d, hn::Vec<D> v) {
  if constexpr (std::is_same_v<T, f16> && kHasF16) {
    return hn::BitCast(Bits<D>(), hn::DemoteTo(hn::Rebind<hwy::float16_t, D>(), v));
  } else {
    const auto bits = hn::ShiftRight<16>(rounded(T(), d, v));
    return hn::DemoteTo(Bits<D>(), hn::BitCast(hn::RebindToSigned<D>(), bits));
  }
}

/// Two in a whole one.
template <class T, class D>
HWY_INLINE hn::Vec<Bits2<D>> narrow2(D d, hn::Vec<D> v0, hn::Vec<D> v1) {
  const Bits2<D> both;
  if constexpr (std::is_same_v<T, f16> && kHasF16) {
    return hn::Combine(both, narrow<T>(d, v1), narrow<T>(d, v0));
  } else {
    return hn::ConcatOdd(both, hn::BitCast(both, rounded(T(), d, v1)), hn::BitCast(both, rounded(T(), d, v0)));
  }
}

template <class D, class T>
HWY_INLINE void store_half(D d, hn::Vec<D> v, T* p) {
  hn::StoreU(narrow<T>(d, v), Bits<D>(), &p->bits);
}

/// The even (0) or odd (1) ones of the 16-bit numbers at p, for bf16: one operation, where neighbours take two.
template <int kParity, class D>
HWY_INLINE hn::Vec<D> load_alternate(D d, const bf16* p) {
  const auto bits = hn::BitCast(Bits32<D>(), hn::LoadU(Bits2<D>(), &p->bits));
  if constexpr (kParity == 0) return hn::BitCast(d, hn::ShiftLeft<16>(bits));
  return hn::BitCast(d, hn::And(bits, hn::Set(Bits32<D>(), 0xffff0000)));
}

/// Two vectors of even and of odd ones, rounded to nearest even as above, both at once: 1 is added where the lower half
/// that goes, less 1 if the upper is even, is half a step or more.
template <class D>
HWY_INLINE hn::Vec<Bits2<D>> narrow_alternate(D, hn::Vec<D> even, hn::Vec<D> odd) {
  const Bits2<D> u;
  const hn::RebindToSigned<Bits2<D>> i;
  const Bits32<D> wide;
  const auto upper = hn::OddEven(hn::BitCast(u, odd), hn::BitCast(u, hn::ShiftRight<16>(hn::BitCast(wide, even))));
  const auto lower = hn::OddEven(hn::BitCast(u, hn::ShiftLeft<16>(hn::BitCast(wide, odd))), hn::BitCast(u, even));
  const auto excess = hn::SaturatedSub(lower, hn::AndNot(upper, hn::Set(u, 1)));
  return hn::Sub(upper, hn::BitCast(u, hn::ShiftRight<15>(hn::BitCast(i, excess))));
}

#endif

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
