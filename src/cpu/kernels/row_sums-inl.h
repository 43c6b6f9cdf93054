// Sums of rows and of columns: a few rows at a time, a few columns of all of them before the next. Included once per
// instruction set.
#if defined(UNITVAR_KERNELS_ROW_SUMS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNITVAR_KERNELS_ROW_SUMS_INL_H_
#undef UNITVAR_KERNELS_ROW_SUMS_INL_H_
#else
#define UNITVAR_KERNELS_ROW_SUMS_INL_H_
#endif

#include <algorithm>
#include <bit>

#include "cpu/kernels/planar-inl.h"
#include "cpu/kernels/rows.hpp"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

/// Vectors of both sums of rows that registers hold.
constexpr int kSumVectors = 4;
/// Rows that are taken at a time: a column's sums are loaded and stored once for all of them. Whether float holds these
/// sums is asked once for so many rows, so for 16 bits it fixes the bits, and is the same on every instruction set.
/// Where S is not what sums of T are taken in as a rule, a second copy of the code would not pay.
template <class T, class S>
constexpr int kRowsAtATime = kIsSharedSum<T, S> ? 1 : kSomeRows;
/// Columns of these rows that are taken at a time, once for each vector of lanes; they stay in L1 meanwhile. Terms in
/// float are added to double after so many columns, which fixes the bits. Of terms in double it changes none.
template <class S>
constexpr int64_t kSpan = (std::is_same_v<S, double> ? 32 : 8) * kLanes;

/// Columns of a row whose lanes are folded by themselves: enough to be added by many at once on other processors.
constexpr int64_t kPiece = 64 * kLanes;
static_assert(kPiece % kSpan<double> == 0 && kPiece % kSpan<float> == 0);

template <class S>
using RowVector = std::conditional_t<kHasVectors, VectorOf<S>, ScalarOf<S>>;

/// Whether U holds even and odd columns apart.
template <class U>
constexpr bool kIsApart = false;
#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
template <class T>
constexpr bool kIsApart<PairOf<T, false>> = PairOf<T, false>::kAlternate;
#endif

/// A parameter at column k, in the arithmetic of U.
template <class U, class T>
HWY_INLINE typename U::Value parameter(const ColumnParameter<T>& p, int64_t k) {
  if constexpr (kIsApart<U>) {
    return {U::M::load(p.apart.even + k / 2), U::M::load(p.apart.odd + k / 2)};
  } else if constexpr (requires { U::at(p.values, k); }) {
    return U::at(p.values, k);
  } else {
    return U::load(p.values + k);
  }
}

/// Both sums of n rows, in kLanes parts: column k belongs to part k % kLanes.
template <int n>
struct RowLanes {
  double first[n][kLanes], second[n][kLanes];

  HWY_INLINE RowLanes() {}
};

/// The lanes of a row, folded in halves to one vector.
HWY_INLINE auto fold_to_vector(const double* lanes) {
  using D = VectorOf<double>;
  Lanes<D> all;
  unrolled<kLanes / D::kWidth>([&](auto p) HWY_ATTR { all.parts[p].load(lanes + p * D::kWidth); });
  return all.fold_to_vector();
}

/// The lanes of n rows, folded in halves. Of four rows together, it takes a third of the instructions.
template <int n>
HWY_INLINE void fold_rows(const double (&lanes)[n][kLanes], double* to) {
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
  if constexpr (n == 4) {
    const hn::CappedTag<double, 4> d;
    const auto four = [&](int r) HWY_ATTR {
      const auto v = fold_to_vector(lanes[r]);
      if constexpr (hn::MaxLanes(Tag<double>()) == 8) {
        return hn::Add(hn::LowerHalf(d, v), hn::UpperHalf(d, v));
      } else {
        return v;
      }
    };
    const auto two = [&](auto v, auto w)
                         HWY_ATTR { return hn::Add(hn::ConcatLowerLower(d, w, v), hn::ConcatUpperUpper(d, w, v)); };
    const auto a = two(four(0), four(1)), b = two(four(2), four(3));
    hn::StoreU(hn::Add(hn::ConcatEven(d, b, a), hn::ConcatOdd(d, b, a)), d, to);
    return;
  }
#endif
  for (int r = 0; r < n; ++r) to[r] = fold_vector(Tag<double>(), fold_to_vector(lanes[r]));
}

