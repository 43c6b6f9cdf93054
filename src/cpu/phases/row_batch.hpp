#pragma once
#include <cstdint>

#include "cpu/kernels/rows.hpp"
#include "cpu/plan/row_schedule.hpp"
#include "cpu/precision/precision_counter.hpp"

namespace unitvar::cpu {

/// What the deviations of a row are taken from: its mean (layer normalization) or 0 (RMS normalization).
enum class Center { mean, zero };

/// A value for each row of a batch.
using BatchArray = double[kMostBatchRows];

/// Mean, or 0, and the mean square of what differs from it, for each row of a batch.
struct BatchMoments {
  BatchArray mean;
  BatchArray var;
};

/// sum(g) and sum(g * x_hat), g = gamma * dy, for each row of a batch. RMS normalization needs the first only where the
/// second does not tell how large the products g are.
struct BatchSums {
  BatchArray g;
  BatchArray g_x_hat;
};

/// The passes over a batch of rows, at most kMostBatchRows. Which arithmetic a row gets, fast or wide, says
/// cpu/precision/float_policy.hpp, from the row's own numbers and the parameters.
template <class T>
class RowBatch {
 public:
  using Fast = kernels::fast_t<T>;
  using Sum = kernels::sum_t<T>;
  using Totals = kernels::ColumnTotals<Sum>;

  /// Parameters must stay where they are, and so must `counts`, which may be null.
  RowBatch(const kernels::RowKernels<T>& kernels, Center center, std::int64_t length,
           const kernels::ColumnParameters<T>& parameters, PrecisionCounts* counts) noexcept;

  /// (B80), (B83): mean and var.
  void moments(const T* x, std::int64_t rows, BatchMoments& out) const noexcept;
  /// (B80), (B83): y.
  void normalize(const T* x, T* y, std::int64_t rows, const double* mean, const double* rstd,
                 const kernels::Access& access) const noexcept;
  /// (B81), (B84): the sums over each row, unless `out` is null. With `columns`, adds to the columns' sums of dy, if
  /// `with_dbeta`, and of dy * x_hat; those in Sum are of kMostFastRows rows at most.
  void gradient_sums(const T* x, const T* dy, std::int64_t rows, const double* mean, const double* rstd, BatchSums* out,
                     const Totals* columns, bool with_dbeta) const noexcept;
  /// (B81), (B84), with dh unless it is null (B87): dx from the sums over each row. May be dy or dh.
  void input_gradient(const T* x, const T* dy, const T* dh, T* dx, std::int64_t rows, const double* mean,
                      const double* rstd, const BatchSums& sums, const kernels::Access& access) const noexcept;

  /// (B86): the sum that is normalized, beside both tensors, and then its way to memory.
  void add(const kernels::RowSum<T>& of, std::int64_t rows) const noexcept { kernels_.add(of, rows * length_); }
  void keep(const kernels::RowSum<T>& of, std::int64_t rows, kernels::Stores stores) const noexcept {
    kernels_.keep(of, rows * length_, stores);
  }

 private:
  void choose_shifts(const T* x, std::int64_t rows, double* shift) const noexcept;
  void finish_moments(const T* x, std::int64_t rows, double* shift, BatchArray& first,
                      BatchMoments& out) const noexcept;
  struct GradientInput;
  template <class S>
  void sums_in(const GradientInput& rows, std::int64_t b, std::int64_t e, bool centered, BatchSums& out,
               const kernels::ColumnTotals<S>* columns) const noexcept;
  std::int64_t finish_sums(const GradientInput& rows, BatchSums& out) const noexcept;

  /// Calls map(A(), b, e) for runs of the rows, A being Fast where keeps(r) holds for row r, or double.
  template <class Keeps, class Map>
  void for_runs_to_map(std::int64_t rows, const Keeps& keeps, const Map& map) const noexcept;

  [[nodiscard]] RowExtent extent(std::int64_t rows) const noexcept { return {rows, length_}; }
  template <class A>
  [[nodiscard]] const kernels::RowPhases<T, A>& phases() const noexcept;

  const kernels::RowKernels<T>& kernels_;
  Center center_;
  std::int64_t length_;
  kernels::ColumnParameters<T> parameters_;
  bool keeps_parameters_;  ///< Fast keeps the digits of all of them
  PrecisionCounter counter_;
};

}  // namespace unitvar::cpu
