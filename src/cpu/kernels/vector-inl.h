// Included once per instruction set by foreach_target.h; the guard toggles instead of shutting.
#if defined(UNITVAR_KERNELS_VECTOR_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNITVAR_KERNELS_VECTOR_INL_H_
#undef UNITVAR_KERNELS_VECTOR_INL_H_
#else
#define UNITVAR_KERNELS_VECTOR_INL_H_
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "cpu/kernels/half-inl.h"
#include "cpu/kernels/kernels.hpp"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

using std::int64_t;

template <class A>
using Tag = hn::CappedTag<A, kLanes>;

/// Selects the first n elements of a vector; n may be less than none and more than all.
template <class A>
HWY_INLINE auto first_n(int64_t n) {
  const Tag<A> tag;
  return hn::FirstN(tag, static_cast<std::size_t>(std::clamp<int64_t>(n, 0, hn::MaxLanes(tag))));
}

/// Arithmetic in A on a vector of elements, whatever memory holds them as (T).
template <class A>
struct VectorOf {
  using Lane = A;
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
  template <class T>
  static HWY_INLINE void stream(Value v, T* p) {
    store(v, p);
  }

  static HWY_INLINE Value zero() { return hn::Zero(Tag<A>()); }
  static HWY_INLINE Value add(Value a, Value b) { return hn::Add(a, b); }
  static HWY_INLINE Value sub(Value a, Value b) { return hn::Sub(a, b); }
  static HWY_INLINE Value mul(Value a, Value b) { return hn::Mul(a, b); }
  /// The first n elements of a, and then b's.
  static HWY_INLINE Value first_of(int64_t n, Value a, Value b) { return hn::IfThenElse(first_n<A>(n), a, b); }

  /// A coefficient at column k: one value for the whole rectangle, or one per column.
  static HWY_INLINE Value at(A v, int64_t) { return hn::Set(Tag<A>(), v); }
  static HWY_INLINE Value at(const A* v, int64_t k) { return load(v + k); }
};

/// Coefficients of columns in the order in which a PairOf that does not keep the order of columns holds them.
struct Arranged {
  const float* values;
};

#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
/// Two vectors of float for a whole vector of a 16-bit T: its halves, or, if the order of columns does not matter and
/// that is faster, its even and its odd elements.
template <class T, bool kInOrder>
struct PairOf {
  using M = VectorOf<float>;
  static constexpr bool kAlternate = !kInOrder && std::is_same_v<T, bf16>;
  static constexpr int kWidth = 2 * M::kWidth;
  /// Its constructors are written out: those that the compiler makes are not of the instruction set.
  struct Value {
    M::Value a, b;

    HWY_INLINE Value() {}
    HWY_INLINE Value(M::Value first, M::Value second) : a(first), b(second) {}
  };

  static HWY_INLINE Value load(const T* p) {
    if constexpr (kAlternate) {
      return {load_alternate<0>(Tag<float>(), p), load_alternate<1>(Tag<float>(), p)};
    } else {
      return {M::load(p), M::load(p + M::kWidth)};
    }
  }
  static HWY_INLINE void store(Value v, T* p) { hn::StoreU(narrowed(v), Bits2<Tag<float>>(), &p->bits); }
  static HWY_INLINE void stream(Value v, T* p) { hn::Stream(narrowed(v), Bits2<Tag<float>>(), &p->bits); }

  static HWY_INLINE Value zero() { return {M::zero(), M::zero()}; }
  static HWY_INLINE Value add(Value v, Value w) { return {M::add(v.a, w.a), M::add(v.b, w.b)}; }
  static HWY_INLINE Value sub(Value v, Value w) { return {M::sub(v.a, w.a), M::sub(v.b, w.b)}; }
  static HWY_INLINE Value mul(Value v, Value w) { return {M::mul(v.a, w.a), M::mul(v.b, w.b)}; }
  static HWY_INLINE Value first_of(int64_t n, Value v, Value w) {
    n = std::clamp<int64_t>(n, 0, kWidth);
    const int64_t in_a = kAlternate ? (n + 1) / 2 : n, in_b = kAlternate ? n / 2 : n - M::kWidth;
    return {M::first_of(in_a, v.a, w.a), M::first_of(in_b, v.b, w.b)};
  }

  static HWY_INLINE Value at(float v, int64_t k) { return {M::at(v, k), M::at(v, k)}; }
  static HWY_INLINE Value at(const float* v, int64_t k) {
    static_assert(kInOrder);
    return {M::at(v, k), M::at(v, k + M::kWidth)};
  }
  static HWY_INLINE Value at(const Arranged& v, int64_t k) {
    static_assert(kAlternate);
    return {M::at(v.values, k), M::at(v.values, k + M::kWidth)};
  }
  /// Arranges columns [begin, end), whole vectors of T.
  static HWY_INLINE Arranged arranged(const float* from, int64_t begin, int64_t end, float* to) {
    static_assert(kAlternate);
    const Tag<float> d;
    for (int64_t k = begin; k < end; k += kWidth) {
      const auto a = M::load(from + k), b = M::load(from + k + M::kWidth);
      M::store(hn::ConcatEven(d, b, a), to + k);
      M::store(hn::ConcatOdd(d, b, a), to + k + M::kWidth);
    }
    return {to};
  }

 private:
  static HWY_INLINE auto narrowed(Value v) {
    if constexpr (kAlternate) {
      return narrow_alternate(Tag<float>(), v.a, v.b);
    } else {
      return narrow2<T>(Tag<float>(), v.a, v.b);
    }
  }
};

#endif

/// The most elements to take at once: as many as fill a vector of T. Planar ones (V is no pointer) need no order.
template <class T, class A, class V>
struct WidestOf {
  using U = VectorOf<A>;
};
#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
template <class V>
struct WidestOf<bf16, float, V> {
  using U = PairOf<bf16, std::is_pointer_v<V>>;
};
template <class V>
struct WidestOf<f16, float, V> {
  using U = PairOf<f16, std::is_pointer_v<V>>;
};
#endif
template <class T, class A, class V>
using Widest = typename WidestOf<T, A, V>::U;

/// What planar rows are summed in: as above, if sums by lanes of kLanes allow it.
template <class T, class A>
using Summed =
    std::conditional_t<std::is_same_v<T, bf16> && Widest<T, A, A>::kWidth <= kLanes, Widest<T, A, A>, VectorOf<A>>;

/// The same on one element: what is left over of a row. The same operations in the same order, so the same bits.
template <class A>
struct ScalarOf {
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
  static HWY_INLINE Value zero() { return 0; }
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

/// Channel j's.
template <class A>
HWY_INLINE Split<A> at(const Split<const A*>& values, int64_t j) {
  if constexpr (std::is_same_v<A, double>) {
    return {values.hi[j], 0};
  } else {
    return {values.hi[j], values.lo[j]};
  }
}

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
