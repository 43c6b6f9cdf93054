// The passes over some rows: what each row reads and writes, and the sweep over the rows. Included once per instruction
// set.
#if defined(UNITVAR_KERNELS_ROW_PASSES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNITVAR_KERNELS_ROW_PASSES_INL_H_
#undef UNITVAR_KERNELS_ROW_PASSES_INL_H_
#else
#define UNITVAR_KERNELS_ROW_PASSES_INL_H_
#endif

#include "cpu/kernels/columns-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

// What the rows of a pass read and write: row(r) is the source of the terms of row r, or its map.

template <class T, class A>
struct RowMomentSources {
  const T* x;
  const A* shift;
  int64_t cols;

  HWY_INLINE auto row(int64_t r) const { return RowMomentTerms<T, A>{{x + r * cols, shift[r]}}; }
};

template <class T, class A>
struct RowGradientSources {
  const T* x;
  const T* dy;
  const A* center;
  ColumnParameter<T> gamma;
  int64_t cols;

  HWY_INLINE auto row(int64_t r) const { return RowGradientTerms<T, A>{x + r * cols, dy + r * cols, center[r], gamma}; }
};

template <class T, class A>
struct RowNormalizeMaps {
  const T* x;
  T* y;
  const NormalizeCoefficients<const A*>& c;
  ColumnParameters<T> parameters;
  int64_t cols;

  HWY_INLINE T* out() const { return y; }
  HWY_INLINE RowNormalizeMaps at_shared_lines(SharedLines<T>& of) const {
    return {x, y, c, {of.copied(parameters.gamma, cols, of.gamma), of.copied(parameters.beta, cols, of.beta)}, cols};
  }
  HWY_INLINE auto row(int64_t r) const {
    return RowNormalizeMap<T, A>{x + r * cols, y + r * cols, {c.center[r], c.scale[r], c.beta[r]}, parameters};
  }
};

template <class T, class A>
struct RowGradientMaps {
  const T* x;
  const T* dy;
  T* dx;
  const GradientCoefficients<const A*>& c;
  ColumnParameter<T> gamma;
  int64_t cols;

  HWY_INLINE T* out() const { return dx; }
  HWY_INLINE RowGradientMaps at_shared_lines(SharedLines<T>& of) const {
    return {x, dy, dx, c, of.copied(gamma, cols, of.gamma), cols};
  }
  HWY_INLINE auto row(int64_t r) const {
    const GradientCoefficients<A> own{c.center[r], at<A>(c.level, r), c.slope[r], c.scale[r]};
    return RowGradientMap<T, A>{x + r * cols, dy + r * cols, dx + r * cols, own, gamma};
  }
};

struct NoRows {
  HWY_INLINE Nothing row(int64_t) const { return {}; }
};

/// What column sums are taken of.
template <class T, class A>
struct ColumnRows {
  static constexpr bool kWrites = false;
  struct Row {
    const T* x;
    const T* dy;
    NormalizeCoefficients<A> c;
  };
  const T* x;
  const T* dy;
  NormalizeCoefficients<const A*> c;
  int64_t cols;

  HWY_INLINE int64_t base(int64_t) const { return 0; }
  HWY_INLINE Row row(int64_t r) const { return {x + r * cols, dy + r * cols, {c.center[r], c.scale[r], c.beta[r]}}; }
};

/// The same where dx is written at once.
template <class T, class A, class S>
struct ColumnAndGradientRows {
  static constexpr bool kWrites = true;
  using Lane = A;
  struct Row {
    const T* x;
    const T* dy;
    NormalizeCoefficients<S> c;
    RowGradientMap<T, A> map;
  };
  const T* x;
  const T* dy;
  T* dx;
  GradientCoefficients<const A*> c;
  NormalizeCoefficients<const S*> x_hat;
  ColumnParameter<T> gamma;
  int64_t cols;

  /// The column that gamma's values begin at, for columns from k on.
  HWY_INLINE int64_t base(int64_t k) const { return gamma.is_absent ? k : 0; }

  HWY_INLINE ColumnAndGradientRows at_shared_lines(SharedLines<T>& of) const {
    return {x, dy, dx, c, x_hat, of.copied(gamma, cols, of.gamma), cols};
  }
  HWY_INLINE Row row(int64_t r) const {
    const T *const row_x = x + r * cols, *const row_dy = dy + r * cols;
    return {row_x,
            row_dy,
            {x_hat.center[r], x_hat.scale[r], x_hat.beta[r]},
            {row_x, row_dy, dx + r * cols, {c.center[r], at<A>(c.level, r), c.slope[r], c.scale[r]}, gamma}};
  }
};

template <class Sources>
HWY_INLINE void keep_sums(int64_t r, const Terms<double>& sums, double* first, double* second) {
  if constexpr (!std::is_same_v<Sources, NoRows>) {
    first[r] = sums.first;
    second[r] = sums.second;
  }
}

template <class A, class Sources, class Maps>
HWY_INLINE void sweep_rows(const Sources& sources, const Maps& maps, const RowExtent& rows, int64_t ahead,
                           double* first, double* second) {
  for (int64_t r = 0; r < rows.rows; ++r) {
    const auto sums = sweep_row<A, false>(sources.row(r), maps.row(r), rows.length, 0, rows.length, ahead);
    keep_sums<Sources>(r, sums, first, second);
  }
}

/// The same by whole cache lines, with non-temporal stores.
template <class T, class A, class Sources, class Maps>
HWY_INLINE void stream_rows(const Sources& sources, const Maps& maps, const RowExtent& rows, int64_t ahead,
                            double* first, double* second) {
  const int64_t cols = rows.length;
  SharedLines<T> shared_lines(maps.out(), cols);
  const Maps shared_maps = maps.at_shared_lines(shared_lines);
  for (int64_t r = 0; r < rows.rows; ++r) {
    const auto map = maps.row(r);
    const bool joins_before = shared_lines.split > 0 && r > 0, joins_next = shared_lines.split > 0 && r + 1 < rows.rows;
    const int64_t begin = std::min(cols, to_next_line(map.out)), end = joins_next ? cols - shared_lines.split : cols;
    if (joins_before) {
      map_shared_row_line(shared_maps.row(r - 1), shared_maps.row(r), cols, shared_lines.split);
    } else {
      map_columns<A>(map, 0, 0, begin);
    }
    keep_sums<Sources>(r, sweep_row<A, true>(sources.row(r), map, cols, begin, end, ahead), first, second);
  }
}

template <class T, class A, class Sources, class Maps>
HWY_INLINE void sweep(const Sources& sources, const Maps& maps, const RowExtent& rows, const Access& access,
                      double* first = nullptr, double* second = nullptr) {
  if constexpr (!std::is_same_v<Maps, NoRows> && kCanStream<T, A>) {
    if (access.stores == Stores::streamed) {
      stream_rows<T, A>(sources, maps, rows, access.ahead, first, second);
      return;
    }
  }
  sweep_rows<A>(sources, maps, rows, access.ahead, first, second);
}

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
