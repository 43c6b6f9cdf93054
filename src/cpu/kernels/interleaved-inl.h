// The interleaved shape: a row holds all channels, so every column has coefficients and sums of its own. Included once
// per instruction set.
#if defined(UNITVAR_KERNELS_INTERLEAVED_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNITVAR_KERNELS_INTERLEAVED_INL_H_
#undef UNITVAR_KERNELS_INTERLEAVED_INL_H_
#else
#define UNITVAR_KERNELS_INTERLEAVED_INL_H_
#endif

#include <algorithm>
#include <type_traits>
#include <utility>

#include "cpu/kernels/lines-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

/// n rows at a time, so that a column's two sums are loaded and stored once for all of them. Rows that follow each
/// other in memory are asked for in its order, far ahead; parts of rows, each a stream too short for the hardware to
/// see coming, n rows ahead.
template <class T, class A, int n, class Source>
UNITVAR_PART void add_rows(const Source& source, int64_t r, const Rect& rect, double* first, double* second) {
  constexpr int64_t kWidth = VectorOf<A>::kWidth;
  const int64_t row = r * rect.stride, cols = rect.cols();
  const bool whole_rows = cols == rect.stride;
  const int64_t step = whole_rows ? kLine<T> : rect.stride;
  int64_t k = 0;
  for (; k + kWidth <= cols; k += kWidth) {
    if (k % kLine<T> == 0) {
      const int64_t next = whole_rows ? row + n * k + int64_t{4 * kNear / sizeof(T)} : row + n * rect.stride + k;
      for (int q = 0; q < n; ++q) source.prefetch(next + q * step);
    }
    Wide<VectorOf<A>> a, b;
    a.load(first + k);
    b.load(second + k);
    const auto terms = tree<VectorOf<A>, n, true>(source, row + k, rect.stride, k, r);
    a.add(terms.first);
    b.add(terms.second);
    a.store(first + k);
    b.store(second + k);
  }
  for (; k < cols; ++k) {
    const auto terms = tree<ScalarOf<A>, n, true>(source, row + k, rect.stride, k, r);
    first[k] += static_cast<double>(terms.first);
    second[k] += static_cast<double>(terms.second);
  }
}

/// Rows taken at a time: 8 were slower, being twice as many streams, but not of one tensor of 16 bits.
template <class Source>
constexpr int kRows = kIsHalf<std::remove_cvref_t<decltype(*Source::x)>>&& Source::kTensors == 1 ? 8 : 4;

/// From row r on: n rows at a time, then half as many, and so on.
template <class T, class A, int n, class Source>
HWY_INLINE void add_all_rows(const Source& source, const Rect& rect, double* first, double* second, int64_t r = 0) {
  for (; r + n <= rect.rows; r += n) add_rows<T, A, n>(source, r, rect, first, second);
  if constexpr (n > 1) add_all_rows<T, A, n / 2>(source, rect, first, second, r);
}

/// A whole row, cache line by cache line. Non-temporal stores write whole cache lines. The rest at both ends goes
/// through the caches: a non-temporal store of part of a cache line costs a read and a write of memory.
template <class A, bool kStream, class Map>
UNITVAR_PART void map_row(const Map& map, int64_t row, int64_t cols, int64_t ahead) {
  int64_t k = kStream ? std::min(cols, to_next_line(map.out + row)) : 0;
  map_torn<A>(map, row, 0, k);
  if constexpr (Map::kHasEpilogue) {
    for (; k + kWord <= cols; k += kWord) {
      for (int64_t i = 0; i < kWord; i += kMapLine<Map>) map.prefetch(row + k + i + ahead);
      map_lines<kStream, kWord / kMapLine<Map>>(map, row, k);
    }
  }
  k = map_whole_lines<kStream>(map, row, k, cols, ahead);
  map_torn<A>(map, row, k, cols);
}

/// Two rows of 16 bits that are whole cache lines. With one row at a time, the loads of coefficients would be the
/// limit.
template <bool kStream, class Map>
UNITVAR_PART void map_two_rows(const Map& map, int64_t row, const Rect& rect, int64_t ahead) {
  using U = typename Map::Vector;
  for (int64_t k = 0; k < rect.cols(); k += kMapLine<Map>) {
    map.prefetch(row + k + ahead);
    map.prefetch(row + rect.stride + k + ahead);
    for (int64_t i = k; i < k + kMapLine<Map>; i += U::kWidth) {
      const auto above = map.template value<U>(row + i, i);
      put<kStream, U>(map.template value<U>(row + rect.stride + i, i), map.out + row + rect.stride + i);
      put<kStream, U>(above, map.out + row + i);
    }
  }
}

