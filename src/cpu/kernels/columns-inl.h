// Panels: a few neighbouring columns, through all rows of a batch. Here are the column sums, and dx where it is written
// in the same pass. Included once per instruction set.
#if defined(UNITVAR_KERNELS_COLUMNS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNITVAR_KERNELS_COLUMNS_INL_H_
#undef UNITVAR_KERNELS_COLUMNS_INL_H_
#else
#define UNITVAR_KERNELS_COLUMNS_INL_H_
#endif

#include "cpu/kernels/rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

template <class U>
constexpr bool kIsTwo = false;
#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
template <class T, bool kInOrder>
constexpr bool kIsTwo<PairOf<T, kInOrder>> = true;
#endif

#if HWY_TARGET != HWY_SCALAR
/// As many doubles as a vector of floats has elements: two vectors. The column sums of float tensors are added up in
/// it.
struct Doubles {
  using M = VectorOf<double>;
  static constexpr int kWidth = 2 * M::kWidth;
  struct Value {
    M::Value a, b;

    HWY_INLINE Value() {}
    HWY_INLINE Value(M::Value first, M::Value second) : a(first), b(second) {}
  };

  template <class T>
  static HWY_INLINE Value load(const T* p) {
    return {M::load(p), M::load(p + M::kWidth)};
  }
  static HWY_INLINE Value zero() { return {M::zero(), M::zero()}; }
  static HWY_INLINE Value add(Value v, Value w) { return {M::add(v.a, w.a), M::add(v.b, w.b)}; }
  static HWY_INLINE Value sub(Value v, Value w) { return {M::sub(v.a, w.a), M::sub(v.b, w.b)}; }
  static HWY_INLINE Value mul(Value v, Value w) { return {M::mul(v.a, w.a), M::mul(v.b, w.b)}; }
  static HWY_INLINE Value first_of(int64_t n, Value v, Value w) {
    return {M::first_of(n, v.a, w.a), M::first_of(n - M::kWidth, v.b, w.b)};
  }
  static HWY_INLINE Value at(double v, int64_t k) { return {M::at(v, k), M::at(v, k)}; }
  static HWY_INLINE Value at(const double* v, int64_t) { return load(v); }
};
template <>
inline constexpr bool kIsTwo<Doubles> = true;
#endif

/// The vector in which columns that are taken a U at a time are added up, in arithmetic S.
template <class U, class S>
struct AddedIn {
  using V = U;
};
template <>
struct AddedIn<ScalarOf<float>, double> {
  using V = ScalarOf<double>;
};
#if HWY_TARGET == HWY_SCALAR
template <>
struct AddedIn<VectorOf<float>, double> {
  using V = VectorOf<double>;
};
#else
template <>
struct AddedIn<VectorOf<float>, double> {
  using V = Doubles;
};
#endif
template <class U, class S>
using Added = typename AddedIn<U, S>::V;

/// The width of a panel in cache lines, where a vector is half a cache line or more. Wide panels need fewer passes down
/// the rows. On AVX2 the sums in double then spill from the registers, which costs less. 16 bits are faster with one or
/// two cache lines, with the exception below.
constexpr int64_t kWidePanel = 4;
/// Rows that lie a multiple of this many bytes apart begin in the same set of the first-level cache. The set holds
/// eight cache lines, so each pass down the rows evicts the lines that the next pass needs. There, wide panels are
/// faster for 16 bits too.
constexpr int64_t kCriticalStride = 4096;

/// Stores the elements of a VectorOf, PairOf or Doubles in A.
template <class U, class A>
HWY_INLINE void keep(typename U::Value v, A* p) {
  if constexpr (kIsTwo<U>) {
    U::M::store(v.a, p);
    U::M::store(v.b, p + U::M::kWidth);
  } else {
    U::store(v, p);
  }
}

/// The sums of a panel of n vectors. They are members, not an array: with an index that is no compile-time constant,
/// compilers keep an array in memory. Stores to it would share the store queue with the non-temporal stores of dx.
template <class U, int n>
struct PanelSums {
  typename U::Value first, second;
  PanelSums<U, n - 1> others;

  HWY_INLINE PanelSums() {}
  HWY_INLINE void clear() {
    first = second = U::zero();
    others.clear();
  }
  /// f(first, second, column) for each vector, the first at column k.
  template <class F>
  HWY_INLINE void for_each(int64_t k, const F& f) {
    f(first, second, k);
    others.for_each(k + U::kWidth, f);
  }
};
template <class U>
struct PanelSums<U, 0> {
  HWY_INLINE PanelSums() {}
  HWY_INLINE void clear() {}
  template <class F>
  HWY_INLINE void for_each(int64_t, const F&) {}
};

/// Down the columns of some rows: dy and dy * x_hat, where x_hat = (x - c.center) * c.scale + c.beta, for rows that are
/// few enough to be added up in S; what S does not hold is added in double. Rows::row(r) has x, dy, c and, if
/// Rows::kWrites, a map whose values are written at once.
template <class T, class S, bool kStream, class Rows>
struct ColumnTerms {
  Rows rows;
  RowExtent extent;
  ColumnTotals<S> to;

