// Rows with coefficients of their own and parameters by column: what is added up, and what an element becomes. Included
// once per instruction set.
#if defined(UNITVAR_KERNELS_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNITVAR_KERNELS_ROWS_INL_H_
#undef UNITVAR_KERNELS_ROWS_INL_H_
#else
#define UNITVAR_KERNELS_ROWS_INL_H_
#endif

#include <algorithm>
#include <limits>

#include "cpu/kernels/interleaved-inl.h"
#include "cpu/kernels/planar-inl.h"
#include "cpu/kernels/rows.hpp"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

/// A parameter at column k, in the arithmetic of U.
template <class U, class T>
HWY_INLINE typename U::Value parameter(const ColumnParameter<T>& p, int64_t k) {
  if constexpr (requires { U::at(p.values, k); }) {
    return U::at(p.values, k);
  } else {
    return U::load(p.values + k);
  }
}

/// Along a row: the terms of its moments.
template <class T, class A>
struct RowMomentTerms : MomentTerms<T, A, A> {
  HWY_INLINE RowMomentTerms from(int64_t k) const { return {{this->x + k, this->shift}}; }
  HWY_INLINE int64_t reach() const { return std::numeric_limits<int64_t>::max(); }
};

/// Along a row: g = gamma * dy and g * (x - center), at column i.
template <class T, class A>
struct RowGradientTerms {
  using Lane = A;
  const T* x;
  const T* dy;
  A center;
  ColumnParameter<T> gamma;

  template <class U>
  HWY_INLINE Terms<typename U::Value> terms(int64_t i, int64_t) const {
    const auto g = U::mul(U::load(dy + i), parameter<U>(gamma, i));
    return {g, U::mul(g, U::sub(U::load(x + i), U::at(center, i)))};
  }
  /// The same of the columns from k on, so many at most.
  HWY_INLINE RowGradientTerms from(int64_t k) const { return {x + k, dy + k, center, gamma.from(k)}; }
  HWY_INLINE int64_t reach() const { return gamma.reach(); }
  HWY_INLINE void prefetch(int64_t i) const {
    kernels::HWY_NAMESPACE::prefetch(x + i);
    kernels::HWY_NAMESPACE::prefetch(dy + i);
  }
};

/// ((x - center) * scale + shift) * gamma + beta: center is the mean as A holds it, shift what that leaves of it.
template <class T, class A>
struct RowNormalizeMap {
  static constexpr bool kHasEpilogue = false;
  using Vector = Widest<T, A, const A*>;
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
  HWY_INLINE RowNormalizeMap from(int64_t k) const {
    return {x + k, out + k, c, {parameters.gamma.from(k), parameters.beta.from(k)}};
  }
  HWY_INLINE int64_t reach() const { return std::min(parameters.gamma.reach(), parameters.beta.reach()); }
  HWY_INLINE void prefetch(int64_t i) const { kernels::HWY_NAMESPACE::prefetch(x + i); }
};

