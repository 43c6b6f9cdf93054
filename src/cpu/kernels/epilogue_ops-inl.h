// The operations of an epilogue: an activation, an activation known by its output, or weights. Included once per
// instruction set.
#if defined(UNITVAR_KERNELS_EPILOGUE_OPS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNITVAR_KERNELS_EPILOGUE_OPS_INL_H_
#undef UNITVAR_KERNELS_EPILOGUE_OPS_INL_H_
#else
#define UNITVAR_KERNELS_EPILOGUE_OPS_INL_H_
#endif

#include "cpu/kernels/epilogue.hpp"
#include "cpu/kernels/mask-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

/// Unrolls the loops over the vectors of a step, so that the positions of their bits are compile-time constants. SSE4
/// has short vectors and is rare, so it unrolls less.
#undef UNITVAR_UNROLL
#if HWY_TARGET == HWY_SSE4
#define UNITVAR_UNROLL _Pragma("GCC unroll 2")
#else
#define UNITVAR_UNROLL _Pragma("GCC unroll 8")
#endif

/// As many elements as fill a vector of T, in the order of memory, because bits and weights are in that order.
template <class T, class A>
using InOrder = Widest<T, A, const A*>;

// An epilogue has one of three operations. It is a template parameter: a condition for each element costs as much as
// the arithmetic, even if it never changes. An operation knows the row that it is at. channel(j) and row(r, i) are as
// in the phases; step(i) is the operation on the kWord elements from i on. gradient() turns x and dy of an element into
// those that the gradients use.

// Activations whose backward needs one bit: kinks. where() gives what becomes of the elements that are blocked, or of
// their gradients. blocks() and output() say which ones, and what y is, if it is not `where v <= 0`.

/// ReLU makes 0 of -infinity, and never -0.
template <class A>
struct Relu {
  explicit HWY_INLINE Relu(double) {}
  template <class U>
  HWY_INLINE typename U::Value where(typename Masks<U>::Mask below, typename U::Value v) const {
    return Masks<U>::zero_where(below, v);
  }
};
template <class A>
struct Leaky {
  A slope;

  explicit HWY_INLINE Leaky(double of) : slope(static_cast<A>(of)) {}
  template <class U>
  HWY_INLINE typename U::Value where(typename Masks<U>::Mask below, typename U::Value v) const {
    return Masks<U>::select(below, U::mul(v, U::at(slope, 0)), v);
  }
};

/// Both. It costs a fifth of the speed of ReLU on floats in the second-level cache.
template <class A>
struct AnySlope {
  A slope, size;

  explicit HWY_INLINE AnySlope(double of) : slope(static_cast<A>(of)), size(static_cast<A>(of < 0 ? -of : of)) {}
  template <class U>
  HWY_INLINE typename U::Value where(typename Masks<U>::Mask below, typename U::Value v) const {
    const auto is_relu = Masks<U>::at_most_zero(U::at(size, 0));
    return Masks<U>::select(below, Masks<U>::zero_where(is_relu, U::mul(v, U::at(slope, 0))), v);
  }
};

/// Between two bounds. Its gradient is that of a ReLU with the same bits.
template <class A>
struct Clip {
  A low, high;

  explicit HWY_INLINE Clip(const Activation& of) : low(static_cast<A>(of.low)), high(static_cast<A>(of.high)) {}
  template <class U>
  HWY_INLINE typename Masks<U>::Mask blocks(typename U::Value v) const {
    return Masks<U>::either(Masks<U>::at_most(v, U::at(low, 0)), Masks<U>::at_most(U::at(high, 0), v));
  }
  template <class U>
  HWY_INLINE typename U::Value where(typename Masks<U>::Mask blocked, typename U::Value g) const {
    return Masks<U>::zero_where(blocked, g);
  }
  template <class U>
  HWY_INLINE typename U::Value output(typename Masks<U>::Mask, typename U::Value v) const {
    const auto lowest = U::at(low, 0), highest = U::at(high, 0);
    v = Masks<U>::select(Masks<U>::at_most(v, lowest), lowest, v);
    return Masks<U>::select(Masks<U>::at_most(highest, v), highest, v);
  }
};

template <class U, class Kink>
HWY_INLINE typename Masks<U>::Mask blocks(const Kink& kink, typename U::Value v) {
  if constexpr (requires { kink.template blocks<U>(v); }) {
    return kink.template blocks<U>(v);
  } else {
    return Masks<U>::at_most_zero(v);
  }
}
template <class U, class Kink>
HWY_INLINE typename U::Value output(const Kink& kink, typename Masks<U>::Mask blocked, typename U::Value v) {
  if constexpr (requires { kink.template output<U>(blocked, v); }) {
    return kink.template output<U>(blocked, v);
  } else {
    return kink.template where<U>(blocked, v);
  }
}

/// How far ahead bits are prefetched, in bytes.
constexpr int64_t kBitsAhead = 128;

/// The gradients of some elements behind an activation: bit k of the word is 1 where element `begin` + k was below 0.
template <class Kink>
struct ActivatedStep {
  static constexpr bool kIsActivation = true;
  std::uint64_t word;
  int64_t begin;
  Kink kink;