/// A vector U of parts, for n rows, while a span of columns is added. Terms in double are added to what the lanes hold,
/// terms in float among themselves first. What the lanes hold is ignored in a row's first span.
template <class U, class S, int n, bool kFirst>
struct SpanSums {
  static constexpr bool kInDouble = std::is_same_v<S, double>;
  typename U::Value first[n], second[n];

  HWY_INLINE SpanSums() {}
  HWY_INLINE void clear() {
    unrolled<n>([&](auto r) HWY_ATTR {
      if constexpr (kFirst) first[r] = U::zero();
      second[r] = U::zero();
    });
  }
  HWY_INLINE void start(const RowLanes<n>& lanes, int p, bool is_first) {
    unrolled<n>([&](auto r) HWY_ATTR {
      if constexpr (kFirst) first[r] = started(lanes.first[r] + p, is_first);
      second[r] = started(lanes.second[r] + p, is_first);
    });
  }
  HWY_INLINE void finish(RowLanes<n>& lanes, int p, bool is_first) const {
    unrolled<n>([&](auto r) HWY_ATTR {
      if constexpr (kFirst) finish_one(first[r], lanes.first[r] + p, is_first);
      finish_one(second[r], lanes.second[r] + p, is_first);
    });
  }

 private:
  static HWY_INLINE typename U::Value started([[maybe_unused]] const double* from, [[maybe_unused]] bool is_first) {
    if constexpr (kInDouble) {
      return is_first ? U::zero() : U::load(from);
    } else {
      return U::zero();
    }
  }
  static HWY_INLINE void finish_one(typename U::Value sum, double* to, bool is_first) {
    if constexpr (kInDouble) {
      U::store(sum, to);
    } else if constexpr (std::is_same_v<U, ScalarOf<S>>) {
      *to = (is_first ? 0 : *to) + static_cast<double>(sum);
    } else {
      Wide<U> wide;
      if (is_first) {
        wide.clear();
      } else {
        wide.load(to);
      }
      wide.add(sum);
      wide.store(to);
    }
  }
};

/// Whether registers hold both sums of a row in all lanes.
template <class S>
constexpr bool kLanesFitRegisters =
    std::is_same_v<S, double>&& kHasVectors&& kLanes / VectorOf<double>::kWidth <= kSumVectors;

/// The terms of moments: d = x - shift and d * d. Without shift, x * x alone.
template <class T, class S, bool kShifted>
struct MomentRows {
  static constexpr bool kFirst = kShifted;
  static constexpr bool kInRegisters = kLanesFitRegisters<S>;
  const T* x;
  const S* shift;
  int64_t cols;

  HWY_INLINE MomentRows from(int64_t r) const { return {x + r * cols, shift + (kShifted ? r : 0), cols}; }
  HWY_INLINE const MomentRows& span(int64_t) const { return *this; }
  template <class U, int n>
  HWY_INLINE void add(int64_t k, SpanSums<U, S, n, kFirst>& sums) const {
    unrolled<n>([&](auto r) HWY_ATTR {
      auto d = U::load(x + r * cols + k);
      if constexpr (kShifted) {
        d = U::sub(d, U::at(shift[r], 0));
        sums.first[r] = U::add(sums.first[r], d);
      }
      sums.second[r] = U::add(sums.second[r], U::mul(d, d));
    });
  }
};

