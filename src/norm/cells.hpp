#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/kernels.hpp"
#include "norm/merge.hpp"
#include "norm/tiling.hpp"

namespace unitvar::norm {

/// The unit of work: one tile of the channels [begin, end). `scratch` holds Cells::scratch_bytes() bytes that no other
/// thread uses.
struct Cell {
  std::int64_t begin, end;
  Tile tile;
  std::byte* scratch;

  [[nodiscard]] std::int64_t channels() const noexcept { return end - begin; }
  /// The same tile of its channels b .. e - 1, counted from its first.
  [[nodiscard]] Cell part(std::int64_t b, std::int64_t e) const noexcept {
    return {begin + b, begin + e, tile, scratch};
  }
};

/// Per-channel arrays over all C channels, for normalize: y = (x - mean) * scale + beta.
struct NormalizeArrays {
  const double* mean;
  const double* scale;
  const double* beta;
};

/// For the input gradient: dx = ((dy - mean_dy) - (x - mean) * slope) * scale.
struct GradientArrays {
  const double* mean;
  const double* mean_dy;
  const double* slope;
  const double* scale;
};

/// The four phases on one cell. The only place that knows both memory shapes and both arithmetics: it picks the kernel
/// and feeds it. Which arithmetic a channel gets depends on its own numbers alone, never on its neighbours in the cell.
template <class T>
class Cells {
 public:
  Cells(const kernels::Kernels<T>& kernels, const Tiling& tiling, kernels::Access access) noexcept
      : kernels_(kernels), tiling_(tiling), access_(access) {}

  /// Scratch of a cell of this many channels: four doubles, or eight floats, for each of its columns.
  static std::int64_t scratch_bytes(const Tiling& tiling, std::int64_t channels) noexcept {
    return 4 * columns(tiling, channels) * static_cast<std::int64_t>(sizeof(double));
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
  using Fast = kernels::fast_t<T>;

  template <class A>
  [[nodiscard]] const kernels::Arithmetic<T, A>& arithmetic() const noexcept {
    if constexpr (std::is_same_v<A, double>) {
      return kernels_.wide;
    } else {
      return kernels_.fast;
    }
  }
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
  /// The i-th array of V, one element for each of the cell's columns, in its scratch.
  template <class V>
  [[nodiscard]] V* array(const Cell& cell, int i) const noexcept {
    return reinterpret_cast<V*>(cell.scratch) + i * columns(tiling_, cell.channels());
  }

  /// {sum(x - shift), sum((x - shift)^2)} for each of the cell's channels.
  template <class A>
  void shifted_sums(const T* x, const Cell& cell, const double* shift, PairArrays out) const noexcept;
  template <class A>
  void centered_sums(const T* x, const T* dy, const Cell& cell, const double* center, PairArrays out) const noexcept;
  void fast_gradient_sums(const T* x, const T* dy, const Cell& cell, const double* mean, PairArrays out) const noexcept;
  template <class A>
  void normalize_in(const T* x, T* y, const Cell& cell, const NormalizeArrays& c) const noexcept;
  template <class A>
  void input_gradient_in(const T* x, const T* dy, T* dx, const Cell& cell, const GradientArrays& c) const noexcept;
  [[nodiscard]] double first_guess(const T* data, const Cell& cell) const noexcept;
  void sum_again(const T* x, const Cell& cell, double* shift, PairArrays out) const noexcept;

  /// Repeats the value of each of the cell's channels for each of its columns, in array i (hi) and, in float, i + 1.
  template <class A>
  const A* per_column(const double* values, const Cell& cell, int i) const noexcept;
  template <class A>
  kernels::Split<const A*> split_per_column(const double* values, const Cell& cell, int i) const noexcept;
  /// Calls sum(first, second) with a zero for each column, and adds the columns of each channel.
  template <class Sum>
  void sum_columns(const Cell& cell, PairArrays out, const Sum& sum) const noexcept;

  const kernels::Kernels<T>& kernels_;
  const Tiling& tiling_;
  kernels::Access access_;
};

}  // namespace unitvar::norm
