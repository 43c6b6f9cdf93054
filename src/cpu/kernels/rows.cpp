// The table of row kernels of each instruction set: this file compiles itself once per Highway target.
#include "cpu/kernels/rows.hpp"

#include "cpu/runtime/targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/rows.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "cpu/kernels/columns-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

// What is added up for row r, and what becomes of it.

template <class T, class A>
struct MomentRows {
  const T* x;
  const A* shift;
  int64_t cols;

  HWY_INLINE auto row(int64_t r) const { return RowMomentTerms<T, A>{{x + r * cols, shift[r]}}; }
};

template <class T, class A>
struct GradientRows {
  const T* x;
  const T* dy;
  const A* center;
  ColumnParameter<T> gamma;
  int64_t cols;

  HWY_INLINE auto row(int64_t r) const { return RowGradientTerms<T, A>{x + r * cols, dy + r * cols, center[r], gamma}; }
};

template <class T, class A>
struct NormalizeRows {
  const T* x;
  T* y;
  const NormalizeCoefficients<const A*>& c;
  ColumnParameters<T> parameters;
  int64_t cols;

  HWY_INLINE T* out() const { return y; }
  HWY_INLINE NormalizeRows at_shared_lines(SharedLines<T>& of) const {
    return {x, y, c, {of.copied(parameters.gamma, cols, of.gamma), of.copied(parameters.beta, cols, of.beta)}, cols};
  }
  HWY_INLINE auto row(int64_t r) const {
    return RowNormalizeMap<T, A>{x + r * cols, y + r * cols, {c.center[r], c.scale[r], c.beta[r]}, parameters};
  }
};

template <class T, class A>
struct InputGradientRows {
  const T* x;
  const T* dy;
  T* dx;
  const GradientCoefficients<const A*>& c;
  ColumnParameter<T> gamma;
  int64_t cols;