  /// Columns [k, end) in panels of n vectors U. The sums of a panel stay in registers while the rows are added. Calls
  /// done(elements) after each panel. Returns the first column left over.
  template <class U, int n, class Done>
  HWY_INLINE int64_t add(int64_t k, int64_t end, const Done& done) const {
    for (; k + n * U::kWidth <= end; k += n * U::kWidth) {
      add_panel<U, n>(k);
      done(extent.rows * n * U::kWidth);
    }
    return k;
  }

  /// The cache lines that two rows share: the last `split` columns of a row, then the first columns of the next.
  /// at_shared_lines has the parameters of those columns.
  template <class U>
  HWY_INLINE void add_shared_lines(const Rows& at_shared_lines, int64_t split) const {
    constexpr int64_t kElements = kLine<T>;
    const int64_t cols = extent.length, last = extent.rows - 1;
    S first[kElements] = {}, second[kElements] = {};
    add_alone(0, 0, kElements - split, first + split, second + split);
    for (int64_t r = 1; r <= last; ++r) {
      for (int64_t k = 0; k < kElements; k += U::kWidth) {
        add_shared_line<U>(at_shared_lines.row(r - 1), at_shared_lines.row(r), k, split, first + k, second + k);
      }
    }
    add_alone(last, cols - split, cols, first, second);
    for (int64_t j = 0; j < kElements; ++j) move_one({first[j], second[j]}, j < split ? cols - split + j : j - split);
  }

 private:
  /// In double, the center is the mean itself, so there is no shift to add.
  template <class V>
  static HWY_INLINE typename V::Value x_hat_of(typename V::Value x, typename V::Value center, typename V::Value scale,
                                               [[maybe_unused]] typename V::Value shift) {
    const auto scaled = V::mul(V::sub(x, center), scale);
    if constexpr (std::is_same_v<S, double>) {
      return scaled;
    } else {
      return V::add(scaled, shift);
    }
  }
  /// Columns [begin, end) of row r, one by one.
  HWY_NOINLINE void add_alone(int64_t r, int64_t begin, int64_t end, S* first, S* second) const {
    using V = ScalarOf<S>;
    const auto row = rows.row(r);
    const int64_t base = rows.base(begin);
    for (int64_t k = begin; k < end; ++k) {
      const S g = V::load(row.dy + k), x_hat = x_hat_of<V>(V::load(row.x + k), row.c.center, row.c.scale, row.c.beta);
      first[k - begin] += g;
      second[k - begin] += g * x_hat;
      using Scalar = kernels::HWY_NAMESPACE::ScalarOf<typename Rows::Lane>;
      Scalar::store(row.map.template value<Scalar>(k, k - base), row.map.out + k);
    }
  }
  /// Elements from k on of a shared cache line. Its first `split` elements belong to the row before.
  template <class U, class Row>
  HWY_INLINE void add_shared_line(const Row& before, const Row& row, int64_t k, int64_t split, S* first,
                                  S* second) const {
    using V = Added<U, S>;
    const auto own = [&](S of_before, S of_row)
                         HWY_ATTR { return V::first_of(split - k, V::at(of_before, 0), V::at(of_row, 0)); };
    const int64_t i = k - split, cols = extent.length;
    const auto g = V::load(row.dy + i);
    const auto x_hat = x_hat_of<V>(V::load(row.x + i), own(before.c.center, row.c.center),
                                   own(before.c.scale, row.c.scale), own(before.c.beta, row.c.beta));
    keep<V>(V::add(V::at(first, 0), g), first);
    keep<V>(V::add(V::at(second, 0), V::mul(g, x_hat)), second);
    const auto value =
        U::first_of(split - k, before.map.template value<U>(cols + i, k), row.map.template value<U>(i, k));
    put<true, U>(value, row.map.out + i);
  }
  /// Works on a copy of `rows`: members reached through `this` would be loaded again after each store.
  template <class U, int n>
  HWY_INLINE void add_panel(int64_t k) const {
    const Rows own = rows;
    const int64_t count = extent.rows;
    [[maybe_unused]] const int64_t base = own.base(k);
    using V = Added<U, S>;
    PanelSums<V, n> sums;
    sums.clear();
    for (int64_t r = 0; r < count; ++r) {
      const auto row = own.row(r);
      const auto center = V::at(row.c.center, 0), scale = V::at(row.c.scale, 0), shift = V::at(row.c.beta, 0);
      sums.for_each(k, [&](typename V::Value& first, typename V::Value& second, int64_t i) HWY_ATTR {
        const auto g = V::load(row.dy + i);
        first = V::add(first, g);
        second = V::add(second, V::mul(g, x_hat_of<V>(V::load(row.x + i), center, scale, shift)));
        if constexpr (Rows::kWrites) put<kStream, U>(row.map.template value<U>(i, i - base), row.map.out + i);
      });
    }
    sums.for_each(k, [&](typename V::Value first, typename V::Value second, int64_t i) HWY_ATTR {
      move_to_totals<V>({first, second}, i);
    });
  }
  template <class U>
  HWY_INLINE void move_to_totals(const Terms<typename U::Value>& sums, int64_t k) const {
    if constexpr (kIsTwo<U>) {
      move_to_totals<typename U::M>({sums.first.a, sums.second.a}, k);
      move_to_totals<typename U::M>({sums.first.b, sums.second.b}, k + U::M::kWidth);
    } else {
      move_vector<U>(sums, k);
    }
  }
  template <class U>
  HWY_INLINE void move_vector(const Terms<typename U::Value>& sums, int64_t k) const {
    if (HWY_LIKELY(are_moderate(sums))) {
      U::store(U::add(U::load(to.first + k), sums.first), to.first + k);
      U::store(U::add(U::load(to.second + k), sums.second), to.second + k);
      return;
    }
    S first[U::kWidth], second[U::kWidth];
    U::store(sums.first, first);
    U::store(sums.second, second);
    for (int j = 0; j < U::kWidth; ++j) move_one({first[j], second[j]}, k + j);
  }
  HWY_NOINLINE void move_one(const Terms<S>& sums, int64_t k) const {
    if (!are_moderate(sums)) return add_wide(k);
    to.first[k] += sums.first;
    to.second[k] += sums.second;
  }
  static HWY_INLINE bool are_moderate(const Terms<S>& sums) {
    if constexpr (std::is_same_v<S, double>) return true;
    return std::abs(sums.first) + std::abs(sums.second) <= S(0x1p100);  // not NaN
  }
  template <class V>
  static HWY_INLINE bool are_moderate(const Terms<V>& sums) {
    if constexpr (std::is_same_v<S, double>) return true;
    const Tag<S> d;
    return hn::AllTrue(d, hn::Le(hn::Add(hn::Abs(sums.first), hn::Abs(sums.second)), hn::Set(d, S(0x1p100))));
  }
  HWY_INLINE void add_wide(int64_t k) const {
    for (int64_t r = 0; r < extent.rows; ++r) {
      const auto row = rows.row(r);
      const auto g = static_cast<double>(row.dy[k]);
      const double d = static_cast<double>(row.x[k]) - static_cast<double>(row.c.center);
      to.wide_first[k] += g;
      to.wide_second[k] += g * (d * static_cast<double>(row.c.scale) + static_cast<double>(row.c.beta));
    }
  }
};

