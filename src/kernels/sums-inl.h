// Phases 1 and 3: sums over a rectangle. Included once per instruction set.
#if defined(UNITVAR_KERNELS_SUMS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNITVAR_KERNELS_SUMS_INL_H_
#undef UNITVAR_KERNELS_SUMS_INL_H_
#else
#define UNITVAR_KERNELS_SUMS_INL_H_
#endif

#include "kernels/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

template <class Value>
struct Terms {
  Value first;
  Value second;
};

/// What phase 1 adds up for one element: d = x - shift and d * d.
template <class T, class A, class V>
struct MomentTerms {
  using Element = T;
  const T* x;
  V shift;

  template <class U>
  HWY_INLINE Terms<typename U::Value> terms(int64_t i, int64_t k) const {
    const auto d = U::sub(U::load(x + i), U::at(shift, k));
    return {d, U::mul(d, d)};
  }
  HWY_INLINE void prefetch(int64_t i) const { kernels::HWY_NAMESPACE::prefetch(x + i); }
};

/// What phase 3 adds up: dy and dy * (x - center).
template <class T, class A, class V>
struct GradientTerms {
  using Element = T;
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
};

/// Sums in double, one for each element of a vector of A.
template <class A>
struct Wide {
  using D = Many<double>;
  using Narrow = typename Many<A>::Value;
  static constexpr int kVectors = Many<A>::kWidth / D::kWidth;
  D::Value v[kVectors];

  HWY_INLINE Wide() {}  // the compiler's own would lack the instruction set, and Arm's vectors have constructors
  HWY_INLINE void clear() {
    for (auto& sum : v) sum = hn::Zero(Tag<double>());
  }
  HWY_INLINE void load(const double* p) {
    for (int j = 0; j < kVectors; ++j) v[j] = D::load(p + j * D::kWidth);
  }
  HWY_INLINE void store(double* p) const {
    for (int j = 0; j < kVectors; ++j) D::store(v[j], p + j * D::kWidth);
  }
  HWY_INLINE void add(Narrow terms) {
    if constexpr (std::is_same_v<A, double>) {
      v[0] = D::add(v[0], terms);
    } else {
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
      A narrow[Many<A>::kWidth];
      Many<A>::store(terms, narrow);
      for (int j = 0; j < kVectors; ++j) v[j] = D::add(v[j], D::load(narrow + j * D::kWidth));
#else
      const hn::Half<Tag<A>> half;
      v[0] = D::add(v[0], hn::PromoteTo(Tag<double>(), hn::LowerHalf(half, terms)));
      v[1] = D::add(v[1], hn::PromoteTo(Tag<double>(), hn::UpperHalf(half, terms)));
#endif
    }
  }
};

/// The first terms are added one by one in double: an error in the mean would come back in dgamma times sqrt(N) if dy
/// has a mean of its own. Of the second ones this many are added in A, as a tree, before their sum is added in double;
/// in float, 8 leave an error of 3 roundings, and the conversion is paid once for 8.
template <class A>
constexpr int kDepth = std::is_same_v<A, double> ? 4 : 8;

/// In 16 bits, numbers have so few digits that a float holds the sum of a few to the last one, as a rule: there the
/// first terms are added as a tree, too.
template <class Source>
constexpr bool kFirstAsTree = kIsHalf<typename Source::Element>;

/// The terms at i, i + step, ... i + (n - 1) * step, added as two binary trees; the first ones to `first` one by one
/// unless they are to be a tree.
template <class U, int n, class Source, class Sum>
HWY_INLINE Terms<typename U::Value> tree(const Source& source, int64_t i, int64_t step, int64_t k, Sum& first) {
  if constexpr (n == 1) {
    const auto term = source.template terms<U>(i, k);
    if constexpr (!kFirstAsTree<Source>) first.add(term.first);
    return term;
  } else {
    const auto a = tree<U, n / 2>(source, i, step, k, first);
    const auto b = tree<U, n / 2>(source, i + n / 2 * step, step, k, first);
    return {U::add(a.first, b.first), U::add(a.second, b.second)};
  }
}

/// A tree of terms, added to the two sums.
template <class U, int n, class Source, class Sum>
HWY_INLINE void add_tree(const Source& source, int64_t i, int64_t step, int64_t k, Sum& first, Sum& second) {
  const auto terms = tree<U, n>(source, i, step, k, first);
  if constexpr (kFirstAsTree<Source>) first.add(terms.first);
  second.add(terms.second);
}

/// Elements in a cache line.
template <class Source>
constexpr int64_t kLine = 64 / sizeof(typename Source::Element);

/// The same for a single element.
struct WideOne {
  double v;
  template <class A>
  HWY_INLINE void add(A term) {
    v += static_cast<double>(term);
  }
};

/// kLanes partial sums. If alternate, the vectors of a pair hold every second element each.
template <class A, bool kAlternate>
struct Lanes {
  static constexpr int kWidth = Many<A>::kWidth, kParts = kLanes / kWidth;
  Wide<A> parts[kParts];

