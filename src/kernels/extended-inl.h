// The phases with extras, element by element, and linear maps of up to three tensors. Included once per instruction
// set.
#if defined(UNITVAR_KERNELS_EXTENDED_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNITVAR_KERNELS_EXTENDED_INL_H_
#undef UNITVAR_KERNELS_EXTENDED_INL_H_
#else
#define UNITVAR_KERNELS_EXTENDED_INL_H_
#endif

#include "kernels/extended.hpp"
#include "kernels/mask-inl.h"
#include "kernels/phases-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

/// The extras at one row of one channel, or at one row of all.
template <class T, class A>
struct RowExtras {
  Extras<T> all;  // a copy: nothing that is written can change it
  std::uint8_t* bits;
  const param_t<T>* weights;
  int64_t begin;  ///< the row's first element

  explicit HWY_INLINE RowExtras(const Extras<T>& extras)
      : all(extras), bits(extras.bits), weights(extras.weights), begin(0) {}
  HWY_INLINE RowExtras channel(int64_t j) const {
    RowExtras of = *this;
    of.bits += j * all.bits_channel;
    return of;
  }
  HWY_INLINE RowExtras row(int64_t r, int64_t i) const {
    RowExtras of = *this;
    of.bits += r * all.bits_row;
    of.weights += r * all.weights_row;
    of.begin = i;
    return of;
  }

  [[nodiscard]] HWY_INLINE int64_t bit(int64_t i) const { return i - begin + all.bits_begin; }
  template <class U>
  HWY_INLINE typename U::Value weight(int64_t i) const {
    if (all.weights_step == 0) return U::at(static_cast<A>(*weights), 0);
    if constexpr (std::is_same_v<A, param_t<T>>) {
      return U::at(weights + (i - begin), 0);
    } else {
      return U::load(weights + (i - begin));
    }
  }
  template <class U>
  HWY_INLINE typename U::Value zero_unweighted(typename U::Value v, int64_t i) const {
    return Masks<U>::zero_where(Masks<U>::at_most_zero(weight<U>(i)), v);
  }

  /// v > 0 ? v : slope * v. ReLU makes 0 of -infinity, and both leave NaN.
  template <class U>
  HWY_INLINE typename U::Value activated(typename Masks<U>::Mask negative, typename U::Value v) const {
    using M = Masks<U>;
    if (all.slope == 0) return M::zero_where(negative, v);
    return M::select(negative, U::mul(v, U::at(static_cast<A>(all.slope), 0)), v);
  }

  /// What the gradients take for x and dy: both from behind the activation, from elements that have a weight.
  template <class U>
  HWY_INLINE void undo(typename U::Value& x, typename U::Value& g, int64_t i) const {
    using M = Masks<U>;
    if (all.x_is_output) {
      const auto negative = M::at_most_zero(x);
      g = activated<U>(negative, g);
      x = M::select(negative, U::mul(x, U::at(static_cast<A>(1 / all.slope), 0)), x);
    } else if (all.activates) {
      g = passed<U>(M::from_bits(load_bits(bits, bit(i))), g);
    }
    if (all.weights != nullptr) {
      x = zero_unweighted<U>(x, i);
      g = zero_unweighted<U>(g, i);
    }
  }

 private:
  template <class U>
  HWY_INLINE typename U::Value passed(typename Masks<U>::Mask positive, typename U::Value g) const {
    return Masks<U>::select(positive, g, all.slope == 0 ? U::zero() : U::mul(g, U::at(static_cast<A>(all.slope), 0)));
  }
};

/// In order, since bits and weights are: as many elements as fill a vector of T.
template <class T, class A>
using InOrder = Widest<T, A, const A*>;

/// Phase 1 with weights: w * d and w * d * d, nothing of what has no weight.
template <class T, class A, class V>
struct WeightedMomentTerms {
  static constexpr bool kExtended = true;
  static constexpr int kTensors = 1;
  using Sum = Many<A>;
  const T* x;
  V shift;
  RowExtras<T, A> extras;

