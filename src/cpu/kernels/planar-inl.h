// The planar shape: a row is a run of channels, each of which has one coefficient for all its elements. Included once
// per instruction set.
#if defined(UNITVAR_KERNELS_PLANAR_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNITVAR_KERNELS_PLANAR_INL_H_
#undef UNITVAR_KERNELS_PLANAR_INL_H_
#else
#define UNITVAR_KERNELS_PLANAR_INL_H_
#endif

#include <algorithm>

#include "cpu/kernels/lines-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

/// Groups of kLanes that are taken at a time, and whose terms are added as a tree.
constexpr int kDepth = 4;
constexpr int64_t kStep = kDepth * kLanes;

/// The lanes of a vector, folded in halves.
template <class D>
HWY_INLINE double fold_vector([[maybe_unused]] D d, hn::Vec<D> v) {
#if HWY_TARGET != HWY_SCALAR  // which has no halves
  if constexpr (hn::MaxLanes(D()) > 1) {
    const hn::Half<D> half;
    return fold_vector(half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)));
  }
#endif
  return hn::GetLane(v);
}

/// Whether the vectors of a Wide<U> hold its sums in order.
template <class U>
constexpr bool kLanesInOrder = false;
template <class A>
constexpr bool kLanesInOrder<VectorOf<A>> = true;

/// kLanes partial sums of what is taken a U at a time.
template <class U>
struct Lanes {
  static constexpr int kParts = kLanes / U::kWidth;
  Wide<U> parts[kParts];

  HWY_INLINE Lanes() {}
  HWY_INLINE Lanes(const Lanes& from) { *this = from; }
  HWY_INLINE Lanes& operator=(const Lanes& from) {
    unrolled<kParts>([&](auto p) HWY_ATTR { parts[p] = from.parts[p]; });
    return *this;
  }
  HWY_INLINE void clear() {
    unrolled<kParts>([&](auto p) HWY_ATTR { parts[p].clear(); });
  }
  HWY_INLINE double fold() const {
    const Tag<double> d;
    if constexpr (kLanesInOrder<U>) {
      return fold_vector(d, fold_to_vector());
    } else {  // the tree adds even and odd lanes in its last step
      return fold_vector(d, folded<1, 0>([&](auto p) HWY_ATTR -> const auto& { return parts[p].even; })) +
             fold_vector(d, folded<1, 0>([&](auto p) HWY_ATTR -> const auto& { return parts[p].odd; }));
    }
  }
  HWY_INLINE VectorOf<double>::Value fold_to_vector() const {
    return folded<1, 0>([&](auto p) HWY_ATTR -> const auto& { return parts[p]; });
  }

 private:
  /// Vector k of n to which all vectors of of(0) .. of(kParts - 1) have been folded, in halves: a fixed tree, whatever
  /// the vector width. Nothing goes through memory: of a short row this is most of the work.
  template <int n, int k, class Of>
  static HWY_INLINE VectorOf<double>::Value folded(const Of& of) {
    constexpr int kEach = std::remove_cvref_t<decltype(of(std::integral_constant<int, 0>()))>::kVectors;
    if constexpr (n == kParts * kEach) {
      return of(std::integral_constant<int, k / kEach>()).v[k % kEach];
    } else {
      return VectorOf<double>::add(folded<2 * n, k>(of), folded<2 * n, k + n>(of));
    }
  }
};

/// The sums of one channel while its rows are added.
template <class U>
struct Partial {
  Lanes<U> first, second;

  HWY_INLINE Partial() {}
  HWY_INLINE Partial(const Partial& from) { *this = from; }
  HWY_INLINE Partial& operator=(const Partial& from) {
    first = from.first;
    second = from.second;
    return *this;
  }
  HWY_INLINE void clear() {
    first.clear();
    second.clear();
  }
};

/// The sums of a run of channels while its rows are added; of a single row nothing is kept.
template <class U>
struct RunSums {
  double* first;
  double* second;
  int64_t rows;
  Partial<U> kept[kMostRun];

  HWY_INLINE RunSums(double* to_first, double* to_second, int64_t all_rows)
      : first(to_first), second(to_second), rows(all_rows) {}