/// Both sums of rows that lie one after the other in memory. They are taken in turns with other work. Each turn also
/// prefetches what comes `early` elements later.
template <class A, class Sources>
struct RowsInTurns {
  const Sources& sources;
  const RowExtent& rows;
  int64_t early;
  double* first;
  double* second;
  int64_t row = 0, at = 0, credit = 0;
  Partial<VectorOf<A>> kept;

  HWY_INLINE RowsInTurns(const Sources& of, const RowExtent& extent, int64_t ahead, double* to_first, double* to_second)
      : sources(of), rows(extent), early(ahead), first(to_first), second(to_second) {}

  /// Tells that so many elements of the other work are done.
  HWY_INLINE void advance(int64_t elements) {
    credit += elements;
    if (credit > 0 && row < rows.rows) take_turn();
  }
  HWY_INLINE void finish() {
    if (row < rows.rows) advance(rows.size());
  }

 private:
  static constexpr int64_t kGroups = kRowDepth<A> * kLanes;

  HWY_NOINLINE void take_turn() {
    const int64_t cols = rows.length;
    int64_t r = row, k = at, left = credit;
    Partial<VectorOf<A>> own;
    if (k > 0) own = kept;
    while (left > 0 && r < rows.rows) {
      const auto source = sources.row(r);
      const int64_t begin = k, whole = cols / kGroups * kGroups;
      const int64_t n = std::min({whole - begin, (left + kGroups - 1) / kGroups * kGroups, source.reach()});
      const auto part = source.from(begin);
      if (begin == 0) own.clear();
      for (int64_t j = 0; j < n; j += kGroups) {
        prefetch_terms(part, j, j + kGroups);
        add_groups<kRowDepth<A>>(part, j, own);
      }
      k += n;
      if (k == whole) {
        prefetch_terms(source, k, cols);
        finish(source, r, k, own);
        k = cols;
      }
      left -= k - begin;
      if (k < cols) continue;
      k = 0;
      ++r;
    }
    if (k > 0) kept = own;
    row = r;
    at = k;
    credit = left;
  }
  template <class Source>
  HWY_INLINE void finish(const Source& source, int64_t r, int64_t k, Partial<VectorOf<A>>& own) const {
    const int64_t rest = rows.length % kLanes;
    add_descending<kRowDepth<A>>(source.from(k), 0, rows.length - k, own);
    if (rest == 0) {
      first[r] = own.first.fold();
      second[r] = own.second.fold();
    } else {
      const auto sums = finish_row<A>(source, rows.length - rest, rows.length, &own);
      first[r] = sums.first;
      second[r] = sums.second;
    }
  }
  template <class Source>
  HWY_INLINE void prefetch_terms(const Source& source, int64_t from, int64_t to) const {
    constexpr int64_t kElements = kLine<std::remove_cvref_t<decltype(*source.x)>>;
    for (; from < to; from += kElements) source.prefetch(from + early);
  }
};

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