  template <class U>
  HWY_INLINE Terms<typename U::Value> terms(int64_t i, int64_t k) const {
    const auto d = extras.template zero_unweighted<U>(U::sub(U::load(x + i), U::at(shift, k)), i);
    const auto wd = U::mul(extras.template weight<U>(i), d);
    return {wd, U::mul(wd, d)};
  }
  HWY_INLINE void prefetch(int64_t i) const { kernels::HWY_NAMESPACE::prefetch(x + i); }
  HWY_INLINE auto channel(int64_t j) const { return WeightedMomentTerms<T, A, A>{x, shift[j], extras.channel(j)}; }
  HWY_INLINE auto row(int64_t r, int64_t i) const { return WeightedMomentTerms{x, shift, extras.row(r, i)}; }
};

/// Phase 3 behind an activation, or with weights.
template <class T, class A, class V>
struct ExtendedGradientTerms {
  static constexpr bool kExtended = true;
  static constexpr int kTensors = 2;
  using Sum = Many<A>;
  const T* x;
  const T* dy;
  V center;
  RowExtras<T, A> extras;

  template <class U>
  HWY_INLINE Terms<typename U::Value> terms(int64_t i, int64_t k) const {
    auto value = U::load(x + i), g = U::load(dy + i);
    extras.template undo<U>(value, g, i);
    return {g, U::mul(g, U::sub(value, U::at(center, k)))};
  }
  HWY_INLINE void prefetch(int64_t i) const {
    kernels::HWY_NAMESPACE::prefetch(x + i);
    kernels::HWY_NAMESPACE::prefetch(dy + i);
  }
  HWY_INLINE auto channel(int64_t j) const {
    return ExtendedGradientTerms<T, A, A>{x, dy, center[j], extras.channel(j)};
  }
  HWY_INLINE auto row(int64_t r, int64_t i) const { return ExtendedGradientTerms{x, dy, center, extras.row(r, i)}; }
};

/// Elements that are written together, and what else comes with them.
template <class U>
struct WithBits {
  typename U::Value value;
  std::uint64_t bits;
};
template <class U>
struct WithSide {
  typename U::Value value, side;
};

/// Phase 2, then the residual, the activation and its bits.
template <class T, class A, class V>
struct ExtendedNormalizeMap {
  static constexpr bool kExtended = true;
  using Vector = InOrder<T, A>;
  const T* x;
  T* out;
  NormalizeCoefficients<V> c;
  RowExtras<T, A> extras;

  template <class U>
  HWY_INLINE WithBits<U> value(int64_t i, int64_t k) const {
    const Extras<T>& all = extras.all;
    const auto d = U::sub(U::load(x + i), U::at(c.center, k));
    auto v = U::add(U::mul(d, U::at(c.scale, k)), U::at(c.beta, k));
    if (all.residual != nullptr) v = U::add(v, U::load(all.residual + i));
    std::uint64_t negative_bits = 0;
    if (all.activates) {
      const auto negative = Masks<U>::at_most_zero(v);
      v = extras.template activated<U>(negative, v);
      if (all.bits != nullptr) negative_bits = Masks<U>::bits(negative);
    }
    if (all.zero_unweighted) v = extras.template zero_unweighted<U>(v, i);
    return {v, ~negative_bits};
  }
  template <bool kStream, class U>
  HWY_INLINE void write(const WithBits<U>& of, int64_t i) const {
    put<kStream, U>(of.value, out + i);
    write_bits(of.bits, i, 0, U::kWidth);
  }
  /// The vector whose first n elements are the last of `before`.
  template <class U>
  static HWY_INLINE void seam(const ExtendedNormalizeMap& before, const ExtendedNormalizeMap& after, int64_t i,
                              int64_t n) {
    const auto first = before.template value<U>(i, 0), second = after.template value<U>(i, 0);
    const int64_t in_first = std::clamp<int64_t>(n, 0, U::kWidth);
    U::stream(U::first_of(in_first, first.value, second.value), after.out + i);
    before.write_bits(first.bits, i, 0, in_first);
    after.write_bits(second.bits, i, in_first, U::kWidth);
  }
  HWY_INLINE void prefetch(int64_t i) const { kernels::HWY_NAMESPACE::prefetch(x + i); }
  HWY_INLINE auto channel(int64_t j) const {
    return ExtendedNormalizeMap<T, A, A>{x, out, {c.center[j], c.scale[j], c.beta[j]}, extras.channel(j)};
  }
  HWY_INLINE auto row(int64_t r, int64_t i) const { return ExtendedNormalizeMap{x, out, c, extras.row(r, i)}; }