  HWY_INLINE T* out() const { return dx; }
  HWY_INLINE InputGradientRows at_shared_lines(SharedLines<T>& of) const {
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

/// The same by whole lines of memory, past the caches.
template <class T, class A, class Sources, class Maps>
HWY_INLINE void stream_rows(const Sources& sources, const Maps& maps, const RowExtent& rows, int64_t ahead,
                            double* first, double* second) {
  const int64_t cols = rows.length;
  SharedLines<T> shared_lines(maps.out(), cols);
  const Maps seam_maps = maps.at_shared_lines(shared_lines);
  for (int64_t r = 0; r < rows.rows; ++r) {
    const auto map = maps.row(r);
    const bool joins_before = shared_lines.split > 0 && r > 0, joins_next = shared_lines.split > 0 && r + 1 < rows.rows;
    const int64_t begin = std::min(cols, to_next_line(map.out)), end = joins_next ? cols - shared_lines.split : cols;
    if (joins_before) {
      map_row_seam(seam_maps.row(r - 1), seam_maps.row(r), cols, shared_lines.split);
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

template <class T, class A>
void moments(const T* x, const A* shift, const RowExtent& rows, double* first, double* second) {
  sweep<T, A>(MomentRows<T, A>{x, shift, rows.length}, NoRows(), rows, {}, first, second);
}

template <class T, class A>
void normalize(const T* x, T* y, const NormalizeCoefficients<const A*>& c, const ColumnParameters<T>& parameters,
               const RowExtent& rows, const Access& access) {
  sweep<T, A>(NoRows(), NormalizeRows<T, A>{x, y, c, parameters, rows.length}, rows, access);
}

template <class T, class A>
void input_gradient(const T* x, const T* dy, T* dx, const GradientCoefficients<const A*>& c,
                    const ColumnParameter<T>& gamma, const RowExtent& rows, const Access& access) {
  sweep<T, A>(NoRows(), InputGradientRows<T, A>{x, dy, dx, c, gamma, rows.length}, rows, access);
}

template <class T, class A>
void gradient_sums(const T* x, const T* dy, const A* center, const ColumnParameter<T>& gamma, const RowExtent& rows,
                   double* first, double* second) {
  sweep<T, A>(GradientRows<T, A>{x, dy, center, gamma, rows.length}, NoRows(), rows, {}, first, second);
}

template <class T, class A>
void column_sums(const T* x, const T* dy, const RowExtent& rows, const NormalizeCoefficients<const A*>& c,
                 const ColumnTotals<A>& to) {
  const ColumnTerms<T, A, false, ColumnRows<T, A>> terms{{x, dy, c, rows.length}, rows, to};
  const auto ignore = [](int64_t) {};
  int64_t k = terms.template add<VectorOf<A>, 4>(0, rows.length, ignore);
  k = terms.template add<VectorOf<A>, 1>(k, rows.length, ignore);
  terms.template add<ScalarOf<A>, 1>(k, rows.length, ignore);
}

template <class T, class A = fast_t<T>, class S = sum_t<T>>
void normalize_and_moments(const T* x, T* y, const NormalizeCoefficients<const A*>& c,
                           const ColumnParameters<T>& parameters, const RowExtent& rows, const Access& access,
                           const S* shift, double* first, double* second) {
  sweep<T, A>(MomentRows<T, S>{x + rows.size(), shift, rows.length},
              NormalizeRows<T, A>{x, y, c, parameters, rows.length}, rows, access, first, second);
}

template <class T, class A = fast_t<T>, class S = sum_t<T>>
void input_gradient_and_sums(const T* x, const T* dy, T* dx, const GradientCoefficients<const A*>& c,
                             const ColumnParameter<T>& gamma, const RowExtent& rows, const Access& access,
                             const S* center, double* first, double* second) {
  sweep<T, A>(GradientRows<T, S>{x + rows.size(), dy + rows.size(), center, gamma, rows.length},
              InputGradientRows<T, A>{x, dy, dx, c, gamma, rows.length}, rows, access, first, second);
}

/// Columns [k, end) by blocks of whole lines. Returns the first column left over.
template <class T, class Map, class Terms, class Done>
HWY_INLINE int64_t add_blocks(const Terms& terms, int64_t k, int64_t end, const Done& done) {
  using U = typename Map::Vector;
  constexpr int kLineOfVectors = kMapLine<Map> / U::kWidth, kNarrow = std::max(kLineOfVectors, kIsTwo<U> ? 2 : 4);
  constexpr int kWide = kLineOfVectors <= 2 ? kWideBlock * kLineOfVectors : kNarrow;
  if (!kIsHalf<T> || terms.extent.length * int64_t{sizeof(T)} % kCriticalStride == 0) {
    k = terms.template add<U, kWide>(k, end, done);
  }
  if constexpr (kIsHalf<T>) k = terms.template add<U, kNarrow>(k, end, done);
  return terms.template add<U, kLineOfVectors>(k, end, done);
}

/// Blocks of columns down the rows, and in turn with them the next rows' sums.
template <class T, class A, class S, bool kStream>
HWY_INLINE void all_gradients_of(const T* x, const T* dy, T* dx, const GradientCoefficients<const A*>& c,
                                 const ColumnParameter<T>& gamma, const RowExtent& rows, const Access& access,
                                 const NormalizeCoefficients<const S*>& x_hat, const ColumnTotals<S>& to,
                                 const NextRows<S>& next) {
  using Map = RowGradientMap<T, A>;
  using U = typename Map::Vector;
  using Rows = ColumnAndGradientRows<T, A, S>;
  const ColumnTerms<T, S, kStream, Rows> terms{{x, dy, dx, c, x_hat, gamma, rows.length}, rows, to};
  const GradientRows<T, S> sources{x + rows.size(), dy + rows.size(), next.center, gamma, rows.length};
  const RowExtent next_rows{next.rows, rows.length};
  RowsInTurns<S, GradientRows<T, S>> sums(sources, next_rows, access.ahead - rows.size(), next.first, next.second);
  const auto take_turn = [&](int64_t elements) { sums.advance(elements); };
  if constexpr (kStream) {
    SharedLines<T> shared_lines(dx, rows.length);
    const int64_t begin = shared_lines.split > 0 ? kLine<T> - shared_lines.split : 0,
                  end = rows.length - shared_lines.split;
    add_blocks<T, Map>(terms, begin, end, take_turn);
    if (shared_lines.split > 0)
      terms.template add_shared_lines<U>(terms.rows.at_shared_lines(shared_lines), shared_lines.split);
  } else {
    int64_t k = add_blocks<T, Map>(terms, 0, rows.length, take_turn);
    k = terms.template add<VectorOf<A>, 1>(k, rows.length, take_turn);
    terms.template add<ScalarOf<A>, 1>(k, rows.length, take_turn);
  }
  sums.finish();
}

template <class T, class A = fast_t<T>, class S = sum_t<T>>
void all_gradients(const T* x, const T* dy, T* dx, const GradientCoefficients<const A*>& c,
                   const ColumnParameter<T>& gamma, const RowExtent& rows, const Access& access,
                   const NormalizeCoefficients<const S*>& x_hat, const ColumnTotals<S>& to, const NextRows<S>& next) {
  if (access.stores == Stores::streamed) {
    all_gradients_of<T, A, S, true>(x, dy, dx, c, gamma, rows, access, x_hat, to, next);
  } else {
    all_gradients_of<T, A, S, false>(x, dy, dx, c, gamma, rows, access, x_hat, to, next);
  }
}

template <class T, class A>
constexpr RowPhases<T, A> kRowPhases{moments<T, sum_in_t<T, A>>, normalize<T, A>, gradient_sums<T, sum_in_t<T, A>>,
                                     input_gradient<T, A>, column_sums<T, sum_in_t<T, A>>};

template <class T>
constexpr RowKernels<T> kRowTable{kRowPhases<T, fast_t<T>>,
                                  kRowPhases<T, double>,
                                  {normalize_and_moments<T>, input_gradient_and_sums<T>, all_gradients<T>}};

const RowKernels<float>* row_table_f32() { return &kRowTable<float>; }
const RowKernels<double>* row_table_f64() { return &kRowTable<double>; }
const RowKernels<bf16>* row_table_bf16() { return &kRowTable<bf16>; }
const RowKernels<f16>* row_table_f16() { return &kRowTable<f16>; }

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "cpu/kernels/dispatch.hpp"

namespace unitvar::kernels {

HWY_EXPORT(row_table_f32);
HWY_EXPORT(row_table_f64);
HWY_EXPORT(row_table_bf16);
HWY_EXPORT(row_table_f16);

template <>
const RowKernels<float>& row_kernels_for<float>(Isa isa) {
  return *pick(HWY_DISPATCH_TABLE(row_table_f32), isa);
}

template <>
const RowKernels<double>& row_kernels_for<double>(Isa isa) {
  return *pick(HWY_DISPATCH_TABLE(row_table_f64), isa);
}

template <>
const RowKernels<bf16>& row_kernels_for<bf16>(Isa isa) {
  return *pick(HWY_DISPATCH_TABLE(row_table_bf16), isa);
}

template <>
const RowKernels<f16>& row_kernels_for<f16>(Isa isa) {
  return *pick(HWY_DISPATCH_TABLE(row_table_f16), isa);
}

}  // namespace unitvar::kernels
#endif