/// ((gamma * dy - level) - (x - center) * slope) * scale.
template <class T, class A>
struct RowGradientMap {
  static constexpr bool kHasEpilogue = false;
  using Vector = Widest<T, A, const A*>;
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

/// Groups of kLanes whose terms are added as a tree in A, before they go to double.
template <class A>
constexpr int kRowDepth = std::is_same_v<A, double> ? 1 : 8;

/// Columns after which a row's sums and another row's map take turns, so that memory is read and written all the time.
constexpr int64_t kTurn = 8 * kLanes;
static_assert(kMostRepeated % kTurn == 0, "trees of groups would be cut elsewhere");

template <int n, class U, class Source>
UNITVAR_PART void add_descending(const Source& source, int64_t k, int64_t cols, Partial<U>& sums) {
  for (; k + n * kLanes <= cols; k += n * kLanes) add_groups<n>(source, k, sums);
  if constexpr (n > 1) add_descending<n / 2>(source, k, cols, sums);
}

/// A row's terms [k, end), which are whole trees of groups.
template <class A, class Source>
HWY_INLINE void add_trees(const Source& source, int64_t k, int64_t end, Partial<VectorOf<A>>& sums) {
  constexpr int64_t kGroups = kRowDepth<A> * kLanes;
  for (; k < end; k += kGroups) add_groups<kRowDepth<A>>(source, k, sums);
}

/// Adds elements [k, cols): kRowDepth groups of kLanes at a time, then half as many and so on, then single elements.
/// Folds the lanes into both sums of the row. `before` has the sums of the columns before k; it is null where k is 0.
/// Not inline, because it is long.
template <class A, class Source>
HWY_NOINLINE Terms<double> finish_row(const Source& source, int64_t k, int64_t cols,
                                      const Partial<VectorOf<A>>* before) {
  Partial<VectorOf<A>> sums;
  if (before == nullptr) {
    sums.clear();
  } else {
    sums = *before;
  }
  for (const int64_t reach = source.reach(); cols - k > reach; k += reach) {
    add_trees<A>(source.from(k), 0, reach, sums);
  }
  const auto rest = source.from(k);
  const int64_t left = cols - k;
  add_descending<kRowDepth<A>>(rest, 0, left, sums);
  k = left / kLanes * kLanes;
  if (k == left) return {sums.first.fold(), sums.second.fold()};
  double first[kLanes] = {}, second[kLanes] = {};
  for (int lane = 0; k < left; ++k, ++lane) {
    const auto terms = rest.template terms<ScalarOf<A>>(k, 0);
    first[lane] = static_cast<double>(terms.first);
    second[lane] = static_cast<double>(terms.second);
  }
  return {sums.first.fold_with(first), sums.second.fold_with(second)};
}

/// Writes map's values of columns [m, end), which are whole cache lines. Prefetches what comes `ahead` elements later.
template <bool kStream, class Map>
HWY_INLINE void map_turn(const Map& map, int64_t m, int64_t end, int64_t ahead) {
  for (; m < end; m += kMapLine<Map>) {
    map.prefetch(m + ahead);
    map_lines<kStream, 1>(map, 0, m);
  }
}

/// The same of more columns than the map may reach.
template <bool kStream, class Map>
HWY_INLINE void map_turns(const Map& map, int64_t m, int64_t end, int64_t ahead) {
  for (const int64_t reach = map.reach(); m < end;) {
    const int64_t n = std::min(reach, end - m);
    map_turn<kStream>(map.from(m), 0, n, ahead);
    m += n;
  }
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
    std::copy_n(of.from(cols - split).values, split, to);
    std::copy_n(of.values, kElements - split, to + split);
    return {to};
  }
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

/// Source's terms of n columns from k on, in turns with map's values of n columns from m on. Source and map are copied
/// where the reach of one of them ends, not once a turn: a copy would wait for the non-temporal stores.
template <bool kStream, class Source, class Map, class Sums>
HWY_INLINE void take_turns(const Source& source, const Map& map, int64_t k, int64_t m, int64_t n, int64_t ahead,
                           Sums& sums) {
  while (n > 0) {
    const int64_t both = std::min({n, source.reach(), map.reach()});
    const auto terms = source.from(k);
    const auto values = map.from(m);
    for (int64_t j = 0; j < both; j += kTurn) {
      add_trees<typename Source::Lane>(terms, j, j + kTurn, sums);
      map_turn<kStream>(values, j, j + kTurn, ahead);
    }
    k += both;
    m += both;
    n -= both;
  }
}

/// Adds up source's terms over a row, element k to lane k % kLanes. Writes map's values of columns [begin, end) of
/// another row. Either may be Nothing. With non-temporal stores, `begin` begins a cache line and the two take turns.
template <class A, bool kStream, class Source, class Map>
HWY_INLINE Terms<double> sweep_row(const Source& source, const Map& map, int64_t cols, int64_t begin, int64_t end,
                                   int64_t ahead) {
  using S = typename Source::Lane;
  Terms<double> total{};
  int64_t m = begin;
  if constexpr (!kIsNothing<Source> && !kIsNothing<Map> && kStream) {
    if (const int64_t n = (end - m) / kTurn * kTurn; n > 0) {
      Partial<VectorOf<S>> sums;
      sums.clear();
      take_turns<kStream>(source, map, 0, m, n, ahead, sums);
      m += n;
      total = finish_row<S, Source>(source, n, cols, &sums);
    } else {
      total = finish_row<S, Source>(source, 0, cols, nullptr);
    }
  } else if constexpr (!kIsNothing<Source>) {
    total = finish_row<S, Source>(source, 0, cols, nullptr);
  }
  if constexpr (!kIsNothing<Map>) {
    const int64_t whole = m + (end - m) / kMapLine<Map> * kMapLine<Map>;
    map_turns<kStream>(map, m, whole, ahead);
    if (whole < end) {
      map.prefetch(whole + ahead);
      const auto rest = map.from(whole);
      map_columns<A>(rest, 0, 0, end - whole);
    }
  }
  return total;
}

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
