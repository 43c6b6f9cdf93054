// Rows with coefficients of their own: layer and RMS norm. Compiled as phases.cpp is.
#include "cpu/runtime/targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/rows.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "cpu/kernels/row_add-inl.h"
#include "cpu/kernels/row_maps-inl.h"
#include "cpu/kernels/table.hpp"
#include "cpu/kernels/target-inl.h"

#if UNITVAR_IN_GROUP
HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

template <class T, class S>
struct RowSums {
  static void moments(const T* x, const S* shift, const RowExtent& rows, double* first, double* second) {
    if (shift == nullptr) {
      sum_all_rows<kRowsAtATime<T, S>, S>(MomentRows<T, S, false>{x, shift, rows.length}, rows, first, second);
    } else {
      sum_all_rows<kRowsAtATime<T, S>, S>(MomentRows<T, S, true>{x, shift, rows.length}, rows, first, second);
    }
  }
  static void gradient_sums(const T* x, const T* dy, const RowExtent& rows, const NormalizeCoefficients<const S*>& c,
                            const ColumnParameter<T>& gamma, double* first, double* second,
                            const ColumnTotals<S>* columns) {
    if (columns == nullptr) {
      add_gradients<false>(x, dy, rows, c, gamma, first, second, {});
    } else {
      add_gradients<true>(x, dy, rows, c, gamma, first, second, *columns);
    }
  }

 private:
  template <bool kColumns>
  static void add_gradients(const T* x, const T* dy, const RowExtent& rows, const NormalizeCoefficients<const S*>& c,
                            const ColumnParameter<T>& gamma, double* first, double* second, const ColumnTotals<S>& to) {
    if (c.center == nullptr) {
      const GradientRows<T, S, false, kColumns> source{x, dy, c, gamma, rows.length, to};
      sum_all_rows<kRowsAtATime<T, S>, S>(source, rows, first, second);
    } else {
      const GradientRows<T, S, true, kColumns> source{x, dy, c, gamma, rows.length, to};
      sum_all_rows<kRowsAtATime<T, S>, S>(source, rows, first, second);
    }
  }
};

template <class T, class A>
struct RowMaps {
  static void normalize(const T* x, T* y, const NormalizeCoefficients<const A*>& c,
                        const ColumnParameters<T>& parameters, const RowExtent& rows, const Access& access) {
    map_apart_or_in_order<T, A>(parameters.gamma, y, rows.length, access.stores, [&](auto apart) HWY_ATTR {
      map_rows_of_batch<T, A>(RowNormalizeMaps<T, A, apart.value>{x, y, c, parameters, rows.length}, rows, access);
    });
  }
  static void input_gradient(const T* x, const T* dy, const T* dh, T* dx, const GradientCoefficients<const A*>& c,
                             const ColumnParameter<T>& gamma, const RowExtent& rows, const Access& access) {
    map_apart_or_in_order<T, A>(gamma, dx, rows.length, access.stores, [&](auto apart) HWY_ATTR {
      const RowGradientMaps<T, A, apart.value> plain{x, dy, dx, c, gamma, rows.length};
      if (dh == nullptr) {
        map_rows_of_batch<T, A>(plain, rows, access);
      } else {
        map_rows_of_batch<T, A>(RowAddGradientMaps<T, A, apart.value>{plain, dh}, rows, access);
      }
    });
  }
};

template <class T, class A>
using Maps = std::conditional_t<kIsShared<T, A>, RowMapsInDouble<T>, RowMaps<T, A>>;
/// See phases.cpp.
template <class T, class S>
using Sums = std::conditional_t<kIsSharedSum<T, S> && !kFastTarget, RowSumsInDouble<T>, RowSums<T, S>>;

template <class T, class A, class S = sum_in_t<T, A>>
constexpr RowPhases<T, A> kRowPhases{Sums<T, S>::moments, Maps<T, A>::normalize, Sums<T, S>::gradient_sums,
                                     Maps<T, A>::input_gradient};

template <class T>
void add(const RowSum<T>& of, int64_t n) {
  add_elements(of.x, of.residual, of.sum, n);
}
template <class T>
void keep(const RowSum<T>& of, int64_t n, Stores stores) {
  keep_elements(of, n, stores);
}

template <class T>
constexpr RowKernels<T> kRowTable{kRowPhases<T, fast_t<T>>, kRowPhases<T, double>, add<T>, keep<T>};

}  // namespace unitvar::kernels::HWY_NAMESPACE

namespace unitvar::kernels {

template <>
const RowKernels<UNITVAR_DTYPE>& table<RowKernels<UNITVAR_DTYPE>, HWY_NAMESPACE::this_isa()>() noexcept {
  return HWY_NAMESPACE::kRowTable<UNITVAR_DTYPE>;
}

#if UNITVAR_PORTABLE
template <class T>
void RowMapsInDouble<T>::normalize(const T* x, T* y, const NormalizeCoefficients<const double*>& c,
                                   const ColumnParameters<T>& parameters, const RowExtent& rows, const Access& access) {
  HWY_NAMESPACE::RowMaps<T, double>::normalize(x, y, c, parameters, rows, access);
}
template <class T>
void RowMapsInDouble<T>::input_gradient(const T* x, const T* dy, const T* dh, T* dx,
                                        const GradientCoefficients<const double*>& c, const ColumnParameter<T>& gamma,
                                        const RowExtent& rows, const Access& access) {
  HWY_NAMESPACE::RowMaps<T, double>::input_gradient(x, dy, dh, dx, c, gamma, rows, access);
}
template <class T>
void RowSumsInDouble<T>::moments(const T* x, const double* shift, const RowExtent& rows, double* first,
                                 double* second) {
  HWY_NAMESPACE::RowSums<T, double>::moments(x, shift, rows, first, second);
}
template <class T>
void RowSumsInDouble<T>::gradient_sums(const T* x, const T* dy, const RowExtent& rows,
                                       const NormalizeCoefficients<const double*>& c, const ColumnParameter<T>& gamma,
                                       double* first, double* second, const ColumnTotals<double>* columns) {
  HWY_NAMESPACE::RowSums<T, double>::gradient_sums(x, dy, rows, c, gamma, first, second, columns);
}
template struct RowSumsInDouble<UNITVAR_DTYPE>;
template struct RowMapsInDouble<UNITVAR_DTYPE>;
#endif

}  // namespace unitvar::kernels
HWY_AFTER_NAMESPACE();
#endif
