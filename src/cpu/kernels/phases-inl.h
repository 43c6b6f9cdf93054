// The four phases, element by element: what is added up for one, and what one becomes. Included once per instruction
// set.
#if defined(UNITVAR_KERNELS_PHASES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNITVAR_KERNELS_PHASES_INL_H_
#undef UNITVAR_KERNELS_PHASES_INL_H_
#else
#define UNITVAR_KERNELS_PHASES_INL_H_
#endif

#include "cpu/kernels/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

// In all of them V is A where one channel is meant, and const A* where there is a value for each column or channel;
// channel(j) is the same for channel j alone, row(r, i) for row r alone, which begins at element i: the plain phases do
// the same in all rows. U says how many elements are taken at once: VectorOf or ScalarOf.

template <class Value>
struct Terms {
  Value first;
  Value second;
};

/// What phase 1 adds up for one element: d = x - shift and d * d.
template <class T, class A, class V>
struct MomentTerms {
  static constexpr bool kHasEpilogue = false;
  static constexpr int kTensors = 1;
  using Lane = A;
  using Sum = Summed<T, A>;
  const T* x;
  V shift;

  template <class U>
  HWY_INLINE Terms<typename U::Value> terms(int64_t i, int64_t k) const {
    const auto d = U::sub(U::load(x + i), U::at(shift, k));
    return {d, U::mul(d, d)};
  }
  HWY_INLINE void prefetch(int64_t i) const { kernels::HWY_NAMESPACE::prefetch(x + i); }
  HWY_INLINE auto channel(int64_t j) const { return MomentTerms<T, A, A>{x, shift[j]}; }
  HWY_INLINE const MomentTerms& row(int64_t, int64_t) const { return *this; }
  /// The n elements from i on, copied to where kLanes can be read.
  HWY_INLINE MomentTerms copied(int64_t i, int64_t n, T* to) const {
    std::copy_n(x + i, n, to);
    return {to, shift};
  }
};

/// What phase 3 adds up: dy and dy * (x - center).
template <class T, class A, class V>
struct GradientTerms {
  static constexpr bool kHasEpilogue = false;
  static constexpr int kTensors = 2;
  using Sum = Summed<T, A>;
  const T* x;
  const T* dy;
  V center;

  template <class U>
  HWY_INLINE Terms<typename U::Value> terms(int64_t i, int64_t k) const {
    const auto g = U::load(dy + i);
    return {g, U::mul(g, U::sub(U::load(x + i), U::at(center, k)))};
  }
  HWY_INLINE void prefetch(int64_t i) const {
    kernels::HWY_NAMESPACE::prefetch(x + i);
    kernels::HWY_NAMESPACE::prefetch(dy + i);
  }
  HWY_INLINE auto channel(int64_t j) const { return GradientTerms<T, A, A>{x, dy, center[j]}; }
  HWY_INLINE const GradientTerms& row(int64_t, int64_t) const { return *this; }
  HWY_INLINE GradientTerms copied(int64_t i, int64_t n, T* to) const {
    std::copy_n(x + i, n, to);
    std::copy_n(dy + i, n, to + kLanes);
    return {to, to + kLanes, center};
  }
};

/// (x - center) * scale + beta of element i, in column k; not x * a + b, which cancels when |mean| is large.
template <class U, class T, class V>
HWY_INLINE typename U::Value normalized(const T* x, const NormalizeCoefficients<V>& c, int64_t i, int64_t k) {
  const auto d = U::sub(U::load(x + i), U::at(c.center, k));
  return U::add(U::mul(d, U::at(c.scale, k)), U::at(c.beta, k));
}

/// Phase 2.
template <class T, class A, class V>
struct NormalizeMap {
  static constexpr bool kHasEpilogue = false;
  using Vector = Widest<T, A, V>;
  const T* x;
  T* out;
  NormalizeCoefficients<V> c;

  template <class U>
  HWY_INLINE typename U::Value value(int64_t i, int64_t k) const {
    return normalized<U>(x, c, i, k);
  }
  HWY_INLINE void prefetch(int64_t i) const { kernels::HWY_NAMESPACE::prefetch(x + i); }
  HWY_INLINE auto channel(int64_t j) const {
    return NormalizeMap<T, A, A>{x, out, {c.center[j], c.scale[j], c.beta[j]}};
  }
  template <class Arrange>
  HWY_INLINE auto arranged(const Arrange& to) const {
    return NormalizeMap<T, A, Arranged>{x, out, {to(c.center), to(c.scale), to(c.beta)}};
  }
  HWY_INLINE const NormalizeMap& row(int64_t, int64_t) const { return *this; }
};

/// Phase 4: ((dy - level) - (x - center) * slope) * scale. In float, level.hi alone would be off by 6e-8 of a mean_dy
/// that may be a million standard deviations; the first difference is exact where that matters, so subtracting lo
/// repairs it.
template <class T, class A, class V>
struct InputGradientMap {
  static constexpr bool kHasEpilogue = false;
  using Vector = Widest<T, A, V>;
  const T* x;
  const T* dy;
  T* out;
  GradientCoefficients<V> c;

