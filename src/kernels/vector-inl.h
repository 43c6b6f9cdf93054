// Included once per instruction set by foreach_target.h; the guard toggles instead of shutting.
#if defined(UNITVAR_KERNELS_VECTOR_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNITVAR_KERNELS_VECTOR_INL_H_
#undef UNITVAR_KERNELS_VECTOR_INL_H_
#else
#define UNITVAR_KERNELS_VECTOR_INL_H_
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <cstdint>
#include <type_traits>

#include "kernels/half-inl.h"
#include "kernels/kernels.hpp"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

using std::int64_t;

template <class A>
using Tag = hn::CappedTag<A, kLanes>;

/// Arithmetic in A on a vector of elements, whatever memory holds them as (T).
template <class A>
struct Many {
  using Value = hn::Vec<Tag<A>>;
  static constexpr int kWidth = static_cast<int>(hn::MaxLanes(Tag<A>()));

  static HWY_INLINE Value load(const A* p) { return hn::LoadU(Tag<A>(), p); }
  template <class T>
  static HWY_INLINE Value load(const T* p) {
    if constexpr (kIsHalf<T>) {
      return load_half(Tag<A>(), p);
    } else {
      return hn::PromoteTo(Tag<A>(), hn::LoadU(hn::Rebind<T, Tag<A>>(), p));
    }
  }
  static HWY_INLINE void store(Value v, A* p) { hn::StoreU(v, Tag<A>(), p); }
  template <class T>
  static HWY_INLINE void store(Value v, T* p) {
#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
    if constexpr (!kIsHalf<T>) {
      const hn::Rebind<T, Tag<A>> narrow;
      hn::StoreU(hn::DemoteTo(narrow, v), narrow, p);
      return;
    } else if constexpr (std::is_same_v<A, float>) {
      store_half(Tag<A>(), v, p);
      return;
    }
#endif
    // Doubles become 16 bits, rarely, and Highway's portable DemoteTo turns infinities into the largest float.
    A lanes[kWidth];
    store(v, lanes);
    for (int k = 0; k < kWidth; ++k) p[k] = static_cast<T>(lanes[k]);
  }
  /// Past the caches; p is aligned to the vector.
  static HWY_INLINE void stream(Value v, A* p) { hn::Stream(v, Tag<A>(), p); }

  /// Vectors that are stored together, where one alone fills only half a vector of T: `store2` and `stream2`.
  template <class T>
  static constexpr int kTogether = kIsHalf<T> && std::is_same_v<A, float> && kHasVectors ? 2 : 1;
  template <class T>
  static HWY_INLINE void store2(Value v0, Value v1, T* p) {
    hn::StoreU(narrow2<T>(Tag<A>(), v0, v1), Bits2<Tag<A>>(), &p->bits);
  }
  template <class T>
  static HWY_INLINE void stream2(Value v0, Value v1, T* p) {
    hn::Stream(narrow2<T>(Tag<A>(), v0, v1), Bits2<Tag<A>>(), &p->bits);
  }

  static HWY_INLINE Value add(Value a, Value b) { return hn::Add(a, b); }
  static HWY_INLINE Value sub(Value a, Value b) { return hn::Sub(a, b); }
  static HWY_INLINE Value mul(Value a, Value b) { return hn::Mul(a, b); }

  /// A coefficient at column k: one value for the whole rectangle, or one per column.
  static HWY_INLINE Value at(A v, int64_t) { return hn::Set(Tag<A>(), v); }
  static HWY_INLINE Value at(const A* v, int64_t k) { return load(v + k); }
};

/// The same on one element: what is left over of a row. The same operations in the same order, so the same bits.
template <class A>
struct One {
  using Value = A;
  static constexpr int kWidth = 1;

  template <class T>
  static HWY_INLINE Value load(const T* p) {
    return static_cast<A>(*p);
  }
  template <class T>
  static HWY_INLINE void store(Value v, T* p) {
    *p = static_cast<T>(v);
  }
  static HWY_INLINE Value add(Value a, Value b) { return a + b; }
  static HWY_INLINE Value sub(Value a, Value b) { return a - b; }
  static HWY_INLINE Value mul(Value a, Value b) { return a * b; }
  static HWY_INLINE Value at(A v, int64_t) { return v; }
  static HWY_INLINE Value at(const A* v, int64_t k) { return v[k]; }
};

/// Into the second-level cache: what is asked for far ahead would be pushed out of the first again.
template <class T>
HWY_INLINE void prefetch(const T* p) {
  __builtin_prefetch(p, 0, 2);
}

/// value - center. In float, hi alone would be off by 6e-8 of a mean that may be a million standard deviations; the
/// first difference is exact where that matters, so subtracting lo repairs it.
template <class U, class A, class V>
HWY_INLINE typename U::Value centered(typename U::Value value, const Split<V>& center, int64_t k) {
  const typename U::Value d = U::sub(value, U::at(center.hi, k));
  if constexpr (std::is_same_v<A, double>) {
    return d;
  } else {
    return U::sub(d, U::at(center.lo, k));
  }
}

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
