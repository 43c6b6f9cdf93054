#pragma once
#include <cstdint>

#include "kernels/rows.hpp"
#include "norm/row_schedule.hpp"

namespace unitvar::norm {

/// What the deviations of a row are taken from: its mean (layer normalization) or 0 (RMS normalization).
enum class Center { mean, zero };

/// The passes over a batch of rows, at most kMostBatchRows. The only place that knows both arithmetics: it decides for
/// float or double, row by row, from the row's own numbers and the parameters. Statistics are arrays with a value for
/// each row of the batch.
template <class T>
class RowBatch {
 public:
  using Fast = kernels::fast_t<T>;

  /// Parameters must stay where they are; those that no pass needs may be null.
  RowBatch(const kernels::RowKernels<T>& kernels, Center center, std::int64_t length,
           const kernels::ColumnParameters<T>& parameters) noexcept;

  /// (B80), (B83): the mean, or 0, and the mean square of what differs from it.
  void statistics(const T* x, std::int64_t rows, double* mean, double* var) const noexcept;
  /// (B80), (B83): y.
  void normalize(const T* x, T* y, std::int64_t rows, const double* mean, const double* rstd,
                 const kernels::Access& access) const noexcept;
  /// (B81), (B84): dx. May be dy.
  void input_gradient(const T* x, const T* dy, T* dx, std::int64_t rows, const double* mean, const double* rstd,
                      const kernels::Access& access) const noexcept;
  /// (B81), (B84): adds to the columns' sums of dy and of dy * x_hat.
  void parameter_sums(const T* x, const T* dy, std::int64_t rows, const double* mean, const double* rstd,
                      double* sum_dy, double* sum_dy_x_hat) const noexcept;

 private:
  void choose_shifts(const T* x, std::int64_t rows, double* shift) const noexcept;
  void gradient_sums(const T* x, const T* dy, std::int64_t rows, const double* mean, const double* rstd, double* sum_g,
                     double* sum_g_xmu) const noexcept;
  [[nodiscard]] RowExtent extent(std::int64_t rows) const noexcept { return {rows, length_}; }
  template <class A>
  [[nodiscard]] const kernels::RowPhases<T, A>& phases() const noexcept;

  const kernels::RowKernels<T>& kernels_;
  Center center_;
  std::int64_t length_;
  kernels::ColumnParameters<T> parameters_;
  bool parameters_are_ordinary_;
};

}  // namespace unitvar::norm
