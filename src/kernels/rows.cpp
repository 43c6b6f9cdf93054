// The table of row kernels of each instruction set: this file compiles itself once per Highway target.
#include "kernels/rows.hpp"

#include "kernels/targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/rows.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

template <class T, class A>
void moments(const T* x, const A* shift, const RowExtent& rows, double* first, double* second) {
  for (int64_t r = 0; r < rows.rows; ++r) {
    const auto sums = sum_row<A, kDepth>(MomentTerms<T, A, A>{x + r * rows.length, shift[r]}, rows.length);
    first[r] = sums.first;
    second[r] = sums.second;
  }
}

template <class T, class A>
void gradient_sums(const T* x, const T* dy, const A* center, const param_t<T>* gamma, const RowExtent& rows,
                   double* first, double* second) {
  for (int64_t r = 0; r < rows.rows; ++r) {
    const int64_t row = r * rows.length;
    const auto sums = sum_row<A, kDepth>(RowGradientTerms<T, A>{x + row, dy + row, center[r], gamma}, rows.length);
    first[r] = sums.first;
    second[r] = sums.second;
  }
}

/// Writes what map_of(r) makes of each row r.
template <class T, class A, class MapOf>
HWY_INLINE void map_each_row(const MapOf& map_of, const RowExtent& rows, const Access& access) {
  if constexpr (kCanStream<T, A>) {
    if (access.stores == Stores::streamed) {
      for (int64_t r = 0; r < rows.rows; ++r) map_row<A, true>(map_of(r), 0, rows.length, access.ahead);
      return;
    }
  }
  for (int64_t r = 0; r < rows.rows; ++r) map_row<A, false>(map_of(r), 0, rows.length, access.ahead);
}

template <class T, class A>
void normalize(const T* x, T* y, const NormalizeCoefficients<const A*>& c, const ColumnParameters<T>& parameters,
               const RowExtent& rows, const Access& access) {
  const auto map_of = [=](int64_t r) HWY_ATTR {
    const int64_t row = r * rows.length;
    return RowNormalizeMap<T, A>{x + row, y + row, {c.center[r], c.scale[r], c.beta[r]}, parameters};
  };
  map_each_row<T, A>(map_of, rows, access);
}

template <class T, class A>
void input_gradient(const T* x, const T* dy, T* dx, const GradientCoefficients<const A*>& c, const param_t<T>* gamma,
                    const RowExtent& rows, const Access& access) {
  const auto map_of = [=](int64_t r) HWY_ATTR {
    const int64_t row = r * rows.length;
    return RowGradientMap<T, A>{
        x + row, dy + row, dx + row, {c.center[r], at<A>(c.level, r), c.slope[r], c.scale[r]}, gamma};
  };
  map_each_row<T, A>(map_of, rows, access);
}

template <class T, class A>
void parameter_sums(const T* x, const T* dy, const NormalizeCoefficients<const A*>& c, const RowExtent& rows,
                    double* first, double* second) {
  const ParameterTerms<T, A> source{x, dy, rows.length, c};
  int64_t r = 0;
  if (rows_at_once(rows.length) == 4) {
    for (; r + 4 <= rows.rows; r += 4) add_columns<A, 4>(source, r, first, second);
  }
  for (; r < rows.rows; ++r) add_columns<A, 1>(source, r, first, second);
}

template <class T, class A>
constexpr RowPhases<T, A> kRowPhases{moments<T, A>, normalize<T, A>, gradient_sums<T, A>, input_gradient<T, A>,
                                     parameter_sums<T, A>};

template <class T>
constexpr RowKernels<T> kRowTable{kRowPhases<T, fast_t<T>>, kRowPhases<T, double>};

const RowKernels<float>* row_table_f32() { return &kRowTable<float>; }
const RowKernels<double>* row_table_f64() { return &kRowTable<double>; }
const RowKernels<bf16>* row_table_bf16() { return &kRowTable<bf16>; }
const RowKernels<f16>* row_table_f16() { return &kRowTable<f16>; }

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "kernels/dispatch.hpp"

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
