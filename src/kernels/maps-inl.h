// Phases 2 and 4: element by element over a rectangle. Included once per instruction set.
#if defined(UNITVAR_KERNELS_MAPS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNITVAR_KERNELS_MAPS_INL_H_
#undef UNITVAR_KERNELS_MAPS_INL_H_
#else
#define UNITVAR_KERNELS_MAPS_INL_H_
#endif

#include <algorithm>

#include "kernels/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

/// (x - mean) * scale + beta, not x * a + b: the second form cancels when |mean| is large.
template <class T, class A, class V>
struct NormalizeMap {
  const T* x;
  T* out;
  NormalizeCoefficients<V> c;

  template <class U>
  HWY_INLINE typename U::Value value(int64_t i, int64_t k) const {
    const auto d = centered<U, A>(U::load(x + i), c.mean, k);
    return U::add(U::mul(d, U::at(c.scale, k)), U::at(c.beta, k));
  }
  HWY_INLINE void prefetch(int64_t i) const { kernels::HWY_NAMESPACE::prefetch(x + i); }
};

template <class T, class A, class V>
struct InputGradientMap {
  const T* x;
  const T* dy;
  T* out;
  GradientCoefficients<V> c;

  template <class U>
  HWY_INLINE typename U::Value value(int64_t i, int64_t k) const {
    const auto along = U::mul(centered<U, A>(U::load(x + i), c.mean, k), U::at(c.slope, k));
    const auto g = centered<U, A>(U::load(dy + i), c.mean_dy, k);
    return U::mul(U::sub(g, along), U::at(c.scale, k));
  }
  HWY_INLINE void prefetch(int64_t i) const {
    kernels::HWY_NAMESPACE::prefetch(x + i);
    kernels::HWY_NAMESPACE::prefetch(dy + i);
  }
};

/// The elements from row + k on that fill a vector of A, or one of T if that takes more.
template <class T, class A, bool kStream, class Map>
HWY_INLINE void map_vector(const Map& map, int64_t row, int64_t k) {
  using U = Many<A>;
  const auto v0 = map.template value<U>(row + k, k);
  T* const out = map.out + row + k;
  if constexpr (U::template kTogether<T> == 2) {
    const auto v1 = map.template value<U>(row + k + U::kWidth, k + U::kWidth);
    kStream ? U::stream2(v0, v1, out) : U::store2(v0, v1, out);
  } else if constexpr (kStream && std::is_same_v<T, A>) {
    U::stream(v0, out);
  } else {
    U::store(v0, out);
  }
}

/// Columns [begin, end) of the row that starts at element `row`.
template <class T, class A, class Map>
HWY_INLINE void map_columns(const Map& map, int64_t row, int64_t begin, int64_t end) {
  constexpr int64_t kWidth = Many<A>::kWidth, kStep = kWidth * Many<A>::template kTogether<T>;
  int64_t k = begin;
  for (; k + kStep <= end; k += kStep) map_vector<T, A, false>(map, row, k);
  for (; k + kWidth <= end; k += kWidth) {
    Many<A>::store(map.template value<Many<A>>(row + k, k), map.out + row + k);
  }
  for (; k < end; ++k) One<A>::store(map.template value<One<A>>(row + k, k), map.out + row + k);
}

/// A whole row, cache line by cache line. Streamed stores go past the caches by whole lines of `out`; what is left of a
/// line at both ends goes through them, since a torn line costs a read and a write of memory.
template <class T, class A, bool kStream, class Map>
HWY_INLINE void map_row(const Map& map, int64_t row, int64_t cols, int64_t ahead) {
  constexpr int64_t kStep = Many<A>::kWidth * Many<A>::template kTogether<T>;
  constexpr int64_t kLine = std::max<int64_t>(64 / sizeof(T), kStep);
  const auto address = reinterpret_cast<std::uintptr_t>(map.out + row);
  const int64_t first = kStream ? std::min(cols, static_cast<int64_t>((0 - address) % 64 / sizeof(T))) : 0;
  const int64_t last = first + (cols - first) / kLine * kLine;
  map_columns<T, A>(map, row, 0, first);
  for (int64_t line = first; line < last; line += kLine) {
    map.prefetch(row + line + ahead);
    for (int64_t k = line; k < line + kLine; k += kStep) map_vector<T, A, kStream>(map, row, k);
  }
  map_columns<T, A>(map, row, last, cols);
}

/// Row after row, in the order of memory. Taking several rows at once would load a column's coefficients less often,
/// but they come from the cache, and one long stream is what the prefetcher follows: 16 against 10 GB/s on NHWC in
/// memory.
template <class T, class A, class Map>
HWY_INLINE void map_rect(const Map& map, Rect rect, Access access) {
  if constexpr (std::is_same_v<A, fast_t<T>>) {
    if (access.stores == Stores::streamed) {
      for (int64_t r = 0; r < rect.rows; ++r) map_row<T, A, true>(map, r * rect.stride, rect.cols, access.ahead);
      return;
    }
  }
  for (int64_t r = 0; r < rect.rows; ++r) map_row<T, A, false>(map, r * rect.stride, rect.cols, access.ahead);
}

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
