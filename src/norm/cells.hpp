#pragma once
#include <algorithm>
#include <cstdint>

#include "kernels/kernels.hpp"
#include "norm/merge.hpp"
#include "norm/tiling.hpp"

namespace unitvar::norm {

/// The unit of work: one tile of the channels [begin, end). `scratch` holds Cells::scratch_doubles() doubles that no
/// other thread uses.
struct Cell {
  std::int64_t begin, end;
  Tile tile;
  double* scratch;

  [[nodiscard]] std::int64_t channels() const noexcept { return end - begin; }
};

/// Per-channel arrays over all C channels, for normalize and input gradient.
using NormalizeArrays = kernels::NormalizeCoefficients<const double*>;
using GradientArrays = kernels::GradientCoefficients<const double*>;

/// The four phases on one cell: picks the kernel of the memory shape and feeds it. This is the only place that knows
/// both shapes.
template <class T>
class Cells {
 public:
  Cells(const kernels::Kernels<T>& kernels, const Tiling& tiling) noexcept : kernels_(kernels), tiling_(tiling) {}

  /// Doubles of scratch a cell of this many channels needs: four values for each of its columns.
  static std::int64_t scratch_doubles(const Tiling& tiling, std::int64_t channels) noexcept {
    return 4 * columns(tiling, channels);
  }

  /// Phase 1: the cell's mean and M2 per channel, into out[0 .. cell.channels()).
  void moments(const T* x, const Cell& cell, PairArrays out) const noexcept;
  /// Phase 3: the cell's sums per channel; `mean` is indexed by channel of the tensor.
  void gradient_sums(const T* x, const T* dy, const Cell& cell, const double* mean, PairArrays out) const noexcept;
  /// Phase 2.
  void normalize(const T* x, T* y, const Cell& cell, const NormalizeArrays& c) const noexcept;
  /// Phase 4.
  void input_gradient(const T* x, const T* dy, T* dx, const Cell& cell, const GradientArrays& c) const noexcept;

 private:
  [[nodiscard]] bool planar() const noexcept { return tiling_.shape == Shape::planar; }
  [[nodiscard]] std::int64_t offset(const Cell& cell) const noexcept {
    return tiling_.extent.index(cell.tile.row, cell.begin, cell.tile.col);
  }
  [[nodiscard]] kernels::Rect rect(const Cell& cell) const noexcept {
    const std::int64_t width = planar() ? 1 : cell.channels();
    return {cell.tile.rows, width * cell.tile.cols, tiling_.extent.channels * tiling_.extent.inner};
  }
  /// Columns that have coefficients and sums of their own.
  static std::int64_t columns(const Tiling& tiling, std::int64_t channels) noexcept {
    return tiling.shape == Shape::planar ? 1 : channels * tiling.extent.inner;
  }
  /// The i-th array, i < 4, with one element for each of the cell's columns, in its scratch.
  [[nodiscard]] double* array(const Cell& cell, int i) const noexcept {
    return cell.scratch + i * columns(tiling_, cell.channels());
  }
  /// {sum(x - shift), sum((x - shift)^2)} for each of the cell's channels.
  void shifted_sums(const T* data, const Cell& cell, const double* shift, PairArrays out) const noexcept;
  /// Repeats the value of each of the cell's channels for each of its columns.
  const double* per_column(const double* values, const Cell& cell, double* out) const noexcept;
  /// Adds the columns of each channel.
  void fold_columns(const Cell& cell, const double* first, const double* second, PairArrays out) const noexcept;

  const kernels::Kernels<T>& kernels_;
  const Tiling& tiling_;
};

}  // namespace unitvar::norm