/// The terms of gradients. Of a row they are g = gamma * dy and g * x_hat, of a column dy and dy * x_hat, where
/// x_hat = (x - c.center) * c.scale + c.beta. Without center, x_hat = x * c.scale, and the first of both is left out.
template <class T, class S, bool kCentered, bool kColumns>
struct GradientRows {
  static constexpr bool kFirst = kCentered;
  static constexpr bool kInRegisters = false;  // the terms need too many themselves
  const T* x;
  const T* dy;
  NormalizeCoefficients<const S*> c;
  ColumnParameter<T> gamma;
  int64_t cols;
  ColumnTotals<S> to;
  int64_t base = 0;  ///< the column that gamma's values begin at

  HWY_INLINE GradientRows from(int64_t r) const {
    GradientRows rows = *this;
    rows.x += r * cols;
    rows.dy += r * cols;
    if constexpr (kCentered) {
      rows.c.center += r;
      rows.c.beta += r;
    }
    rows.c.scale += r;
    return rows;
  }
  HWY_INLINE GradientRows span(int64_t k) const {
    GradientRows rows = *this;
    rows.gamma = gamma.from(k);
    rows.base = k;
    return rows;
  }
  template <class U, int n>
  HWY_INLINE void add(int64_t k, SpanSums<U, S, n, kFirst>& sums) const {
    const auto own_gamma = parameter<U>(gamma, k - base);
    typename U::Value first, second;
    if constexpr (kColumns && kCentered) first = U::load(to.first + k);
    if constexpr (kColumns) second = U::load(to.second + k);
    unrolled<n>([&](auto r) HWY_ATTR {
      const auto g = U::load(dy + r * cols + k);
      const auto along = U::mul(g, x_hat<U>(r, k));
      if constexpr (kColumns && kCentered) first = U::add(first, g);
      if constexpr (kColumns) second = U::add(second, along);
      if constexpr (kCentered) sums.first[r] = U::add(sums.first[r], U::mul(g, own_gamma));
      sums.second[r] = U::add(sums.second[r], U::mul(along, own_gamma));
    });
    if constexpr (kColumns) {
      if constexpr (!kCentered) first = U::zero();
      keep<U, n>(k, first, second);
    }
  }

 private:
  template <class U>
  HWY_INLINE typename U::Value x_hat(int64_t r, int64_t k) const {
    auto d = U::load(x + r * cols + k);
    if constexpr (kCentered) d = U::sub(d, U::at(c.center[r], 0));
    d = U::mul(d, U::at(c.scale[r], 0));
    // In double, the center is the mean itself, so nothing is to be added.
    if constexpr (kCentered && !std::is_same_v<S, double>) d = U::add(d, U::at(c.beta[r], 0));
    return d;
  }
  /// A vector of column sums, which have got n rows more. What S does not hold is added in double instead.
  template <class U, int n>
  HWY_INLINE void keep(int64_t k, typename U::Value first, typename U::Value second) const {
    if constexpr (!std::is_same_v<S, double>) {
      if (HWY_UNLIKELY(!are_moderate<U>(first, second))) {
        S firsts[U::kWidth], seconds[U::kWidth];
        U::store(first, firsts);
        U::store(second, seconds);
        for (int j = 0; j < U::kWidth; ++j) keep_one(k + j, n, firsts[j], seconds[j]);
        return;
      }
    }
    if constexpr (kCentered) U::store(first, to.first + k);
    U::store(second, to.second + k);
  }
  HWY_NOINLINE void keep_one(int64_t k, int64_t n, S first, S second) const {
    if (are_moderate<ScalarOf<S>>(first, second)) {
      to.first[k] = first;
      to.second[k] = second;
      return;
    }
    for (int64_t r = 0; r < n; ++r) {
      const auto g = static_cast<double>(dy[r * cols + k]);
      to.wide_first[k] += g;
      to.wide_second[k] += g * x_hat<ScalarOf<double>>(r, k);
    }
  }
  template <class U>
  static HWY_INLINE bool are_moderate(typename U::Value first, typename U::Value second) {
    if constexpr (std::is_same_v<U, ScalarOf<S>>) {
      return std::abs(first) + std::abs(second) <= S(0x1p100);  // not NaN
    } else {
      const Tag<S> d;
      return hn::AllTrue(d, hn::Le(hn::Add(hn::Abs(first), hn::Abs(second)), hn::Set(d, S(0x1p100))));
    }
  }
};

