// Maps of rows with coefficients of their own and parameters by column. Included once per instruction set.
#if defined(UNITVAR_KERNELS_ROW_MAPS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNITVAR_KERNELS_ROW_MAPS_INL_H_
#undef UNITVAR_KERNELS_ROW_MAPS_INL_H_
#else
#define UNITVAR_KERNELS_ROW_MAPS_INL_H_
#endif

#include <algorithm>

#include "cpu/kernels/row_sums-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

/// Whether there are maps that take even and odd columns apart.
template <class T, class A>
constexpr bool kTakesApart = kHasVectors&& std::is_same_v<T, bf16>&& std::is_same_v<A, float>;

/// Calls map(apart) with true where such a map can write rows of `cols` elements, which begin at `out`: whole cache
/// lines begin at even columns. All parameters are there apart, or none.
template <class T, class A, class Map>
HWY_INLINE void map_apart_or_in_order(const ColumnParameter<T>& parameter, const T* out, int64_t cols, Stores stores,
                                      const Map& map) {
  if constexpr (kTakesApart<T, A>) {
    const bool lines_are_even = cols % 2 == 0 && to_next_line(out) % 2 == 0;
    if (parameter.apart.even != nullptr && (stores != Stores::streamed || lines_are_even)) {
      map(std::true_type());
      return;
    }
  }
  map(std::false_type());
}

/// What a map takes at a time. A parameter has a value for each column, so order matters unless they are taken apart.
template <class T, class A, bool kApart>
using RowMapVector = Widest<T, A, std::conditional_t<kApart, A, const A*>>;

/// ((x - center) * scale + shift) * gamma + beta: center is the mean as A holds it, shift what that leaves of it.
template <class T, class A, bool kApart>
struct RowNormalizeMap {
  static constexpr bool kHasEpilogue = false;
  using Vector = RowMapVector<T, A, kApart>;
  const T* x;
  T* out;
  NormalizeCoefficients<A> c;
  ColumnParameters<T> parameters;

  template <class U>
  HWY_INLINE typename U::Value value(int64_t i, int64_t k) const {
    const auto d = U::sub(U::load(x + i), U::at(c.center, k));
    const auto x_hat = U::add(U::mul(d, U::at(c.scale, k)), U::at(c.beta, k));
    return U::add(U::mul(x_hat, parameter<U>(parameters.gamma, k)), parameter<U>(parameters.beta, k));
  }
  /// The same of the columns from k on, so many at most.
  HWY_INLINE RowNormalizeMap from(int64_t k) const {
    return {x + k, out + k, c, {parameters.gamma.from(k), parameters.beta.from(k)}};
  }
  HWY_INLINE int64_t reach() const { return std::min(parameters.gamma.reach(), parameters.beta.reach()); }
  HWY_INLINE void prefetch(int64_t i) const { kernels::HWY_NAMESPACE::prefetch(x + i); }
};

/// ((gamma * dy - level) - (x - center) * slope) * scale.
template <class T, class A, bool kApart>
struct RowGradientMap {
  static constexpr bool kHasEpilogue = false;
  using Vector = RowMapVector<T, A, kApart>;
  const T* x;
  const T* dy;
  T* out;
  GradientCoefficients<A> c;
  ColumnParameter<T> gamma;

  template <class U>
  HWY_INLINE typename U::Value value(int64_t i, int64_t k) const {
    const auto along = U::mul(U::sub(U::load(x + i), U::at(c.center, k)), U::at(c.slope, k));
    auto g = U::sub(U::mul(U::load(dy + i), parameter<U>(gamma, k)), U::at(c.level.hi, k));
    if constexpr (!std::is_same_v<A, double>) g = U::sub(g, U::at(c.level.lo, k));
    return U::mul(U::sub(g, along), U::at(c.scale, k));
  }
  HWY_INLINE RowGradientMap from(int64_t k) const { return {x + k, dy + k, out + k, c, gamma.from(k)}; }
  HWY_INLINE int64_t reach() const { return gamma.reach(); }
  HWY_INLINE void prefetch(int64_t i) const {
    kernels::HWY_NAMESPACE::prefetch(x + i);
    kernels::HWY_NAMESPACE::prefetch(dy + i);
  }
};

/// dx of x and dy, plus what arrives at x by another way: dh.
template <class T, class A, bool kApart>
struct RowAddGradientMap : RowGradientMap<T, A, kApart> {
  using Plain = RowGradientMap<T, A, kApart>;
  const T* dh;

  template <class U>
  HWY_INLINE typename U::Value value(int64_t i, int64_t k) const {
    return U::add(Plain::template value<U>(i, k), U::load(dh + i));
  }
  HWY_INLINE RowAddGradientMap from(int64_t k) const { return {Plain::from(k), dh + k}; }
  HWY_INLINE void prefetch(int64_t i) const {
    Plain::prefetch(i);
    kernels::HWY_NAMESPACE::prefetch(dh + i);
  }
};
template <class T, class A, bool kApart>
HWY_INLINE bool follows_closely(const RowAddGradientMap<T, A, kApart>& map) {
  const typename RowAddGradientMap<T, A, kApart>::Plain& plain = map;
  return follows_closely(plain) || follows_closely(map.out, map.dh);
}

/// The place in a cache line where rows meet that are written with non-temporal stores: after `split` elements, the
/// same for all rows, or nowhere if `split` is 0. It also holds copies of the parameters of those elements.
template <class T>
struct SharedLines {
  static constexpr int64_t kElements = kLine<T>;
  int64_t split;
  param_t<T> gamma[kElements], beta[kElements];