  template <class U>
  HWY_INLINE typename U::Value value(int64_t i, int64_t k) const {
    const auto along = U::mul(U::sub(U::load(x + i), U::at(c.center, k)), U::at(c.slope, k));
    auto g = U::sub(U::load(dy + i), U::at(c.level.hi, k));
    if constexpr (!std::is_same_v<A, double>) g = U::sub(g, U::at(c.level.lo, k));
    return U::mul(U::sub(g, along), U::at(c.scale, k));
  }
  HWY_INLINE void prefetch(int64_t i) const {
    kernels::HWY_NAMESPACE::prefetch(x + i);
    kernels::HWY_NAMESPACE::prefetch(dy + i);
  }
  HWY_INLINE auto channel(int64_t j) const {
    return InputGradientMap<T, A, A>{x, dy, out, {c.center[j], at<A>(c.level, j), c.slope[j], c.scale[j]}};
  }
  template <class Arrange>
  HWY_INLINE auto arranged(const Arrange& to) const {
    return InputGradientMap<T, A, Arranged>{
        x, dy, out, {to(c.center), {to(c.level.hi), to(c.level.lo)}, to(c.slope), to(c.scale)}};
  }
  HWY_INLINE const InputGradientMap& row(int64_t, int64_t) const { return *this; }
};

/// In place of terms to add up, or of a map to write.
struct Nothing {
  using Lane = double;
  using Sum = VectorOf<Lane>;  // of which there is none
  HWY_INLINE Nothing channel(int64_t) const { return {}; }
  HWY_INLINE Nothing row(int64_t, int64_t) const { return {}; }
};
template <class Side>
constexpr bool kIsNothing = std::is_same_v<Side, Nothing>;

/// Calls f(0) .. f(n - 1), each with its number as a compile-time constant. Compilers keep an array of vectors in
/// memory if an index is no constant, or if a large one is copied as a whole.
template <int n, int k = 0, class F>
HWY_INLINE void unrolled(const F& f) {
  if constexpr (k < n) {
    f(std::integral_constant<int, k>());
    unrolled<n, k + 1>(f);
  }
}

/// Sums in double, one for each element of a U.
template <class U>
struct Wide {
  using A = typename U::Lane;
  using D = VectorOf<double>;
  static constexpr int kVectors = U::kWidth / D::kWidth;
  D::Value v[kVectors];

  HWY_INLINE Wide() {}  // the compiler's own would lack the instruction set, and Arm's vectors have constructors
  HWY_INLINE Wide(const Wide& from) { *this = from; }
  HWY_INLINE Wide& operator=(const Wide& from) {
    unrolled<kVectors>([&](auto j) HWY_ATTR { v[j] = from.v[j]; });
    return *this;
  }
  HWY_INLINE void clear() {
    unrolled<kVectors>([&](auto j) HWY_ATTR { v[j] = D::zero(); });
  }
  HWY_INLINE void load(const double* p) {
    unrolled<kVectors>([&](auto j) HWY_ATTR { v[j] = D::load(p + j * D::kWidth); });
  }
  HWY_INLINE void store(double* p) const {
    unrolled<kVectors>([&](auto j) HWY_ATTR { D::store(v[j], p + j * D::kWidth); });
  }
  HWY_INLINE void add(typename U::Value terms) {
    if constexpr (std::is_same_v<A, double>) {
      v[0] = D::add(v[0], terms);
    } else {
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
      A narrow[U::kWidth];
      U::store(terms, narrow);
      for (int j = 0; j < kVectors; ++j) v[j] = D::add(v[j], D::load(narrow + j * D::kWidth));
#else
      const hn::Half<Tag<A>> half;
      v[0] = D::add(v[0], hn::PromoteTo(Tag<double>(), hn::LowerHalf(half, terms)));
      v[1] = D::add(v[1], hn::PromoteTo(Tag<double>(), hn::UpperHalf(half, terms)));
#endif
    }
  }
};

#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
/// Even and odd elements are added apart.
template <class T>
struct Wide<PairOf<T, false>> {
  using U = PairOf<T, false>;
  Wide<VectorOf<float>> even, odd;

  HWY_INLINE Wide() {}
  HWY_INLINE Wide(const Wide& from) { *this = from; }
  HWY_INLINE Wide& operator=(const Wide& from) {
    even = from.even;
    odd = from.odd;
    return *this;
  }
  HWY_INLINE void clear() {
    even.clear();
    odd.clear();
  }
  HWY_INLINE void add(typename U::Value terms) {
    static_assert(U::kAlternate, "the two vectors of other pairs are halves, not even and odd elements");
    even.add(terms.a);
    odd.add(terms.b);
  }
};
#endif

/// The terms at i, i + step, ... i + (n - 1) * step, added as a binary tree in A: what is added to the sums in double.
/// If kDown, these are column k of row r and of those below it.
template <class U, int n, bool kDown = false, class Source>
HWY_INLINE Terms<typename U::Value> tree(const Source& source, int64_t i, int64_t step, int64_t k, int64_t r = 0) {
  if constexpr (n > 1) {
    const auto a = tree<U, n / 2, kDown>(source, i, step, k, r);
    const auto b = tree<U, n / 2, kDown>(source, i + n / 2 * step, step, k, r + n / 2);
    return {U::add(a.first, b.first), U::add(a.second, b.second)};
  } else if constexpr (kDown) {
    return source.row(r, i - k).template terms<U>(i, k);
  } else {
    return source.template terms<U>(i, k);
  }
}

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
