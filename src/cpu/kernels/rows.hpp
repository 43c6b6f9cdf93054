#pragma once
#include <cstdint>
#include <limits>

#include "cpu/kernels/kernels.hpp"
#include "unitvar/dtype.hpp"
#include "unitvar/row_extent.hpp"

/// The kernels of layer and RMS normalization: rows of contiguous elements that have their coefficients each, and
/// gamma and beta with a value for each column. As all kernels, they give the same bits on every instruction set.
namespace unitvar::kernels {

/// The most values that stand for an absent parameter: they fit the first-level cache.
inline constexpr std::int64_t kMostRepeated = 2048;

/// A parameter: one value per column. An absent parameter is an array of equal values, one per column but at most
/// kMostRepeated. A walk along the row therefore starts at the first value again where it continues (`from`), after at
/// most `reach` columns.
template <class T>
struct ColumnParameter {
  const param_t<T>* values;
  bool is_absent = false;

  /// The values from column k on, valid for `reach` columns.
  [[nodiscard]] ColumnParameter from(std::int64_t k) const noexcept {
    return {is_absent ? values : values + k, is_absent};
  }
  [[nodiscard]] std::int64_t reach() const noexcept {
    return is_absent ? kMostRepeated : std::numeric_limits<std::int64_t>::max();
  }
};

template <class T>
struct ColumnParameters {
  ColumnParameter<T> gamma;
  ColumnParameter<T> beta;
};

/// Sums of columns over a batch of rows. Column sums that S cannot hold are added to wide_first and wide_second.
template <class S>
struct ColumnTotals {
  S* first;
  S* second;
  double* wide_first;
  double* wide_second;
};

/// Passes over some rows, computed in A, and what is added up in S; sums over a row end in double. Coefficients and row
/// sums are arrays with a value for each row, column sums with one for each column. Pointers to elements are to the
/// first row's first.
template <class T, class A, class S = sum_in_t<T, A>>
struct RowPhases {
  /// Of each row, sum(x - shift) and sum((x - shift)^2).
  void (*moments)(const T* x, const S* shift, const RowExtent& rows, double* first, double* second);
  /// y = ((x - c.center) * c.scale + c.beta) * gamma + beta.
  void (*normalize)(const T* x, T* y, const NormalizeCoefficients<const A*>& c, const ColumnParameters<T>& parameters,
                    const RowExtent& rows, const Access& access);
  /// Of each row, sum(g) and sum(g * (x - center)), where g = gamma * dy.
  void (*gradient_sums)(const T* x, const T* dy, const S* center, const ColumnParameter<T>& gamma,
                        const RowExtent& rows, double* first, double* second);
  /// dx = ((gamma * dy - c.level) - (x - c.center) * c.slope) * c.scale; dx may be dy.
  void (*input_gradient)(const T* x, const T* dy, T* dx, const GradientCoefficients<const A*>& c,
                         const ColumnParameter<T>& gamma, const RowExtent& rows, const Access& access);
  /// Adds to each column sum(dy) and sum(dy * x_hat), where x_hat = (x - c.center) * c.scale + c.beta.
  void (*column_sums)(const T* x, const T* dy, const RowExtent& rows, const NormalizeCoefficients<const S*>& c,
                      const ColumnTotals<S>& to);
};

/// Rows behind those of a pass whose sums are taken beside it: none, or as many.
template <class S>
struct NextRows {
  std::int64_t rows;
  const S* center;
  double* first;
  double* second;
};

/// Two passes in one sweep: the last of some rows, side by side with the first of as many that follow them.
template <class T>
struct FusedRows {
  void (*forward)(const T* x, T* y, const NormalizeCoefficients<const fast_t<T>*>& c,
                  const ColumnParameters<T>& parameters, const RowExtent& rows, const Access& access,
                  const sum_t<T>* shift, double* first, double* second);
  void (*backward)(const T* x, const T* dy, T* dx, const GradientCoefficients<const fast_t<T>*>& c,
                   const ColumnParameter<T>& gamma, const RowExtent& rows, const Access& access, const sum_t<T>* center,
                   double* first, double* second);
  /// The same with column_sums of the first rows, whose x_hat has coefficients of its own, in one pass over them, where
  /// can_take_panels.
  void (*all_gradients)(const T* x, const T* dy, T* dx, const GradientCoefficients<const fast_t<T>*>& c,
                        const ColumnParameter<T>& gamma, const RowExtent& rows, const Access& access,
                        const NormalizeCoefficients<const sum_t<T>*>& x_hat, const ColumnTotals<sum_t<T>>& to,
                        const NextRows<sum_t<T>>& next);
};

/// The place in a cache line where a row begins and the row before it ends, in elements from the beginning of the line.
/// -1 if it is not the same for all rows.
template <class T>
std::int64_t meeting_place(const T* out, std::int64_t length) noexcept {
  constexpr std::size_t kLineBytes = 64;
  constexpr auto kElements = static_cast<std::int64_t>(kLineBytes / sizeof(T));
  const auto place = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(out) % kLineBytes / sizeof(T));
  return length % kElements == 0 && (place == 0 || length > kElements) ? place : -1;
}

/// Whether column sums and dx can be computed panel by panel. dx may not be dy: where float does not hold a column sum,
/// dy is read again. With non-temporal stores, all rows must meet at the same place of a cache line.
template <class T>
bool can_take_panels(const T* dy, const T* dx, std::int64_t length, const Access& access) noexcept {
  return dx != dy && (access.stores != Stores::streamed || meeting_place(dx, length) >= 0);
}

/// As MapsInDouble.
template <class T>
struct RowMapsInDouble {
  static void normalize(const T* x, T* y, const NormalizeCoefficients<const double*>& c,
                        const ColumnParameters<T>& parameters, const RowExtent& rows, const Access& access);
  static void input_gradient(const T* x, const T* dy, T* dx, const GradientCoefficients<const double*>& c,
                             const ColumnParameter<T>& gamma, const RowExtent& rows, const Access& access);
};
template <>
struct RowMapsInDouble<double> {};

/// As SumsInDouble.
template <class T>
struct RowSumsInDouble {
  static void moments(const T* x, const double* shift, const RowExtent& rows, double* first, double* second);
  static void gradient_sums(const T* x, const T* dy, const double* center, const ColumnParameter<T>& gamma,
                            const RowExtent& rows, double* first, double* second);
};
template <>
struct RowSumsInDouble<float> {};
template <>
struct RowSumsInDouble<double> {};

/// As MapsInDouble, for the column sums in double of 16 bits.
template <class T>
struct ColumnSumsInDouble {
  static void column_sums(const T* x, const T* dy, const RowExtent& rows, const NormalizeCoefficients<const double*>& c,
                          const ColumnTotals<double>& to);
};
template <>
struct ColumnSumsInDouble<float> {};
template <>
struct ColumnSumsInDouble<double> {};

/// The kernels of one instruction set.
template <class T>
struct RowKernels {
  RowPhases<T, fast_t<T>> fast;
  RowPhases<T, double> wide;
  FusedRows<T> fused;
};

/// The kernels that a call with CpuOptions{.isa = isa} runs. Throws as selected_isa does.
template <class T>
const RowKernels<T>& row_kernels_for(Isa isa);

}  // namespace unitvar::kernels
