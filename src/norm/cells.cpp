#include "norm/cells.hpp"

#include "unitvar/dtype.hpp"

namespace unitvar::norm {
namespace {

using std::int64_t;

/// A shift k standard deviations away from the mean costs a factor 1 + k^2 of double's precision in M2. Beyond k = 4 it
/// is moved to the mean that its own sums give. True if one moved: their tile must be summed again, from the cache.
/// Few tiles need it: those that begin with an outlier. NaN moves nothing.
bool recenter(double n, int64_t channels, double* shift, PairArrays sums) noexcept {
  constexpr double kMost = 4 * 4;
  bool moved = false;
  for (int64_t c = 0; c < channels; ++c) {
    const double between = sums.first[c] * (sums.first[c] / n);
    if (!(between > kMost * (sums.second[c] - between))) continue;
    shift[c] += sums.first[c] / n;
    moved = true;
  }
  return moved;
}

/// In place, {sum(x - shift), sum((x - shift)^2)} of n values -> mean and M2.
void to_moments(double n, int64_t channels, const double* shift, PairArrays sums) noexcept {
  for (int64_t c = 0; c < channels; ++c) {
    const double from_shift = sums.first[c] / n;
    const double m2 = sums.second[c] - sums.first[c] * from_shift;
    sums.first[c] = shift[c] + from_shift;
    sums.second[c] = m2 < 0 ? 0 : m2;  // keeps NaN
  }
}

}  // namespace

template <class T>
const double* Cells<T>::per_column(const double* values, const Cell& cell, double* out) const noexcept {
  const int64_t inner = tiling_.extent.inner;
  if (inner == 1) return values;
  double* next = out;
  for (int64_t c = 0; c < cell.channels(); ++c) next = std::fill_n(next, inner, values[c]);
  return out;
}

template <class T>
void Cells<T>::fold_columns(const Cell& cell, const double* first, const double* second,
                            PairArrays out) const noexcept {
  const int64_t inner = tiling_.extent.inner;
  for (int64_t c = 0; c < cell.channels(); ++c) {
    double a = 0, b = 0;
    for (int64_t k = c * inner; k < (c + 1) * inner; ++k) {
      a += first[k];
      b += second[k];
    }
    out.first[c] = a;
    out.second[c] = b;
  }
}

template <class T>
void Cells<T>::shifted_sums(const T* data, const Cell& cell, const double* shift, PairArrays out) const noexcept {
  const kernels::Rect r = rect(cell);
  if (planar()) {
    const kernels::SumPair sums = kernels_.planar_moments(data, r, *shift);
    *out.first = sums.first;
    *out.second = sums.second;
    return;
  }
  double* first = array(cell, 1);
  double* second = array(cell, 2);
  std::fill_n(first, r.cols, 0.0);
  std::fill_n(second, r.cols, 0.0);
  // All columns of a channel share a shift, so that their sums simply add.
  kernels_.interleaved_moments(data, r, per_column(shift, cell, array(cell, 0)), first, second);
  fold_columns(cell, first, second, out);
}

template <class T>
void Cells<T>::moments(const T* x, const Cell& cell, PairArrays out) const noexcept {
  const T* data = x + offset(cell);
  const auto n = static_cast<double>(cell.tile.rows * cell.tile.cols);
  double* shift = array(cell, 3);
  for (int64_t c = 0; c < cell.channels(); ++c) shift[c] = static_cast<double>(data[c * tiling_.extent.inner]);
  shifted_sums(data, cell, shift, out);
  if (recenter(n, cell.channels(), shift, out)) shifted_sums(data, cell, shift, out);
  to_moments(n, cell.channels(), shift, out);
}

template <class T>
void Cells<T>::gradient_sums(const T* x, const T* dy, const Cell& cell, const double* mean,
                             PairArrays out) const noexcept {
  const int64_t o = offset(cell);
  if (planar()) {
    const kernels::SumPair sums = kernels_.planar_gradient_sums(x + o, dy + o, rect(cell), mean[cell.begin]);
    *out.first = sums.first;
    *out.second = sums.second;
    return;
  }
  const kernels::Rect r = rect(cell);
  double* first = array(cell, 1);
  double* second = array(cell, 2);
  std::fill_n(first, r.cols, 0.0);
  std::fill_n(second, r.cols, 0.0);
  kernels_.interleaved_gradient_sums(x + o, dy + o, r, per_column(mean + cell.begin, cell, array(cell, 0)), first,
                                     second);
  fold_columns(cell, first, second, out);
}

template <class T>
void Cells<T>::normalize(const T* x, T* y, const Cell& cell, const NormalizeArrays& c) const noexcept {
  const int64_t o = offset(cell);
  const int64_t b = cell.begin;
  if (planar()) {
    kernels_.planar_normalize(x + o, y + o, rect(cell), {c.mean[b], c.scale[b], c.beta[b]});
    return;
  }
  kernels_.interleaved_normalize(
      x + o, y + o, rect(cell),
      {per_column(c.mean + b, cell, array(cell, 0)), per_column(c.scale + b, cell, array(cell, 1)),
       per_column(c.beta + b, cell, array(cell, 2))});
}

template <class T>
void Cells<T>::input_gradient(const T* x, const T* dy, T* dx, const Cell& cell,
                              const GradientArrays& c) const noexcept {
  const int64_t o = offset(cell);
  const int64_t b = cell.begin;
  if (planar()) {
    kernels_.planar_input_gradient(x + o, dy + o, dx + o, rect(cell),
                                   {c.mean[b], c.mean_dy[b], c.slope[b], c.scale[b]});
    return;
  }
  kernels_.interleaved_input_gradient(
      x + o, dy + o, dx + o, rect(cell),
      {per_column(c.mean + b, cell, array(cell, 0)), per_column(c.mean_dy + b, cell, array(cell, 1)),
       per_column(c.slope + b, cell, array(cell, 2)), per_column(c.scale + b, cell, array(cell, 3))});
}

#define UNITVAR_INSTANTIATE(T) template class Cells<T>;
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar::norm