/// Columns [begin, end) of n rows, whole groups of kLanes, for a few vectors of lanes at a time: as many as keep their
/// sums in registers.
template <class U, class S, int n, class Source>
HWY_INLINE void add_span(const Source& source, int64_t begin, int64_t end, bool is_first, RowLanes<n>& lanes) {
  constexpr int kVectors = std::clamp(kSumVectors / n, 1, kLanes / U::kWidth);
  for (int p = 0; p < kLanes; p += kVectors * U::kWidth) {
    SpanSums<U, S, n, Source::kFirst> sums[kVectors];
    unrolled<kVectors>([&](auto v) HWY_ATTR { sums[v].start(lanes, p + v * U::kWidth, is_first); });
    for (int64_t k = begin + p; k < end; k += kLanes) {
      unrolled<kVectors>([&](auto v) HWY_ATTR { source.add(k + v * U::kWidth, sums[v]); });
    }
    unrolled<kVectors>([&](auto v) HWY_ATTR { sums[v].finish(lanes, p + v * U::kWidth, is_first); });
  }
}

/// Columns [k, end) of n rows, less than a group of kLanes: whole vectors U. Returns the first column left over.
template <class U, class S, int n, class Source>
HWY_INLINE int64_t sum_rest(const Source& source, int64_t k, int64_t end, RowLanes<n>& lanes) {
  for (; k + U::kWidth <= end; k += U::kWidth) {
    SpanSums<U, S, n, Source::kFirst> sums;
    const int lane = static_cast<int>(k % kLanes);
    sums.start(lanes, lane, false);
    source.add(k, sums);
    sums.finish(lanes, lane, false);
  }
  return k;
}

/// The lanes of columns [begin, end) of n rows.
template <class S, int n, class Source>
HWY_NOINLINE void add_columns(const Source& source, int64_t begin, int64_t end, RowLanes<n>& lanes) {
  using U = RowVector<S>;
  const int64_t whole = begin + (end - begin) / kLanes * kLanes;
  int64_t k = begin;
  do {
    const int64_t to = std::min(whole, k + kSpan<S>);
    add_span<U, S>(source.span(k), k, to, k == begin, lanes);
    k = to;
  } while (k < whole);
  if (k < end) {
    const auto rest = source.span(k);
    k = sum_rest<U, S>(rest, k, end, lanes);
    sum_rest<ScalarOf<S>, S>(rest, k, end, lanes);
  }
}

/// Columns [k, end) of a row, less than a group of kLanes, whose sums registers hold.
template <class U, class Source>
HWY_INLINE void add_rest(const Source& source, int64_t k, int64_t end,
                         SpanSums<U, double, 1, Source::kFirst> (&sums)[kLanes / U::kWidth]) {
  unrolled<kLanes / U::kWidth>([&](auto p) HWY_ATTR {
    constexpr int kLane = p * U::kWidth;
    if (k + kLane + U::kWidth <= end) {
      source.add(k + kLane, sums[p]);
    } else if (k + kLane < end) {
      RowLanes<1> lanes;
      sums[p].finish(lanes, kLane, false);
      sum_rest<ScalarOf<double>, double>(source, k + kLane, end, lanes);
      sums[p].start(lanes, kLane, false);
    }
  });
}

