// Rows with coefficients of their own: layer and RMS norm. Compiled as phases.cpp is.
#include "cpu/runtime/targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/rows.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "cpu/kernels/row_passes-inl.h"
#include "cpu/kernels/table.hpp"
#include "cpu/kernels/target-inl.h"

#if UNITVAR_IN_GROUP
HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

template <class T, class A>
struct RowSums {
  static void moments(const T* x, const A* shift, const RowExtent& rows, double* first, double* second) {
    sweep<T, A>(RowMomentSources<T, A>{x, shift, rows.length}, NoRows(), rows, {}, first, second);
  }
  static void gradient_sums(const T* x, const T* dy, const A* center, const ColumnParameter<T>& gamma,
                            const RowExtent& rows, double* first, double* second) {
    sweep<T, A>(RowGradientSources<T, A>{x, dy, center, gamma, rows.length}, NoRows(), rows, {}, first, second);
  }
};

template <class T, class A>
struct RowMaps {
  static void normalize(const T* x, T* y, const NormalizeCoefficients<const A*>& c,
                        const ColumnParameters<T>& parameters, const RowExtent& rows, const Access& access) {
    sweep<T, A>(NoRows(), RowNormalizeMaps<T, A>{x, y, c, parameters, rows.length}, rows, access);
  }
  static void input_gradient(const T* x, const T* dy, T* dx, const GradientCoefficients<const A*>& c,
                             const ColumnParameter<T>& gamma, const RowExtent& rows, const Access& access) {
    sweep<T, A>(NoRows(), RowGradientMaps<T, A>{x, dy, dx, c, gamma, rows.length}, rows, access);
  }
};

template <class T, class A>
struct ColumnSums {
  static void column_sums(const T* x, const T* dy, const RowExtent& rows, const NormalizeCoefficients<const A*>& c,
                          const ColumnTotals<A>& to) {
    const ColumnTerms<T, A, false, ColumnRows<T, A>> terms{{x, dy, c, rows.length}, rows, to};
    const auto ignore = [](int64_t) {};
    int64_t k = terms.template add<VectorOf<A>, 4>(0, rows.length, ignore);
    k = terms.template add<VectorOf<A>, 1>(k, rows.length, ignore);
    terms.template add<ScalarOf<A>, 1>(k, rows.length, ignore);
  }
};

// Without vectors, each phase of those below runs by itself: arithmetic takes the time there, not memory.

template <class T, class A = fast_t<T>, class S = sum_t<T>>
void normalize_and_moments(const T* x, T* y, const NormalizeCoefficients<const A*>& c,
                           const ColumnParameters<T>& parameters, const RowExtent& rows, const Access& access,
                           const S* shift, double* first, double* second) {
  if constexpr (kHasVectors) {
    sweep<T, A>(RowMomentSources<T, S>{x + rows.size(), shift, rows.length},
                RowNormalizeMaps<T, A>{x, y, c, parameters, rows.length}, rows, access, first, second);
  } else {
    RowMaps<T, A>::normalize(x, y, c, parameters, rows, access);
    RowSums<T, S>::moments(x + rows.size(), shift, rows, first, second);
  }
}

template <class T, class A = fast_t<T>, class S = sum_t<T>>
void input_gradient_and_sums(const T* x, const T* dy, T* dx, const GradientCoefficients<const A*>& c,
                             const ColumnParameter<T>& gamma, const RowExtent& rows, const Access& access,
                             const S* center, double* first, double* second) {
  if constexpr (kHasVectors) {
    sweep<T, A>(RowGradientSources<T, S>{x + rows.size(), dy + rows.size(), center, gamma, rows.length},
                RowGradientMaps<T, A>{x, dy, dx, c, gamma, rows.length}, rows, access, first, second);
  } else {
    RowMaps<T, A>::input_gradient(x, dy, dx, c, gamma, rows, access);
    RowSums<T, S>::gradient_sums(x + rows.size(), dy + rows.size(), center, gamma, rows, first, second);
  }
}

/// Columns [k, end) in panels of whole cache lines. Returns the first column left over.
template <class T, class Map, class Terms, class Done>
HWY_INLINE int64_t add_panels(const Terms& terms, int64_t k, int64_t end, const Done& done) {
  using U = typename Map::Vector;
  constexpr int kLineOfVectors = kMapLine<Map> / U::kWidth, kNarrow = std::max(kLineOfVectors, kIsTwo<U> ? 2 : 4);
  constexpr int kWide = kLineOfVectors <= 2 ? kWidePanel * kLineOfVectors : kNarrow;
  if (!kIsHalf<T> || terms.extent.length * int64_t{sizeof(T)} % kCriticalStride == 0) {
    k = terms.template add<U, kWide>(k, end, done);
  }
  if constexpr (kIsHalf<T>) k = terms.template add<U, kNarrow>(k, end, done);
  return terms.template add<U, kLineOfVectors>(k, end, done);
}