  HWY_INLINE void before_row(int64_t r, int64_t j, Partial<U>& own) const {
    if (r == 0) {
      own.clear();
    } else {
      own = kept[j];
    }
  }
  HWY_INLINE void after_row(int64_t r, int64_t j, const Partial<U>& own) {
    if (r + 1 < rows) {
      kept[j] = own;
    } else {
      first[j] += own.first.fold();
      second[j] += own.second.fold();
    }
  }
};

/// The place of the elements that the walk along a row reaches `distance` elements later: in this row or in the next
/// one.
struct Ahead {
  int64_t row, cols, next, distance;

  /// Nothing from here on may be read: behind this part of a row stand channels that another thread may be writing.
  [[nodiscard]] HWY_INLINE int64_t bound() const { return row + cols; }

  [[nodiscard]] HWY_INLINE int64_t at(int64_t k) const {
    const int64_t later = k + distance;
    return later < cols ? row + later : next + (later - cols);
  }
  /// Prefetches the elements that come `distance` after elements k .. k + n - 1.
  template <int64_t n, int64_t line, class Side>
  HWY_INLINE void prefetch(const Side& side, int64_t k) const {
    const int64_t later = k + distance;
    if (later + n <= cols || later >= cols) {
      const int64_t from = at(k);
      for (int64_t i = 0; i < n; i += line) side.prefetch(from + i);
    } else {
      for (int64_t i = 0; i < n; i += line) side.prefetch(at(k + i));
    }
  }
};

/// Element k of a row belongs to lane k % kLanes. n groups of kLanes are taken as a tree: part p of it.
template <int n, class U, class Source>
HWY_INLINE void add_part(const Source& source, int64_t i, int p, Partial<U>& sums) {
  const auto terms = tree<U, n>(source, i + p * U::kWidth, kLanes, 0);
  sums.first.parts[p].add(terms.first);
  sums.second.parts[p].add(terms.second);
}

/// All parts. Recursion instead of a loop keeps the sums in registers. Without vectors there are too many sums for
/// that, so there it is a loop.
template <int n, int p = 0, class U, class Source>
UNITVAR_PART void add_groups(const Source& source, int64_t i, Partial<U>& sums) {
  if constexpr (U::kWidth == 1) {
    for (int part = 0; part < kLanes; ++part) add_part<n>(source, i, part, sums);
  } else {
    add_part<n>(source, i, p, sums);
    if constexpr ((p + 1) * U::kWidth < kLanes) add_groups<n, p + 1>(source, i, sums);
  }
}

/// The same for n < kLanes elements; as many as kLanes are read.
template <int p = 0, class U, class Source>
UNITVAR_PART void add_some(const Source& source, int64_t i, int64_t n, Partial<U>& sums) {
  const auto terms = source.template terms<U>(i + p * U::kWidth, 0);
  sums.first.parts[p].add(U::first_of(n - p * U::kWidth, terms.first, U::zero()));
  sums.second.parts[p].add(U::first_of(n - p * U::kWidth, terms.second, U::zero()));
  if constexpr ((p + 1) * U::kWidth < kLanes) {
    if ((p + 1) * U::kWidth < n) add_some<p + 1>(source, i, n, sums);
  }
}

/// Adds one element to each lane. All indices are compile-time constants, so that the sums stay in registers.
template <int p = 0, class U, class A>
HWY_INLINE void add_lanes(const A* first, const A* second, Partial<U>& sums) {
  sums.first.parts[p].add(U::load(first + p * U::kWidth));
  sums.second.parts[p].add(U::load(second + p * U::kWidth));
  if constexpr ((p + 1) * U::kWidth < kLanes) add_lanes<p + 1>(first, second, sums);
}

/// The same one element at a time. Reads no element but these.
template <class U, class Source>
UNITVAR_PART void add_few(const Source& source, int64_t i, int64_t n, Partial<U>& sums) {
  using A = typename U::Lane;
  A first[kLanes] = {}, second[kLanes] = {};
  for (int64_t k = 0; k < n; ++k) {
    const auto terms = source.template terms<ScalarOf<A>>(i + k, 0);
    first[k] = terms.first;
    second[k] = terms.second;
  }
  add_lanes(first, second, sums);
}