 private:
  HWY_INLINE void write_bits(std::uint64_t bits, int64_t i, int64_t from, int64_t to) const {
    if (extras.all.bits == nullptr || from >= to) return;
    store_bits(extras.bits, extras.bit(i + from), to - from, bits >> from);
  }
};

/// Phase 4 behind an activation, or with weights: ((g - w * level) - w * (x - center) * slope) * scale, and g.
template <class T, class A, class V>
struct ExtendedInputGradientMap {
  static constexpr bool kExtended = true;
  using Vector = InOrder<T, A>;
  const T* x;
  const T* dy;
  T* out;
  GradientCoefficients<V> c;
  RowExtras<T, A> extras;

  template <class U>
  HWY_INLINE WithSide<U> value(int64_t i, int64_t k) const {
    auto value = U::load(x + i), side = U::load(dy + i);
    extras.template undo<U>(value, side, i);
    auto along = U::mul(U::sub(value, U::at(c.center, k)), U::at(c.slope, k));
    auto g = side;
    if (extras.all.weights == nullptr) {
      g = U::sub(g, U::at(c.level.hi, k));
      if constexpr (!std::is_same_v<A, double>) g = U::sub(g, U::at(c.level.lo, k));
    } else {
      const auto w = extras.template weight<U>(i);
      along = U::mul(along, w);
      g = U::sub(g, U::mul(w, U::at(c.level.hi, k)));
      if constexpr (!std::is_same_v<A, double>) g = U::sub(g, U::mul(w, U::at(c.level.lo, k)));
    }
    const auto dx = U::mul(U::sub(g, along), U::at(c.scale, k));
    return {extras.all.weights == nullptr ? dx : extras.template zero_unweighted<U>(dx, i), side};
  }
  /// The residual's gradient is streamed where it lies in memory as dx does.
  template <bool kStream, class U>
  HWY_INLINE void write(const WithSide<U>& of, int64_t i) const {
    put<kStream, U>(of.value, out + i);
    T* to = extras.all.dresidual;
    if (to == nullptr) return;
    if (kStream && to_next_line(to) == to_next_line(out)) {
      put<kStream, U>(of.side, to + i);
    } else {
      U::store(of.side, to + i);
    }
  }
  template <class U>
  static HWY_INLINE void seam(const ExtendedInputGradientMap& before, const ExtendedInputGradientMap& after, int64_t i,
                              int64_t n) {
    const auto first = before.template value<U>(i, 0), second = after.template value<U>(i, 0);
    after.template write<true, U>({U::first_of(n, first.value, second.value), U::first_of(n, first.side, second.side)},
                                  i);
  }
  HWY_INLINE void prefetch(int64_t i) const {
    kernels::HWY_NAMESPACE::prefetch(x + i);
    kernels::HWY_NAMESPACE::prefetch(dy + i);
  }
  HWY_INLINE auto channel(int64_t j) const {
    return ExtendedInputGradientMap<T, A, A>{
        x, dy, out, {c.center[j], at<A>(c.level, j), c.slope[j], c.scale[j]}, extras.channel(j)};
  }
  HWY_INLINE auto row(int64_t r, int64_t i) const { return ExtendedInputGradientMap{x, dy, out, c, extras.row(r, i)}; }
};

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
