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

#include "cpu/kernels/row_terms-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

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