  HWY_INLINE Lanes() {
    for (auto& part : parts) part.clear();
  }
  static constexpr int lane_of(int k) {
    return kAlternate ? k / (2 * kWidth) * (2 * kWidth) + k % kWidth * 2 + k / kWidth % 2 : k;
  }
  /// All lanes and the `rest`, folded in halves: a fixed tree.
  HWY_INLINE double fold(const double* rest) const {
    double stored[kLanes], lanes[kLanes];
    for (int p = 0; p < kParts; ++p) parts[p].store(stored + p * kWidth);
    for (int k = 0; k < kLanes; ++k) lanes[lane_of(k)] = stored[k] + rest[lane_of(k)];
    for (int width = kLanes / 2; width > 0; width /= 2) {
      for (int k = 0; k < width; ++k) lanes[k] += lanes[k + width];
    }
    return lanes[0];
  }
};

template <class Source, class A>
constexpr bool kAlternates = kHasVectors&& std::is_same_v<typename Source::Element, bf16>&& std::is_same_v<A, float> &&
                             2 * Many<A>::kWidth <= kLanes;

/// n groups of kLanes from element i on.
template <class A, int n, class Source, class Sums>
HWY_INLINE void add_groups(const Source& source, int64_t i, Sums& first, Sums& second) {
  constexpr int kWidth = Many<A>::kWidth;
  for (int p = 0; p < Sums::kParts; ++p) {
    if constexpr (kAlternates<Source, A>) {
      const int64_t pair = i + p * kWidth;
      add_tree<Alternate<A, 0>, n>(source, pair, kLanes, 0, first.parts[p], second.parts[p]);
      ++p;
      add_tree<Alternate<A, 1>, n>(source, pair, kLanes, 0, first.parts[p], second.parts[p]);
    } else {
      add_tree<Many<A>, n>(source, i + p * kWidth, kLanes, 0, first.parts[p], second.parts[p]);
    }
  }
}

/// Planar, one row from column k on: element k belongs to lane k % kLanes. n groups of kLanes are taken as a tree while
/// there are so many, then half as many, and so on. Returns the first column left over, less than a group from the end.
template <class A, int n, class Source, class Sums>
HWY_INLINE int64_t add_row(const Source& source, int64_t row, int64_t k, int64_t cols, Sums& first, Sums& second) {
  for (; k + n * kLanes <= cols; k += n * kLanes) {
    for (int64_t line = 0; line < n * kLanes; line += kLine<Source>) {
      source.prefetch(row + k + line + kNear / 64 * kLine<Source>);
    }
    add_groups<A, n>(source, row + k, first, second);
  }
  if constexpr (n > 1) {
    return add_row<A, n / 2>(source, row, k, cols, first, second);
  } else {
    return k;
  }
}

template <class A, class Source>
HWY_INLINE SumPair planar_sums(const Source& source, Rect rect) {
  Lanes<A, kAlternates<Source, A>> first, second;
  double rest_first[kLanes] = {}, rest_second[kLanes] = {};
  for (int64_t r = 0; r < rect.rows; ++r) {
    const int64_t row = r * rect.stride;
    int64_t k = add_row<A, kDepth<A>>(source, row, 0, rect.cols, first, second);
    for (int lane = 0; k < rect.cols; ++k, ++lane) {
      const auto term = source.template terms<One<A>>(row + k, 0);
      rest_first[lane] += static_cast<double>(term.first);
      rest_second[lane] += static_cast<double>(term.second);
    }
  }
  return {first.fold(rest_first), second.fold(rest_second)};
}

/// Interleaved: n rows at a time, so that a column's two sums are loaded and stored once for all of them. Each row is a
/// stream too short for the hardware to see coming, so the next n are prefetched by hand.
template <class A, int n, class Source>
HWY_INLINE void add_rows(const Source& source, int64_t row, Rect rect, double* first, double* second) {
  constexpr int64_t kWidth = Many<A>::kWidth;
  int64_t k = 0;
  for (; k + kWidth <= rect.cols; k += kWidth) {
    if (k % kLine<Source> == 0) {
      for (int r = 0; r < n; ++r) source.prefetch(row + (n + r) * rect.stride + k);
    }
    Wide<A> a, b;
    a.load(first + k);
    b.load(second + k);
    add_tree<Many<A>, n>(source, row + k, rect.stride, k, a, b);
    a.store(first + k);
    b.store(second + k);
  }
  for (; k < rect.cols; ++k) {
    WideOne a{first[k]}, b{second[k]};
    add_tree<One<A>, n>(source, row + k, rect.stride, k, a, b);
    first[k] = a.v;
    second[k] = b.v;
  }
}

/// Rows taken at a time: 8 were slower, being twice as many streams, but not of one tensor of 16 bits.
constexpr int kRows = 4;
template <class T>
constexpr int kMomentRows = kIsHalf<T> ? 8 : kRows;

/// From row r on: n rows at a time, then half as many, and so on.
template <class A, int n, class Source>
HWY_INLINE void interleaved_sums(const Source& source, Rect rect, double* first, double* second, int64_t r = 0) {
  for (; r + n <= rect.rows; r += n) add_rows<A, n>(source, r * rect.stride, rect, first, second);
  if constexpr (n > 1) interleaved_sums<A, n / 2>(source, rect, first, second, r);
}

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