/// Panels of columns, in turns with the sums of the next rows.
template <class T, class A, class S, bool kStream>
HWY_INLINE void all_gradients_of(const T* x, const T* dy, T* dx, const GradientCoefficients<const A*>& c,
                                 const ColumnParameter<T>& gamma, const RowExtent& rows, const Access& access,
                                 const NormalizeCoefficients<const S*>& x_hat, const ColumnTotals<S>& to,
                                 const NextRows<S>& next) {
  using Map = RowGradientMap<T, A>;
  using U = typename Map::Vector;
  using Rows = ColumnAndGradientRows<T, A, S>;
  const ColumnTerms<T, S, kStream, Rows> terms{{x, dy, dx, c, x_hat, gamma, rows.length}, rows, to};
  const RowGradientSources<T, S> sources{x + rows.size(), dy + rows.size(), next.center, gamma, rows.length};
  const RowExtent next_rows{next.rows, rows.length};
  RowsInTurns<S, RowGradientSources<T, S>> sums(sources, next_rows, access.ahead - rows.size(), next.first,
                                                next.second);
  const auto take_turn = [&](int64_t elements) { sums.advance(elements); };
  if constexpr (kStream) {
    SharedLines<T> shared_lines(dx, rows.length);
    const int64_t begin = shared_lines.split > 0 ? kLine<T> - shared_lines.split : 0,
                  end = rows.length - shared_lines.split;
    add_panels<T, Map>(terms, begin, end, take_turn);
    if (shared_lines.split > 0)
      terms.template add_shared_lines<U>(terms.rows.at_shared_lines(shared_lines), shared_lines.split);
  } else {
    int64_t k = add_panels<T, Map>(terms, 0, rows.length, take_turn);
    k = terms.template add<VectorOf<A>, 1>(k, rows.length, take_turn);
    terms.template add<ScalarOf<A>, 1>(k, rows.length, take_turn);
  }
  sums.finish();
}

template <class T, class A = fast_t<T>, class S = sum_t<T>>
void all_gradients(const T* x, const T* dy, T* dx, const GradientCoefficients<const A*>& c,
                   const ColumnParameter<T>& gamma, const RowExtent& rows, const Access& access,
                   const NormalizeCoefficients<const S*>& x_hat, const ColumnTotals<S>& to, const NextRows<S>& next) {
  if constexpr (!kHasVectors) {
    ColumnSums<T, S>::column_sums(x, dy, rows, x_hat, to);
    RowMaps<T, A>::input_gradient(x, dy, dx, c, gamma, rows, access);
    RowSums<T, S>::gradient_sums(x + rows.size(), dy + rows.size(), next.center, gamma, {next.rows, rows.length},
                                 next.first, next.second);
  } else if (access.stores == Stores::streamed) {
    all_gradients_of<T, A, S, true>(x, dy, dx, c, gamma, rows, access, x_hat, to, next);
  } else {
    all_gradients_of<T, A, S, false>(x, dy, dx, c, gamma, rows, access, x_hat, to, next);
  }
}

template <class T, class A>
using Maps = std::conditional_t<kIsShared<T, A>, RowMapsInDouble<T>, RowMaps<T, A>>;
/// See phases.cpp.
template <class T, class S>
using Sums = std::conditional_t<kIsSharedSum<T, S> && !kFastTarget, RowSumsInDouble<T>, RowSums<T, S>>;
template <class T, class S>
using Columns = std::conditional_t<kIsSharedSum<T, S>, ColumnSumsInDouble<T>, ColumnSums<T, S>>;

template <class T, class A, class S = sum_in_t<T, A>>
constexpr RowPhases<T, A> kRowPhases{Sums<T, S>::moments, Maps<T, A>::normalize, Sums<T, S>::gradient_sums,
                                     Maps<T, A>::input_gradient, Columns<T, S>::column_sums};

template <class T>
constexpr RowKernels<T> kRowTable{kRowPhases<T, fast_t<T>>,
                                  kRowPhases<T, double>,
                                  {normalize_and_moments<T>, input_gradient_and_sums<T>, all_gradients<T>}};

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
void RowMapsInDouble<T>::input_gradient(const T* x, const T* dy, T* dx, const GradientCoefficients<const double*>& c,
                                        const ColumnParameter<T>& gamma, const RowExtent& rows, const Access& access) {
  HWY_NAMESPACE::RowMaps<T, double>::input_gradient(x, dy, dx, c, gamma, rows, access);
}
template <class T>
void ColumnSumsInDouble<T>::column_sums(const T* x, const T* dy, const RowExtent& rows,
                                        const NormalizeCoefficients<const double*>& c, const ColumnTotals<double>& to) {
  HWY_NAMESPACE::ColumnSums<T, double>::column_sums(x, dy, rows, c, to);
}
template <class T>
void RowSumsInDouble<T>::moments(const T* x, const double* shift, const RowExtent& rows, double* first,
                                 double* second) {
  HWY_NAMESPACE::RowSums<T, double>::moments(x, shift, rows, first, second);
}
template <class T>
void RowSumsInDouble<T>::gradient_sums(const T* x, const T* dy, const double* center, const ColumnParameter<T>& gamma,
                                       const RowExtent& rows, double* first, double* second) {
  HWY_NAMESPACE::RowSums<T, double>::gradient_sums(x, dy, center, gamma, rows, first, second);
}
template struct RowSumsInDouble<UNITVAR_DTYPE>;
template struct RowMapsInDouble<UNITVAR_DTYPE>;
template struct ColumnSumsInDouble<UNITVAR_DTYPE>;
#endif

}  // namespace unitvar::kernels
HWY_AFTER_NAMESPACE();
#endif