/// Both sums of columns [begin, end) of one row, a piece at most. No lanes go through memory, which is a third of the
/// time of a short row.
template <class Source>
HWY_INLINE void sum_piece_in_registers(const Source& source, int64_t begin, int64_t end, double* first,
                                       double* second) {
  using U = VectorOf<double>;
  constexpr int kVectors = kLanes / U::kWidth;
  const int64_t rest = begin + (end - begin) / kLanes * kLanes;
  SpanSums<U, double, 1, Source::kFirst> sums[kVectors];
  unrolled<kVectors>([&](auto p) HWY_ATTR { sums[p].clear(); });
  for (int64_t k = begin; k < rest; k += kLanes) {
    unrolled<kVectors>([&](auto p) HWY_ATTR { source.add(k + p * U::kWidth, sums[p]); });
  }
  if (rest < end) add_rest<U>(source, rest, end, sums);
  const auto folded = [&](auto of) HWY_ATTR {
    Lanes<U> lanes;
    unrolled<kVectors>([&](auto p) HWY_ATTR { lanes.parts[p].v[0] = of(sums[p]); });
    return lanes.fold();
  };
  if constexpr (Source::kFirst) *first = folded([](const auto& s) HWY_ATTR { return s.first[0]; });
  *second = folded([](const auto& s) HWY_ATTR { return s.second[0]; });
}

/// Both sums of columns [begin, end) of n rows, a piece at most.
template <int n, class S, class Source>
HWY_INLINE void sum_piece(const Source& source, int64_t begin, int64_t end, double* first, double* second) {
  if constexpr (Source::kInRegisters) {
    sum_piece_in_registers(source, begin, end, first, second);
  } else {
    RowLanes<n> lanes;
    add_columns<S>(source, begin, end, lanes);
    if constexpr (Source::kFirst) fold_rows<n>(lanes.first, first);
    fold_rows<n>(lanes.second, second);
  }
}

/// Sums of n rows over pieces of kPiece columns, added in the tree of merge_tree: neighbours first. Level l holds the
/// sum of 2^l pieces if that bit of `pieces` is set.
template <int n>
struct PieceTree {
  static constexpr int kLevels = 64 - std::countr_zero(std::uint64_t{kPiece});
  double sums[kLevels][n];
  std::uint64_t pieces = 0;

  HWY_INLINE PieceTree() {}
  HWY_INLINE void add(double (&piece)[n]) {
    int level = 0;
    for (; (pieces >> level & 1) != 0; ++level) add_to(piece, level);
    std::copy_n(piece, n, sums[level]);
    ++pieces;
  }
  HWY_INLINE void finish(double* to) const {
    double total[n];
    int level = std::countr_zero(pieces);
    std::copy_n(sums[level], n, total);
    while ((pieces >> ++level) != 0) {
      if ((pieces >> level & 1) != 0) add_to(total, level);
    }
    std::copy_n(total, n, to);
  }

 private:
  HWY_INLINE void add_to(double (&piece)[n], int level) const {
    for (int r = 0; r < n; ++r) piece[r] = sums[level][r] + piece[r];
  }
};

/// Both sums of n rows.
template <int n, class S, class Source>
HWY_INLINE void sum_rows(const Source& source, int64_t cols, double* first, double* second) {
  if (cols <= kPiece) return sum_piece<n, S>(source, 0, cols, first, second);
  PieceTree<n> firsts, seconds;
  double first_piece[n], second_piece[n];
  for (int64_t k = 0; k < cols; k += kPiece) {
    sum_piece<n, S>(source, k, std::min(cols, k + kPiece), first_piece, second_piece);
    if constexpr (Source::kFirst) firsts.add(first_piece);
    seconds.add(second_piece);
  }
  if constexpr (Source::kFirst) firsts.finish(first);
  seconds.finish(second);
}

/// `most` rows at a time, unless registers hold the sums of one, and the last ones by themselves.
template <int most, class S, class Source>
HWY_INLINE void sum_all_rows(const Source& source, const RowExtent& rows, double* first, double* second) {
  constexpr int n = Source::kInRegisters ? 1 : most;
  int64_t r = 0;
  for (; r + n <= rows.rows; r += n) sum_rows<n, S>(source.from(r), rows.length, first + r, second + r);
  if constexpr (n > 1) {
    for (; r < rows.rows; ++r) sum_rows<1, S>(source.from(r), rows.length, first + r, second + r);
  }
}

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
