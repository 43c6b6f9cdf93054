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
  using Vector = Widest<T, A, V>;
  static constexpr int kRowsTogether = kIsHalf<T> && std::is_pointer_v<V> ? 2 : 1;
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
  using Vector = Widest<T, A, V>;
  static constexpr int kRowsTogether = kIsHalf<T> && std::is_pointer_v<V> ? 2 : 1;
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

/// The whole vectors U of columns [k, end) of the row that starts at element `row`. Returns the first column left over.
template <class U, class Map>
HWY_INLINE int64_t map_vectors(const Map& map, int64_t row, int64_t k, int64_t end) {
  for (; k + U::kWidth <= end; k += U::kWidth) U::store(map.template value<U>(row + k, k), map.out + row + k);
  return k;
}

/// Columns [begin, end) of the row. The last vector overlaps the one before; its value is computed first, since `out`
/// may be what it is computed from.
template <class A, class Map>
HWY_INLINE void map_columns(const Map& map, int64_t row, int64_t begin, int64_t end) {
  using U = Many<A>;
  if (end - begin < U::kWidth) {
    map_vectors<One<A>>(map, row, begin, end);
    return;
  }
  const auto last = map.template value<U>(row + end - U::kWidth, end - U::kWidth);
  const int64_t k = map_vectors<typename Map::Vector>(map, row, begin, end);
  map_vectors<U>(map, row, k, end);
  U::store(last, map.out + row + end - U::kWidth);
}

template <bool kStream, class U, class T>
HWY_INLINE void put(typename U::Value value, T* p) {
  if constexpr (kStream) {
    U::stream(value, p);
  } else {
    U::store(value, p);
  }
}

/// Elements of a map that are written in turn: whole lines of `out`.
template <class Map>
constexpr int64_t kMapLine = std::max<int64_t>(64 / sizeof(*Map::out), Map::Vector::kWidth);

/// Whole lines, columns [begin, end), of the row that starts at element `row`, or of it and the next together.
template <bool kStream, int kRowsTogether, class Map>
HWY_INLINE void map_lines(const Map& map, int64_t row, int64_t stride, int64_t begin, int64_t end, int64_t ahead) {
  using U = typename Map::Vector;
  for (int64_t line = begin; line < end; line += kMapLine<Map>) {
    for (int r = 0; r < kRowsTogether; ++r) map.prefetch(row + r * stride + line + ahead);
    for (int64_t k = line; k < line + kMapLine<Map>; k += U::kWidth) {
      const auto value = map.template value<U>(row + k, k);
      if constexpr (kRowsTogether == 2) {
        const auto below = map.template value<U>(row + stride + k, k);
        put<kStream, U>(below, map.out + row + stride + k);
      }
      put<kStream, U>(value, map.out + row + k);
    }
  }
}

/// Elements from p to the next line of memory.
template <class T>
HWY_INLINE int64_t to_next_line(const T* p) {
  return static_cast<int64_t>((0 - reinterpret_cast<std::uintptr_t>(p)) % 64 / sizeof(T));
}

/// A whole row, cache line by cache line. Streamed stores go past the caches by whole lines of `out`; what is left of a
/// line at both ends goes through them, since a torn line costs a read and a write of memory.
template <class A, bool kStream, class Map>
HWY_INLINE void map_row(const Map& map, int64_t row, int64_t cols, int64_t ahead) {
  const int64_t first = kStream ? std::min(cols, to_next_line(map.out + row)) : 0;
  const int64_t last = first + (cols - first) / kMapLine<Map> * kMapLine<Map>;
  map_columns<A>(map, row, 0, first);
  map_lines<kStream, 1>(map, row, 0, first, last, ahead);
  map_columns<A>(map, row, last, cols);
}

/// Row after row, in the order of memory. Taking several rows at once would load a column's coefficients less often,
/// but they come from the cache, and one long stream is what the prefetcher follows: 16 against 10 GB/s on NHWC in
/// memory. In 16 bits the loads are what limits, and two rows at once win: 1.4 ms against 1.9 on 156800 x 64.
template <class A, bool kStream, class Map>
HWY_INLINE void map_rows(const Map& map, Rect rect, int64_t ahead) {
  int64_t r = 0;
  if constexpr (Map::kRowsTogether == 2) {
    const bool aligned = to_next_line(map.out) == 0 && rect.stride % kMapLine<Map> == 0;
    if (rect.cols % kMapLine<Map> == 0 && (!kStream || aligned)) {
      for (; r + 2 <= rect.rows; r += 2) {
        map_lines<kStream, 2>(map, r * rect.stride, rect.stride, 0, rect.cols, ahead);
      }
    }
  }
  for (; r < rect.rows; ++r) map_row<A, kStream>(map, r * rect.stride, rect.cols, ahead);
}

template <class T, class A, class Map>
HWY_INLINE void map_rect(const Map& map, Rect rect, Access access) {
  if constexpr (std::is_same_v<A, fast_t<T>>) {
    if (access.stores == Stores::streamed) {
      map_rows<A, true>(map, rect, access.ahead);
      return;
    }
  }
  map_rows<A, false>(map, rect, access.ahead);
}

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