  HWY_INLINE SharedLines(const T* out, int64_t cols) : split(std::max<int64_t>(0, meeting_place(out, cols))) {}
  /// Of the last `split` columns, and then the first.
  HWY_INLINE ColumnParameter<T> copied(const ColumnParameter<T>& of, int64_t cols, param_t<T> (&to)[kElements]) const {
    if (split > 0) {  // rows are longer than a line then
      std::copy_n(of.from(cols - split).values, split, to);
      std::copy_n(of.values, kElements - split, to + split);
    }
    return {to};
  }
};

// The maps of all rows: row(r) is that of row r.

template <class T, class A, bool kApart = false>
struct RowNormalizeMaps {
  const T* x;
  T* y;
  const NormalizeCoefficients<const A*>& c;
  ColumnParameters<T> parameters;
  int64_t cols;

  HWY_INLINE T* out() const { return y; }
  HWY_INLINE RowNormalizeMaps<T, A> at_shared_lines(SharedLines<T>& of) const {
    return {x, y, c, {of.copied(parameters.gamma, cols, of.gamma), of.copied(parameters.beta, cols, of.beta)}, cols};
  }
  HWY_INLINE auto row(int64_t r) const {
    return RowNormalizeMap<T, A, kApart>{x + r * cols, y + r * cols, {c.center[r], c.scale[r], c.beta[r]}, parameters};
  }
};

template <class T, class A, bool kApart = false>
struct RowGradientMaps {
  const T* x;
  const T* dy;
  T* dx;
  const GradientCoefficients<const A*>& c;
  ColumnParameter<T> gamma;
  int64_t cols;

  HWY_INLINE T* out() const { return dx; }
  HWY_INLINE RowGradientMaps<T, A> at_shared_lines(SharedLines<T>& of) const {
    return {x, dy, dx, c, of.copied(gamma, cols, of.gamma), cols};
  }
  HWY_INLINE auto row(int64_t r) const {
    const GradientCoefficients<A> own{c.center[r], at<A>(c.level, r), c.slope[r], c.scale[r]};
    return RowGradientMap<T, A, kApart>{x + r * cols, dy + r * cols, dx + r * cols, own, gamma};
  }
};

template <class T, class A, bool kApart = false>
struct RowAddGradientMaps {
  RowGradientMaps<T, A, kApart> plain;
  const T* dh;

  HWY_INLINE T* out() const { return plain.out(); }
  HWY_INLINE RowAddGradientMaps<T, A> at_shared_lines(SharedLines<T>& of) const {
    return {plain.at_shared_lines(of), dh};
  }
  HWY_INLINE auto row(int64_t r) const { return RowAddGradientMap<T, A, kApart>{plain.row(r), dh + r * plain.cols}; }
};

/// The cache line in which a row ends and the next begins. Both rows are computed for the whole line, which is then
/// written at once. Written in two parts it would cost a read and a write of memory.
template <class Map>
HWY_INLINE void map_shared_row_line(const Map& before, const Map& map, int64_t cols, int64_t split) {
  using U = typename Map::Vector;
  for (int64_t k = 0; k < kMapLine<Map>; k += U::kWidth) {
    const auto last = before.template value<U>(cols - split + k, k), first = map.template value<U>(k - split, k);
    U::stream(U::first_of(split - k, last, first), map.out + k - split);
  }
}

/// Writes map's values of columns [begin, end), and prefetches what comes `ahead` elements later. With non-temporal
/// stores, `begin` begins a cache line.
template <class A, bool kStream, class Map>
HWY_INLINE void map_row_columns(const Map& map, int64_t begin, int64_t end, int64_t ahead) {
  for (const int64_t reach = map.reach(); begin < end;) {
    const int64_t n = std::min(reach, end - begin);
    const auto part = map.from(begin);
    const int64_t k = map_whole_lines<kStream>(part, 0, 0, n, ahead);
    if (k < n) {
      part.prefetch(k + ahead);
      map_columns<A>(part, 0, k, n);
    }
    begin += n;
  }
}

/// By whole cache lines, with non-temporal stores.
template <class T, class A, class Maps>
HWY_INLINE void stream_rows(const Maps& maps, const RowExtent& rows, int64_t ahead) {
  const int64_t cols = rows.length;
  if (meeting_place(maps.out(), cols) == 0) {
    for (int64_t r = 0; r < rows.rows; ++r) map_row_columns<A, true>(maps.row(r), 0, cols, ahead);
    return;
  }
  SharedLines<T> shared_lines(maps.out(), cols);
  const auto shared_maps = maps.at_shared_lines(shared_lines);
  for (int64_t r = 0; r < rows.rows; ++r) {
    const auto map = maps.row(r);
    const bool joins_before = shared_lines.split > 0 && r > 0, joins_next = shared_lines.split > 0 && r + 1 < rows.rows;
    const int64_t begin = std::min(cols, to_next_line(map.out)), end = joins_next ? cols - shared_lines.split : cols;
    if (joins_before) {
      map_shared_row_line(shared_maps.row(r - 1), shared_maps.row(r), cols, shared_lines.split);
    } else {
      map_columns<A>(map, 0, 0, begin);
    }
    map_row_columns<A, true>(map, begin, end, ahead);
  }
}

template <class T, class A, class Maps>
HWY_INLINE void map_rows_of_batch(const Maps& maps, const RowExtent& rows, const Access& access) {
  if constexpr (kCanStream<T, A>) {
    if (access.stores == Stores::streamed) {
      stream_rows<T, A>(maps, rows, access.ahead);
      return;
    }
  }
  for (int64_t r = 0; r < rows.rows; ++r) map_row_columns<A, false>(maps.row(r), 0, rows.length, access.ahead);
}

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