  template <class U>
  HWY_INLINE void gradient(typename U::Value&, typename U::Value& g, int64_t i) const {
    g = kink.template where<U>(Masks<U>::from_bits(word, i - begin), g);
  }
};

/// An activation of a row whose bits stand in memory; element `origin` has the first.
template <class Kink>
struct ActivatedRow {
  static constexpr bool kIsActivation = true;
  std::uint8_t* bits;
  int64_t origin;
  Kink kink;

  HWY_INLINE void prefetch(int64_t i) const {
    kernels::HWY_NAMESPACE::prefetch(bits + ((i - origin) >> 3) + kBitsAhead);
  }
  HWY_INLINE ActivatedStep<Kink> step(int64_t i) const {
    prefetch(i);
    return {~load_word(bits, i - origin), i, kink};
  }
  template <class U>
  HWY_INLINE void gradient(typename U::Value& x, typename U::Value& g, int64_t i) const {
    const ActivatedStep<Kink> own{~load_word(bits, i - origin), i, kink};
    own.template gradient<U>(x, g, i);
  }
};

/// The activation of a rectangle. row() makes a new object: compilers would store a copy that is changed, and load it
/// again. The load would wait for the non-temporal stores before it.
template <class Kink>
struct Activated {
  static constexpr bool kIsActivation = true;
  std::uint8_t* bits;
  int64_t bits_row, bits_channel, bits_begin;
  Kink kink;

  HWY_INLINE Activated channel(int64_t j) const {
    return {bits + j * bits_channel, bits_row, bits_channel, bits_begin, kink};
  }
  HWY_INLINE ActivatedRow<Kink> row(int64_t r, int64_t i) const { return {bits + r * bits_row, i - bits_begin, kink}; }
  /// Prefetches the beginning of the next row of bits. Stores of bits that miss the cache hold up the non-temporal
  /// stores. Where bits are not wanted there is no such row, and a prefetch of no page at all takes hundreds of cycles.
  HWY_INLINE void prefetch_below(int64_t r) const {
    if (bits == nullptr) return;
    for (int64_t k = 0; k < kBitsAhead; k += 64) {
      kernels::HWY_NAMESPACE::prefetch(bits + (r + 1) * bits_row + (bits_begin >> 3) + k);
    }
  }
};

/// A leaky ReLU whose output takes the place of x in the gradients. The sign of the output says what the bits would
/// say.
template <class T, class A>
struct ActivatedOutput {
  static constexpr bool kIsActivation = false;
  A slope, inverse;

  explicit HWY_INLINE ActivatedOutput(const Epilogue<T>& e)
      : slope(static_cast<A>(e.activation.negative_slope)), inverse(static_cast<A>(1 / e.activation.negative_slope)) {}
  HWY_INLINE const ActivatedOutput& channel(int64_t) const { return *this; }
  HWY_INLINE const ActivatedOutput& row(int64_t, int64_t) const { return *this; }
  HWY_INLINE const ActivatedOutput& step(int64_t) const { return *this; }

  template <class U>
  HWY_INLINE void gradient(typename U::Value& x, typename U::Value& g, int64_t) const {
    const auto negative = Masks<U>::at_most_zero(x);
    g = Masks<U>::select(negative, U::mul(g, U::at(slope, 0)), g);
    x = Masks<U>::select(negative, U::mul(x, U::at(inverse, 0)), x);
  }
};

/// Weights, one for each element of a row if kEach, or one for the row. What has a weight of at most `none` becomes 0:
/// where that is negative, nothing does.
template <class T, class A, bool kEach>
struct Weighted {
  static constexpr bool kIsActivation = false;
  const param_t<T>* weights;
  int64_t weights_row;
  A none;
  int64_t origin = 0;

  explicit HWY_INLINE Weighted(const Epilogue<T>& e, A at_most = 0)
      : weights(e.weights), weights_row(e.weights_row), none(at_most) {}
  HWY_INLINE const Weighted& channel(int64_t) const { return *this; }
  HWY_INLINE Weighted row(int64_t r, int64_t i) const {
    Weighted of = *this;
    of.weights += r * weights_row;
    of.origin = i;
    return of;
  }
  HWY_INLINE const Weighted& step(int64_t) const { return *this; }

  template <class U>
  HWY_INLINE typename U::Value weight(int64_t i) const {
    if constexpr (!kEach) {
      return U::at(static_cast<A>(*weights), 0);
    } else if constexpr (std::is_same_v<A, param_t<T>>) {
      return U::at(weights + (i - origin), 0);
    } else {
      return U::load(weights + (i - origin));
    }
  }
  template <class U>
  HWY_INLINE typename U::Value zero_unweighted(typename U::Value v, int64_t i) const {
    return Masks<U>::zero_where(Masks<U>::at_most(weight<U>(i), U::at(none, 0)), v);
  }
  template <class U>
  HWY_INLINE void gradient(typename U::Value& x, typename U::Value& g, int64_t i) const {
    x = zero_unweighted<U>(x, i);
    g = zero_unweighted<U>(g, i);
  }
};
template <class Op>
constexpr bool kIsWeighted = false;
template <class T, class A, bool kEach>
constexpr bool kIsWeighted<Weighted<T, A, kEach>> = true;

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
