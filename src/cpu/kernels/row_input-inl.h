// What passes over rows read: one tensor, or the sum of two. Included once per instruction set.
#if defined(UNITVAR_KERNELS_ROW_INPUT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNITVAR_KERNELS_ROW_INPUT_INL_H_
#undef UNITVAR_KERNELS_ROW_INPUT_INL_H_
#else
#define UNITVAR_KERNELS_ROW_INPUT_INL_H_
#endif

#include "cpu/kernels/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

/// Values of U rounded to T.
template <class T, class U>
HWY_INLINE typename U::Value rounded_to(typename U::Value v) {
  T lanes[U::kWidth];
  U::store(v, lanes);
  return U::load(lanes);
}

#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
/// Floats rounded to 16 bits, in registers.
template <class T, class D>
HWY_INLINE hn::Vec<D> rounded_to_half(D d, hn::Vec<D> v) {
  if constexpr (std::is_same_v<T, bf16>) {
    return hn::BitCast(d, hn::And(rounded(T(), d, v), hn::Set(Bits32<D>(), 0xffff0000)));
  } else if constexpr (kHasF16) {
    return widen<T>(d, narrow<T>(d, v));
  } else {
    return widen_f16(d, hn::ShiftRight<16>(rounded(T(), d, v)));
  }
}
#endif

/// Elements that memory holds.
template <class T>
struct OneTensor {
  const T* x;

  template <class U>
  HWY_INLINE typename U::Value load(int64_t i) const {
    return U::load(x + i);
  }
  HWY_INLINE OneTensor from(int64_t i) const { return {x + i}; }
};

/// h = x + residual, rounded to T as where memory holds it. The sum is rounded to the arithmetic of U first, which
/// changes nothing: a type with twice the digits of T and two more keeps what the second rounding needs (B90).
template <class T>
struct SumOfTwo {
  const T* x;
  const T* residual;

  template <class U>
  HWY_INLINE typename U::Value load(int64_t i) const {
    if constexpr (std::is_same_v<U, VectorOf<T>> || std::is_same_v<U, ScalarOf<T>>) {
      return sum<U>(i);
    } else if constexpr (!kHasVectors || U::kWidth == 1 || (kIsHalf<T> && std::is_same_v<U, VectorOf<double>>)) {
      return rounded_to<T, U>(sum<U>(i));
    } else {
      return rounded_sum<U>(i);
    }
  }
  HWY_INLINE SumOfTwo from(int64_t i) const { return {x + i, residual + i}; }

 private:
  template <class U>
  HWY_INLINE typename U::Value sum(int64_t i) const {
    return U::add(U::load(x + i), U::load(residual + i));
  }
#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
  template <class U>
  HWY_INLINE typename U::Value rounded_sum(int64_t i) const {
    if constexpr (!kIsHalf<T>) {
      const hn::Rebind<T, Tag<double>> narrow;
      return hn::PromoteTo(Tag<double>(), hn::Add(hn::LoadU(narrow, x + i), hn::LoadU(narrow, residual + i)));
    } else if constexpr (std::is_same_v<U, VectorOf<float>>) {
      return rounded_to_half<T>(Tag<float>(), sum<U>(i));
    } else {
      const auto pair = sum<U>(i);
      return {rounded_to_half<T>(Tag<float>(), pair.a), rounded_to_half<T>(Tag<float>(), pair.b)};
    }
  }
#endif
};

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
