#include "norm/cells.hpp"

#include "unitvar/dtype.hpp"

namespace unitvar::norm {
namespace {

using std::int64_t;

/// {sum(x - shift), sum((x - shift)^2)} of n values -> mean and M2. The shift is one of the n values, so it lies
/// within sqrt(n) standard deviations of their mean, and the subtraction loses at most a factor n + 1 of double's
/// precision: 1e-12 for a tile, whatever the data.
void to_moments(double n, double shift, double& first_to_mean, double& second_to_m2) noexcept {
  const double sum = first_to_mean;
  const double m2 = second_to_m2 - sum * (sum / n);
  first_to_mean = shift + sum / n;
  second_to_m2 = m2 < 0 ? 0 : m2;  // keeps NaN
}

}  // namespace

template <class T>
const double* Cells<T>::per_column(const double* values, const Cell& cell, double* out) const noexcept {
  const int64_t inner = tiling_.extent.inner;
  if (inner == 1) return values + cell.begin;
  double* next = out;
  for (int64_t c = cell.begin; c < cell.end; ++c) next = std::fill_n(next, inner, values[c]);
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
void Cells<T>::moments(const T* x, const Cell& cell, PairArrays out) const noexcept {
  const T* data = x + offset(cell);
  const auto n = static_cast<double>(cell.tile.rows * cell.tile.cols);
  if (planar()) {
    const auto shift = static_cast<double>(*data);
    const kernels::SumPair sums = kernels_.planar_moments(data, rect(cell), shift);
    *out.first = sums.first;
    *out.second = sums.second;
    to_moments(n, shift, *out.first, *out.second);
    return;
  }
  const kernels::Rect r = rect(cell);
  const int64_t inner = tiling_.extent.inner;
  double* shift = column_array(cell, 0);
  double* first = column_array(cell, 1);
  double* second = column_array(cell, 2);
  // All columns of a channel share a shift, so that their sums simply add.
  for (int64_t c = 0; c < cell.channels(); ++c) {
    std::fill_n(shift + c * inner, inner, static_cast<double>(data[c * inner]));
  }
  std::fill_n(first, r.cols, 0.0);
  std::fill_n(second, r.cols, 0.0);
  kernels_.interleaved_moments(data, r, shift, first, second);
  fold_columns(cell, first, second, out);
  for (int64_t c = 0; c < cell.channels(); ++c) to_moments(n, shift[c * inner], out.first[c], out.second[c]);
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
  double* first = column_array(cell, 1);
  double* second = column_array(cell, 2);
  std::fill_n(first, r.cols, 0.0);
  std::fill_n(second, r.cols, 0.0);
  kernels_.interleaved_gradient_sums(x + o, dy + o, r, per_column(mean, cell, column_array(cell, 0)), first, second);
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
      {per_column(c.mean, cell, column_array(cell, 0)), per_column(c.scale, cell, column_array(cell, 1)),
       per_column(c.beta, cell, column_array(cell, 2))});
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
      {per_column(c.mean, cell, column_array(cell, 0)), per_column(c.mean_dy, cell, column_array(cell, 1)),
       per_column(c.slope, cell, column_array(cell, 2)), per_column(c.scale, cell, column_array(cell, 3))});
}

#define UNITVAR_INSTANTIATE(T) template class Cells<T>;
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar::norm
