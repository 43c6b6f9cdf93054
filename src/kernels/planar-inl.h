// The planar shape: a row is a run of channels, each of which has one coefficient for all its elements. Included once
// per instruction set.
#if defined(UNITVAR_KERNELS_PLANAR_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNITVAR_KERNELS_PLANAR_INL_H_
#undef UNITVAR_KERNELS_PLANAR_INL_H_
#else
#define UNITVAR_KERNELS_PLANAR_INL_H_
#endif

#include <algorithm>

#include "kernels/phases-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

/// Groups of kLanes that are taken at a time, and whose terms are added as a tree.
constexpr int kDepth = 4;
constexpr int64_t kStep = int64_t{kDepth} * kLanes;

/// kLanes partial sums.
template <class A>
struct Lanes {
  Wide<A> parts[kLanes / Many<A>::kWidth];

  HWY_INLINE Lanes() {}
  HWY_INLINE void clear() {
    for (auto& part : parts) part.clear();
  }
  /// All lanes and the `rest`, folded in halves: a fixed tree.
  HWY_INLINE double fold(const double* rest) const {
    double lanes[kLanes];
    for (int k = 0; k < kLanes; k += Many<A>::kWidth) parts[k / Many<A>::kWidth].store(lanes + k);
    for (int k = 0; k < kLanes; ++k) lanes[k] += rest[k];
    for (int width = kLanes / 2; width > 0; width /= 2) {
      for (int k = 0; k < width; ++k) lanes[k] += lanes[k + width];
    }
    return lanes[0];
  }
};

/// The sums of one channel while its rows are added.
template <class A>
struct Partial {
  Lanes<A> first, second;
  double rest_first[kLanes], rest_second[kLanes];  ///< what is left of a row, less than kLanes elements

  HWY_INLINE Partial() {}
  HWY_INLINE void clear() {
    first.clear();
    second.clear();
    std::fill_n(rest_first, kLanes, 0.0);
    std::fill_n(rest_second, kLanes, 0.0);
  }
};

/// Where the elements stand that a row's walk will come to `distance` later: in the row, or in the one after it.
struct Ahead {
  int64_t row, cols, next, distance;

  [[nodiscard]] HWY_INLINE int64_t at(int64_t k) const {
    const int64_t later = k + distance;
    return later < cols ? row + later : next + (later - cols);
  }
  /// Asks for what comes after elements k .. k + n - 1.
  template <int64_t n, int64_t line, class Side>
  HWY_INLINE void ask(const Side& side, int64_t k) const {
    if (k + n + distance <= cols) {
      for (int64_t i = 0; i < n; i += line) side.prefetch(row + k + i + distance);
    } else {
      for (int64_t i = 0; i < n; i += line) side.prefetch(at(k + i));
    }
  }
};

/// Element k of a row belongs to lane k % kLanes. n groups of kLanes are taken as a tree.
template <class A, int n, class Source>
HWY_INLINE void add_groups(const Source& source, int64_t i, Lanes<A>& first, Lanes<A>& second) {
  constexpr int kWidth = Many<A>::kWidth;
  for (int p = 0; p < kLanes / kWidth; ++p) {
    const auto terms = tree<Many<A>, n>(source, i + p * kWidth, kLanes, 0);
    first.parts[p].add(terms.first);
    second.parts[p].add(terms.second);
  }
}

/// Adds elements [k, cols) of the row that starts at i.
template <class A, int n, class Source>
HWY_INLINE void add_rest(const Source& source, int64_t i, int64_t k, int64_t cols, Partial<A>& sums) {
  for (; k + n * kLanes <= cols; k += n * kLanes) add_groups<A, n>(source, i + k, sums.first, sums.second);
  if constexpr (n > 1) {
    add_rest<A, n / 2>(source, i, k, cols, sums);
  } else {
    for (int lane = 0; k < cols; ++k, ++lane) {
      const auto term = source.template terms<One<A>>(i + k, 0);
      sums.rest_first[lane] += static_cast<double>(term.first);
      sums.rest_second[lane] += static_cast<double>(term.second);
    }
  }
}

/// The line of memory in which one channel ends and the next begins. It is put together here and streamed whole: a
/// torn line costs a read and a write of memory, which was half the time of rows of 14 x 14.
template <class T>
struct Seam {
  static constexpr int64_t kElements = 64 / sizeof(T);
  alignas(64) T line[kElements];
  bool open = false;
};

/// Writes the piece's elements before its first whole line of memory; returns their number.
template <class A, class T, class Map>
HWY_INLINE int64_t map_head(const Map& map, int64_t piece, int64_t cols, Seam<T>& seam) {
  const int64_t n = std::min(cols, to_next_line(map.out + piece));
  if (!seam.open) {
    map_columns<A>(map, piece, 0, n, map.out + piece);
    return n;
  }
  map_columns<A>(map, piece, 0, n, seam.line + Seam<T>::kElements - n);
  T* const line = map.out + piece + n - Seam<T>::kElements;
  for (int64_t k = 0; k < Seam<T>::kElements; k += Many<T>::kWidth) {
    Many<T>::stream(Many<T>::load(seam.line + k), line + k);
  }
  seam.open = false;
  return n;
}

