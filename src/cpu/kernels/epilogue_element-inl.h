// What comes with the elements of an extended phase: an activation, its output, or weights. Included once per
// instruction set.
#if defined(UNITVAR_KERNELS_KINDS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNITVAR_KERNELS_KINDS_INL_H_
#undef UNITVAR_KERNELS_KINDS_INL_H_
#else
#define UNITVAR_KERNELS_KINDS_INL_H_
#endif

#include "cpu/kernels/epilogue.hpp"
#include "cpu/kernels/mask-inl.h"
#include "cpu/kernels/phases-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

/// Of the loops over a step's vectors: where their bits stand is known when they are compiled. Less where vectors are
/// short and rarely used, and many.
#undef UNITVAR_UNROLL
#if HWY_TARGET == HWY_SSE4
#define UNITVAR_UNROLL _Pragma("GCC unroll 2")
#else
#define UNITVAR_UNROLL _Pragma("GCC unroll 8")
#endif

/// In order, since bits and weights are: as many elements as fill a vector of T.
template <class T, class A>
using InOrder = Widest<T, A, const A*>;

// What is asked of each element is one of three kinds, known when a kernel is compiled: a condition for each element,
// even one that never changes, costs as much as the arithmetic. Each kind knows the row it is at: channel(j) and row(r,
// i) as phases have them; step(i) is the same for the kWord elements from i on; gradient() is what the gradients take
// for x and dy.

/// What becomes of v <= 0, and of the gradient behind it. ReLU makes 0 of -infinity, and never -0.
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

/// Both.
template <class A>
struct AnySlope {
  A slope, size;

  explicit HWY_INLINE AnySlope(double of) : slope(static_cast<A>(of)), size(static_cast<A>(of < 0 ? -of : of)) {}
  template <class U>
  HWY_INLINE typename U::Value where(typename Masks<U>::Mask below, typename U::Value v) const {
    const auto none = Masks<U>::at_most_zero(U::at(size, 0));
    return Masks<U>::select(below, Masks<U>::zero_where(none, U::mul(v, U::at(slope, 0))), v);
  }
};

/// How far ahead bits are asked for, in bytes.
constexpr int64_t kBitsAhead = 128;

/// The gradients of some elements behind an activation: bit k of the word is 1 where element `begin` + k was below 0.
template <class Slope>
struct ActivatedStep {
  std::uint64_t word;
  int64_t begin;
  Slope slope;

  template <class U>
  HWY_INLINE void gradient(typename U::Value&, typename U::Value& g, int64_t i) const {
    g = slope.template where<U>(Masks<U>::from_bits(word, i - begin), g);
  }
};

/// An activation of a row whose bits stand in memory; element `origin` has the first.
template <class Slope>
struct ActivatedRow {
  std::uint8_t* bits;
  int64_t origin;
  Slope slope;

  HWY_INLINE void prefetch(int64_t i) const {
    kernels::HWY_NAMESPACE::prefetch(bits + ((i - origin) >> 3) + kBitsAhead);
  }
  HWY_INLINE ActivatedStep<Slope> step(int64_t i) const {
    prefetch(i);
    return {~load_word(bits, i - origin), i, slope};
  }
  template <class U>
  HWY_INLINE void gradient(typename U::Value& x, typename U::Value& g, int64_t i) const {
    const ActivatedStep<Slope> own{~load_word(bits, i - origin), i, slope};
    own.template gradient<U>(x, g, i);
  }
};

/// The same of a rectangle. What a row needs is made of it afresh: a copy that is changed goes through memory, and
/// waits there for the streamed stores before it.
template <class Slope>
struct Activated {
  std::uint8_t* bits;
  int64_t bits_row, bits_channel, bits_begin;
  Slope slope;

  HWY_INLINE Activated channel(int64_t j) const {
    return {bits + j * bits_channel, bits_row, bits_channel, bits_begin, slope};
  }
  HWY_INLINE ActivatedRow<Slope> row(int64_t r, int64_t i) const {
    return {bits + r * bits_row, i - bits_begin, slope};
  }
  /// The beginning of the row below row r: bits that are not there when they are written hold up the streamed stores.
  HWY_INLINE void prefetch_below(int64_t r) const {
    for (int64_t k = 0; k < kBitsAhead; k += 64) {
      kernels::HWY_NAMESPACE::prefetch(bits + (r + 1) * bits_row + (bits_begin >> 3) + k);
    }
  }
};

/// A leaky ReLU whose output is what the gradients get for x: its sign says what the bits would.
template <class T, class A>
struct ActivatedOutput {
  A slope, inverse;

  explicit HWY_INLINE ActivatedOutput(const Epilogue<T>& e)
      : slope(static_cast<A>(e.slope)), inverse(static_cast<A>(1 / e.slope)) {}
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

/// Weights, one for each element of a row, or one for the row.
template <class T, class A>
struct Weighted {
  const param_t<T>* weights;
  int64_t weights_row, weights_step;
  int64_t origin = 0;

  explicit HWY_INLINE Weighted(const Epilogue<T>& e)
      : weights(e.weights), weights_row(e.weights_row), weights_step(e.weights_step) {}
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
    if (weights_step == 0) return U::at(static_cast<A>(*weights), 0);
    if constexpr (std::is_same_v<A, param_t<T>>) {
      return U::at(weights + (i - origin), 0);
    } else {
      return U::load(weights + (i - origin));
    }
  }
  template <class U>
  HWY_INLINE typename U::Value zero_unweighted(typename U::Value v, int64_t i) const {
    return Masks<U>::zero_where(Masks<U>::at_most_zero(weight<U>(i)), v);
  }
  template <class U>
  HWY_INLINE void gradient(typename U::Value& x, typename U::Value& g, int64_t i) const {
    x = zero_unweighted<U>(x, i);
    g = zero_unweighted<U>(g, i);
  }
};

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