/// Adds elements [k, cols), fewer than 2 * n groups, of the row that starts at i. Nothing from `bound` on may be read.
template <class T, int n, class U, class Source>
UNITVAR_PART void add_rest(const Source& source, int64_t i, int64_t k, int64_t cols, int64_t bound, Partial<U>& sums) {
  if (k + n * kLanes <= cols) {
    add_groups<n>(step_of(source, i + k), i + k, sums);
    k += n * kLanes;
  }
  if constexpr (n > 1) {
    add_rest<T, n / 2>(source, i, k, cols, bound, sums);
  } else if constexpr (Source::kHasEpilogue) {
    if (k < cols) add_few(source.step(i + k), i + k, cols - k, sums);
  } else if (k < cols && i + k + kLanes <= bound) {
    add_some(source, i + k, cols - k, sums);
  } else if (k < cols) {
    T copy[2 * kLanes] = {};
    add_some(source.copied(i + k, cols - k, copy), 0, cols - k, sums);
  }
}

/// The cache line in which one channel ends and the next begins: `split` elements from its beginning at element i. Both
/// channels are computed for the whole line, which is then written at once. Written in two parts it would cost a read
/// and a write of memory, which took half the time of rows of 14 x 14.
template <class Map>
UNITVAR_PART void map_shared_line(const Map& before, const Map& map, int64_t i, int64_t split) {
  using U = typename Map::Vector;
  for (int64_t k = 0; k < kMapLine<Map>; k += U::kWidth) {
    const auto value = U::first_of(split - k, before.template value<U>(i + k, 0), map.template value<U>(i + k, 0));
    U::stream(value, map.out + i + k);
  }
}

/// The same for a phase with epilogue.
template <class Map>
HWY_NOINLINE void map_shared_line_with_epilogue(const Map& before, const Map& map, int64_t i, int64_t split) {
  using U = typename Map::Vector;
  auto first = before.step(i), second = map.step(i);
  for (int64_t k = 0; k < kMapLine<Map>; k += U::kWidth) {
    Map::template write_shared_line<U>(first, second, i + k, split - k);
  }
  first.finish(0, split);
  second.finish(split, kMapLine<Map>);
}

/// For a map that runs beside sums of elements it will reach later: prefetches what the sums do not read.
template <int64_t line, class Map>
HWY_INLINE void prefetch_beside(const Map& map, const Ahead& ahead, int64_t k) {
  if constexpr (requires { map.beside(); }) ahead.template prefetch<kStep, line>(map.beside(), k);
}

/// Adds source's terms of the kStep elements from k on, and prefetches later ones.
template <class T, class U, class Source>
HWY_INLINE void add_step(const Source& source, int64_t piece, int64_t k, const Ahead& ahead, int64_t offset,
                         Partial<U>& sums) {
  ahead.template prefetch<kStep, kLine<T>>(source, offset + k);
  add_groups<kDepth>(step_of(source, piece + k), piece + k, sums);
}

/// Channel j's part of row r, beginning at element `piece`: adds source's terms and writes map's values from `begin` to
/// `end`, step by step side by side, so that memory is read and written all the time. Either may be Nothing.
template <class T, class A, bool kStream, class Source, class Map, class U>
UNITVAR_PART void sweep_piece(const Source& source, const Map& map, int64_t piece, int64_t cols, int64_t begin,
                              int64_t end, const Ahead& ahead, int64_t r, int64_t j, RunSums<U>& sums) {
  constexpr int64_t kElements = kLine<T>;
  const int64_t offset = j * cols;
  int64_t k = 0, m = begin;
  Partial<U> own;
  if constexpr (!kIsNothing<Source>) sums.before_row(r, j, own);
  if constexpr (!kIsNothing<Source> && !kIsNothing<Map>) {
    for (; std::max(k, m) + kStep <= cols; k += kStep, m += kStep) {
      add_step<T>(source, piece, k, ahead, offset, own);
      prefetch_beside<kElements>(map, ahead, offset + m);
      map_lines<kStream, kStep / kMapLine<Map>>(map, piece, m);
    }
  }
  if constexpr (!kIsNothing<Source>) {
    for (; k + kStep <= cols; k += kStep) add_step<T>(source, piece, k, ahead, offset, own);
    for (int64_t line = k; line < cols; line += kElements) source.prefetch(ahead.at(offset + line));
    add_rest<T, kDepth / 2>(source, piece, k, cols, ahead.bound(), own);
    sums.after_row(r, j, own);
  }
  if constexpr (!kIsNothing<Map>) {
    for (; m + kStep <= end; m += kStep) {
      if constexpr (kIsNothing<Source>) ahead.template prefetch<kStep, kElements>(map, offset + m);
      map_lines<kStream, kStep / kMapLine<Map>>(map, piece, m);
    }
    for (; m + kMapLine<Map> <= end; m += kMapLine<Map>) map_lines<kStream, 1>(map, piece, m);
    map_torn<A>(map, piece, m, end);
  }
}