/// The most columns whose coefficients are arranged: as many as a work item has.
constexpr int64_t kMostArranged = 2048;

template <class Map>
using MapOfArranged = decltype(std::declval<const Map&>().arranged(std::declval<Arranged (*)(const float*)>()));

/// Whether a map of rows has vectors that are faster if they need not keep the order of columns.
template <class T, class A, class Map>
constexpr bool kArranges = false;
template <class A, class Map>
requires kHasVectors && std::is_same_v<A, float> && requires { typename MapOfArranged<Map>; }
constexpr bool kArranges<bf16, A, Map> = true;

/// Rows whose whole cache lines are at the same columns, with coefficients in the order of the vectors. Short rows that
/// follow each other without a gap are taken `together` at a time, as one with their coefficients repeated.
template <class A, bool kStream, class Map>
UNITVAR_PART void map_arranged_rows(const Map& map, const Rect& rect, int64_t together, int64_t begin, int64_t end,
                                    int64_t ahead) {
  float room[5][kMostArranged], repeated[kMostArranged];
  int used = 0;
  const int64_t cols = rect.cols();
  const auto arranged = map.arranged([&](const float* from) HWY_ATTR {
    if (together > 1) {
      for (int64_t k = 0; k < together; ++k) std::copy_n(from, cols, repeated + k * cols);
      from = repeated;
    }
    return MapOfArranged<Map>::Vector::arranged(from, begin, end, room[used++]);
  });
  for (int64_t r = 0; r < rect.rows; r += together) {
    const int64_t row = r * rect.stride, last = row + (together - 1) * cols;
    map_torn<A>(map, row, 0, begin);
    map_whole_lines<kStream>(arranged, row, begin, end, ahead);
    map_torn<A>(map, last, end - (last - row), cols);
  }
}

/// Rows taken as one: as many as have kColumns, and of which the rectangle has a whole number. Only one where a part of
/// a cache line at either end could be of several rows.
template <class Map>
HWY_INLINE int64_t rows_together(const Rect& rect) {
  constexpr int64_t kColumns = 256;
  if (rect.cols() != rect.stride || rect.cols() < kMapLine<Map>) return 1;
  int64_t together = 1;
  while (2 * together * rect.cols() <= kColumns && rect.rows % (2 * together) == 0) together *= 2;
  return together;
}

/// Row after row, in the order of memory. Taking several rows at once would load a column's coefficients less often,
/// but they come from the cache, and one long stream is what the prefetcher follows: 16 against 10 GB/s on NHWC in
/// memory. In f16 two at once win: 1.4 ms against 1.9 on 156800 x 64.
template <class T, class A, bool kStream, class Map>
HWY_INLINE void map_rows(const Map& map, const Rect& rect, int64_t ahead) {
  int64_t r = 0;
  if constexpr (kArranges<T, A, Map>) {
    constexpr int64_t kFewestRows = 8;
    const int64_t together = rows_together<Map>(rect), cols = together * rect.cols();
    const int64_t begin = kStream ? std::min(cols, to_next_line(map.out)) : 0;
    const int64_t end = begin + (cols - begin) / kMapLine<Map> * kMapLine<Map>;
    const bool alike = !kStream || together * rect.stride % kMapLine<Map> == 0;
    if (alike && rect.rows >= kFewestRows * together && begin < end && end <= kMostArranged) {
      map_arranged_rows<A, kStream>(map, rect, together, begin, end, ahead);
      return;
    }
  } else if constexpr (kIsHalf<T> && !Map::kHasEpilogue) {
    const bool aligned = to_next_line(map.out) == 0 && rect.stride % kMapLine<Map> == 0;
    if (rect.cols() % kMapLine<Map> == 0 && (!kStream || aligned)) {
      for (; r + 2 <= rect.rows; r += 2) map_two_rows<kStream>(map, r * rect.stride, rect, ahead);
    }
  }
  for (; r < rect.rows; ++r) map_row<A, kStream>(map.row(r, r * rect.stride), r * rect.stride, rect.cols(), ahead);
}

template <class T, class A, class Map>
HWY_INLINE void map_all_rows(const Map& map, const Rect& rect, const Access& access) {
  if constexpr (kCanStream<T, A>) {
    if (access.stores == Stores::streamed) {
      map_rows<T, A, true>(map, rect, access.ahead);
      return;
    }
  }
  map_rows<T, A, false>(map, rect, access.ahead);
}

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