/// Writes elements [k, cols), less than a line if whole lines were written up to k; they wait in the seam if more of
/// the row follows.
template <class A, class T, class Map>
HWY_INLINE void map_tail(const Map& map, int64_t piece, int64_t k, int64_t cols, bool more, Seam<T>& seam) {
  for (; k + Seam<T>::kElements <= cols; k += Seam<T>::kElements) {
    map_lines<A, true, 1>(map, piece, k, map.out);
  }
  seam.open = more && k < cols;
  map_columns<A>(map, piece, k, cols, seam.open ? seam.line : map.out + piece + k);
}

struct Nothing {
  HWY_INLINE Nothing channel(int64_t) const { return {}; }
};
template <class Side>
constexpr bool kIsNothing = std::is_same_v<Side, Nothing>;

/// One channel's part of a row, beginning at element `piece`: adds source's terms and writes map's values, step by
/// step side by side, so that memory is read and written all the time. Either may be Nothing.
template <class T, class A, bool kStream, class Source, class Map>
HWY_INLINE void sweep_piece(const Source& source, const Map& map, int64_t piece, int64_t cols, const Ahead& ahead,
                            int64_t offset, bool more, Partial<A>& partial, Seam<T>& seam) {
  constexpr int64_t kElements = Seam<T>::kElements;
  int64_t k = 0, m = 0;
  if constexpr (kStream) m = map_head<A>(map, piece, cols, seam);
  Lanes<A> first, second;
  if constexpr (!kIsNothing<Source>) first = partial.first, second = partial.second;
  for (; std::max(k, m) + kStep <= cols; k += kStep, m += kStep) {
    if constexpr (kIsNothing<Source>) {
      ahead.template ask<kStep, kElements>(map, offset + m);
    } else {
      ahead.template ask<kStep, kElements>(source, offset + k);
    }
    if constexpr (!kIsNothing<Source>) add_groups<A, kDepth>(source, piece + k, first, second);
    if constexpr (!kIsNothing<Map>) map_lines<A, kStream, kStep / kElements>(map, piece, m, map.out);
  }
  if constexpr (!kIsNothing<Source>) {
    partial.first = first, partial.second = second;
    if (k < cols) {
      for (int64_t line = k; line < cols; line += kElements) source.prefetch(ahead.at(offset + line));
      add_rest<A, kDepth>(source, piece, k, cols, partial);
    }
  }
  if constexpr (kStream) {
    map_tail<A>(map, piece, m, cols, more, seam);
  } else if constexpr (!kIsNothing<Map>) {
    map_columns<A>(map, piece, m, cols, map.out + piece + m);
  }
}

template <class T, class A, bool kStream, class Source, class Map>
HWY_INLINE void sweep_rows(const Source& source, const Map& map, const Rect& rect, const Access& access,
                           Partial<A>* partial) {
  // A seam needs pieces that are longer than a line.
  const bool seams = rect.inner >= 2 * Seam<T>::kElements;
  for (int64_t r = 0; r < rect.rows; ++r) {
    const int64_t row = r * rect.stride;
    const Ahead ahead{row, rect.cols(), r + 1 < rect.rows ? row + rect.stride : access.after,
                      std::min(access.ahead, rect.cols())};
    Seam<T> seam;
    for (int64_t j = 0; j < rect.channels; ++j) {
      sweep_piece<T, A, kStream>(source.channel(j), map.channel(j), row + j * rect.inner, rect.inner, ahead,
                                    j * rect.inner, seams && j + 1 < rect.channels, partial[j], seam);
    }
  }
}

/// Adds source's terms to first[j] and second[j] of each channel j of the rectangle, and writes map's values.
template <class T, class A, class Source, class Map>
HWY_INLINE void sweep(const Source& source, const Map& map, const Rect& rect, const Access& access, double* first,
                      double* second) {
  Partial<A> partial[kMostRun];
  if constexpr (!kIsNothing<Source>) {
    for (int64_t j = 0; j < rect.channels; ++j) partial[j].clear();
  }
  bool streamed = false;
  if constexpr (!kIsNothing<Map> && kCanStream<T, A>) {
    streamed = access.stores == Stores::streamed;
    if (streamed) sweep_rows<T, A, true>(source, map, rect, access, partial);
  }
  if (!streamed) sweep_rows<T, A, false>(source, map, rect, access, partial);
  if constexpr (!kIsNothing<Source>) {
    for (int64_t j = 0; j < rect.channels; ++j) {
      first[j] += partial[j].first.fold(partial[j].rest_first);
      second[j] += partial[j].second.fold(partial[j].rest_second);
    }
  }
}

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