/// Rows that are written by whole cache lines, with non-temporal stores.
template <class T, class A, class Source, class Map, class U>
UNITVAR_PART void stream_row(const Source& source, const Map& map, const Rect& rect, int64_t r, const Ahead& ahead,
                             RunSums<U>& sums) {
  for (int64_t j = 0; j < rect.channels; ++j) {
    const int64_t piece = ahead.row + j * rect.inner;
    const auto own = map.channel(j).row(r, piece);
    constexpr int64_t kElements = kMapLine<decltype(own)>;
    const int64_t begin = std::min(rect.inner, to_next_line(map.out + piece));
    if (j == 0 || begin == rect.inner) {
      map_torn<A>(own, piece, 0, begin);
    } else if (begin > 0) {
      const int64_t line = piece + begin - kElements;
      const auto before = map.channel(j - 1).row(r, piece - rect.inner);
      if constexpr (decltype(own)::kHasEpilogue) {
        map_shared_line_with_epilogue(before, own, line, piece - line);
      } else {
        map_shared_line(before, own, line, piece - line);
      }
    }
    // The last channel finishes its last line by itself, the others leave it to the next.
    const int64_t whole = begin + (rect.inner - begin) / kElements * kElements;
    const int64_t end = j + 1 < rect.channels ? whole : rect.inner;
    sweep_piece<T, A, true>(source.channel(j).row(r, piece), own, piece, rect.inner, begin, end, ahead, r, j, sums);
  }
}

template <class T, class A, bool kStream, class Source, class Map, class U>
HWY_INLINE void sweep_rows(const Source& source, const Map& map, const Rect& rect, const Access& access,
                           RunSums<U>& sums) {
  for (int64_t r = 0; r < rect.rows; ++r) {
    const int64_t row = r * rect.stride;
    const Ahead ahead{row, rect.cols(), r + 1 < rect.rows ? row + rect.stride : access.after,
                      std::min(access.ahead, rect.cols())};
    if constexpr (kStream) {
      stream_row<T, A>(source, map, rect, r, ahead, sums);
      continue;
    }
    for (int64_t j = 0; j < rect.channels; ++j) {
      const int64_t piece = row + j * rect.inner;
      sweep_piece<T, A, false>(source.channel(j).row(r, piece), map.channel(j).row(r, piece), piece, rect.inner, 0,
                               rect.inner, ahead, r, j, sums);
    }
  }
}

/// Adds source's terms to first[j] and second[j] of each channel j of the rectangle, and writes map's values.
template <class T, class A, bool kStream, class Source, class Map>
HWY_INLINE void planar_sweep_as(const Source& source, const Map& map, const Rect& rect, const Access& access,
                                double* first, double* second) {
  RunSums<typename Source::Sum> sums(first, second, rect.rows);
  sweep_rows<T, A, kStream>(source, map, rect, access, sums);
}

/// Whether rows are to be written with non-temporal stores, and can be: no more than two channels may share a cache
/// line.
template <class T>
HWY_INLINE bool streams_rows(const Rect& rect, const Access& access) {
  return access.stores == Stores::streamed && rect.inner >= 2 * kLine<T>;
}

template <class T, class A, class Source, class Map>
HWY_INLINE void planar_sweep(const Source& source, const Map& map, const Rect& rect, const Access& access,
                             double* first, double* second) {
  if constexpr (!kIsNothing<Map> && kCanStream<T, A>) {
    if (streams_rows<T>(rect, access)) {
      planar_sweep_as<T, A, true>(source, map, rect, access, first, second);
      return;
    }
  }
  planar_sweep_as<T, A, false>(source, map, rect, access, first, second);
}

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
