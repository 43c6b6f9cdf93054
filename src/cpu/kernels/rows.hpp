#pragma once
#include <concepts>
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

/// A parameter once more, for maps that are faster if they take even and odd columns apart: the values of even columns,
/// and those of odd ones. Null where there are none.
template <class T>
struct Apart {};
template <>
struct Apart<bf16> {
  const float* even = nullptr;
  const float* odd = nullptr;

  [[nodiscard]] Apart from(std::int64_t k) const noexcept {
    return even == nullptr ? Apart() : Apart{even + k / 2, odd + k / 2};
  }
};

/// A parameter: one value per column. An absent parameter is an array of equal values, one per column but at most
/// kMostRepeated. A walk along the row therefore starts at the first value again where it continues (`from`), after at
/// most `reach` columns.
template <class T>
struct ColumnParameter {
  const param_t<T>* values;
  bool is_absent = false;
  [[no_unique_address]] Apart<T> apart = {};

  /// The values from column k on, valid for `reach` columns. Those apart are valid if k is even.
  [[nodiscard]] ColumnParameter from(std::int64_t k) const noexcept {
    if (is_absent) return *this;
    ColumnParameter later = *this;
    later.values += k;
    if constexpr (requires { apart.from(k); }) later.apart = apart.from(k);
    return later;
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

/// Rows whose column sums are added at a time, counted from a batch's first.
inline constexpr int kSomeRows = 4;

/// Sums of columns, with a value for each column. What S does not hold is added to wide_first and wide_second. Few
/// enough rows are added for S to keep its digits (kMostFastRows).
template <class S>
struct ColumnTotals {
  S* first;
  S* second;
  double* wide_first;
  double* wide_second;
};

/// Passes over some rows, computed in A, and what is added up in S; sums over a row end in double. Coefficients and row
/// sums are arrays with a value for each row. Pointers to elements are to the first row's first.
template <class T, class A, class S = sum_in_t<T, A>>
struct RowPhases {
  /// Of each row, sum(x - shift) and sum((x - shift)^2). Where shift is null, sum(x^2) alone.
  void (*moments)(const T* x, const S* shift, const RowExtent& rows, double* first, double* second);
  /// y = ((x - c.center) * c.scale + c.beta) * gamma + beta.
  void (*normalize)(const T* x, T* y, const NormalizeCoefficients<const A*>& c, const ColumnParameters<T>& parameters,
                    const RowExtent& rows, const Access& access);
  /// Of each row, sum(g) and sum(g * x_hat), where g = gamma * dy and x_hat = (x - c.center) * c.scale + c.beta. With
  /// `columns`, adds sum(dy) and sum(dy * x_hat) of each column there. Where c.center is null, x_hat = x * c.scale, and
  /// the first sum of both is not taken.
  void (*gradient_sums)(const T* x, const T* dy, const RowExtent& rows, const NormalizeCoefficients<const S*>& c,
                        const ColumnParameter<T>& gamma, double* first, double* second, const ColumnTotals<S>* columns);
  /// dx = ((gamma * dy - c.level) - (x - c.center) * c.slope) * c.scale, plus dh unless that is null. dx may be dy or
  /// dh.
  void (*input_gradient)(const T* x, const T* dy, const T* dh, T* dx, const GradientCoefficients<const A*>& c,
                         const ColumnParameter<T>& gamma, const RowExtent& rows, const Access& access);
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

/// As MapsInDouble.
template <class T>
struct RowMapsInDouble {
  static void normalize(const T* x, T* y, const NormalizeCoefficients<const double*>& c,
                        const ColumnParameters<T>& parameters, const RowExtent& rows, const Access& access);
  static void input_gradient(const T* x, const T* dy, const T* dh, T* dx, const GradientCoefficients<const double*>& c,
                             const ColumnParameter<T>& gamma, const RowExtent& rows, const Access& access);
};
template <std::same_as<double> T>
struct RowMapsInDouble<T> {};

/// As SumsInDouble.
template <class T>
struct RowSumsInDouble {
  static void moments(const T* x, const double* shift, const RowExtent& rows, double* first, double* second);
  static void gradient_sums(const T* x, const T* dy, const RowExtent& rows,
                            const NormalizeCoefficients<const double*>& c, const ColumnParameter<T>& gamma,
                            double* first, double* second, const ColumnTotals<double>* columns);
};
template <class T>
requires(!kIsHalf<T>) struct RowSumsInDouble<T> {
};

/// Some rows of h = x + residual, rounded to T: `sum` holds them near the processor while they are normalized.
template <class T>
struct RowSum {
  const T* x;
  const T* residual;
  T* sum;
  T* h;  ///< may be x or the residual
};

/// The kernels of one instruction set.
template <class T>
struct RowKernels {
  RowPhases<T, fast_t<T>> fast;
  RowPhases<T, double> wide;
  /// sum = x + residual, of n elements.
  void (*add)(const RowSum<T>& of, std::int64_t n);
  /// h = sum.
  void (*keep)(const RowSum<T>& of, std::int64_t n, Stores stores);
};

/// The kernels that a call with CpuOptions{.isa = isa} runs. Throws as selected_isa does.
template <class T>
const RowKernels<T>& row_kernels_for(Isa isa);

}  // namespace unitvar::kernels
