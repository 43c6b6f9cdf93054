#include <algorithm>
#include <type_traits>

#include "cpu/phases/cells.hpp"
#include "unitvar/dtype.hpp"

// Where gamma * rstd exceeds the largest double: gamma * ((x - mean) * rstd) + beta, and dx likewise. Rare and slow.
namespace unitvar::cpu {
namespace {

using std::int64_t;

/// Extras `row` rows and `i` columns further on; rows are `stride` elements apart.
template <class T>
kernels::Extras<T> moved(kernels::Extras<T> e, int64_t row, int64_t i, int64_t stride) noexcept {
  if (e.residual != nullptr) e.residual += row * stride + i;
  if (e.bits != nullptr) {
    e.bits += row * e.bits_row;
    e.bits_begin += i;
  }
  if (e.weights != nullptr) e.weights += row * e.weights_row + i * e.weights_step;
  return e;
}

}  // namespace

template <class T>
void Cells<T>::normalize(const T* x, T* y, const Cell& cell, const math::NormalizeArrays& c) const noexcept {
  if (!has_factors(cell, c.factor)) return normalize_once(x, y, cell, c);
  const auto is_one = [&](int64_t k) { return c.factor[cell.begin + k] == 1; };
  core::for_runs(cell.channels(), is_one, [&](int64_t b, int64_t e, bool once) {
    if (once) return normalize_once(x, y, cell.part(b, e), c);
    for (int64_t k = b; k < e; ++k) normalize_twice(x, y, cell.part(k, k + 1), c);
  });
}

/// Some elements at a time: y cannot hold x_hat, since the residual may stand there.
template <class T>
void Cells<T>::normalize_twice(const T* x, T* y, const Cell& cell, const math::NormalizeArrays& c) const noexcept {
  constexpr int64_t kMost = 256;
  T x_hat[kMost];
  const auto fill_with = [&](int i, double value) { return fill<double>(cell, i, [value](int64_t) { return value; }); };
  const int64_t k = cell.begin;
  const kernels::Rect all = rect(cell);
  for (int64_t row = 0; row < all.rows; ++row) {
    for (int64_t i = 0; i < all.cols(); i += kMost) {
      const kernels::Rect part{1, 1, std::min(kMost, all.cols() - i), all.stride};
      const int64_t o = offset(cell) + row * all.stride + i;
      const double* const zero = fill_with(0, 0);
      const auto& plain = phases<double>(kernels_);
      plain.normalize(x + o, x_hat, {fill_with(1, c.mean[k]), fill_with(2, c.scale[k]), zero}, part, {});
      const kernels::NormalizeCoefficients<const double*> of{zero, fill_with(1, c.factor[k]), fill_with(2, c.beta[k])};
      if (extras_ == nullptr) {
        plain.normalize(x_hat, y + o, of, part, {});
      } else {
        phases<double>(*extended_).normalize(x_hat, y + o, of, part, {}, moved(extras(cell), row, i, all.stride));
      }
    }
  }
}

template <class T>
void Cells<T>::input_gradient(const T* x, const T* dy, T* dx, const Cell& cell,
                              const math::GradientArrays& c) const noexcept {
  input_gradient_once(x, dy, dx, cell, c);
  if (has_factors(cell, c.factor)) multiply(dx, cell, c.factor);
}

template <class T>
void Cells<T>::multiply(T* dx, const Cell& cell, const double* factor) const noexcept {
  for (int64_t k = 0; k < cell.channels(); ++k) {
    const Cell one = cell.part(k, k + 1);
    const double by = factor[one.begin];
    if (by == 1) continue;
    const auto* const zero = fill<double>(one, 0, [](int64_t) { return 0.0; });
    T* const at = dx + offset(one);
    phases<double>(kernels_).normalize(at, at, {zero, fill<double>(one, 1, [by](int64_t) { return by; }), zero},
                                       rect(one), {});
  }
}

#define UNITVAR_INSTANTIATE(T)                                                                            \
  template void Cells<T>::normalize(const T*, std::add_pointer_t<T>, const Cell&, const math::NormalizeArrays&) \
      const noexcept;                                                                                     \
  template void Cells<T>::input_gradient(const T*, const T*, std::add_pointer_t<T>, const Cell&,          \
                                         const math::GradientArrays&) const noexcept;
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar::cpu
