#include <algorithm>
#include <type_traits>

#include "cpu/phases/tile_phases.hpp"
#include "unitvar/dtype.hpp"

// Where gamma * rstd exceeds the largest double: gamma * ((x - mean) * rstd) + beta, and dx likewise. Rare and slow.
namespace unitvar::cpu {
namespace {

using std::int64_t;

/// Epilogue `row` rows and `i` columns further on; rows are `stride` elements apart.
template <class T>
kernels::Epilogue<T> moved(kernels::Epilogue<T> e, Shape shape, int64_t row, int64_t i, int64_t stride) noexcept {
  if (e.residual != nullptr) e.residual += row * stride + i;
  if (e.bits != nullptr) {
    e.bits += row * e.bits_row;
    e.bits_begin += i;
  }
  if (e.weights != nullptr) e.weights += row * e.weights_row + (shape == Shape::planar ? i : 0);
  return e;
}

}  // namespace

template <class T>
void TilePhases<T>::normalize(const T* x, T* y, const WorkItem& item, const math::NormalizeArrays& c) const noexcept {
  if (!has_factors(item, c.factor)) return normalize_once(x, y, item, c);
  const auto is_one = [&](int64_t k) { return c.factor[item.begin + k] == 1; };
  core::for_runs(item.channels(), is_one, [&](int64_t b, int64_t e, bool once) {
    if (once) return normalize_once(x, y, item.part(b, e), c);
    for (int64_t k = b; k < e; ++k) normalize_twice(x, y, item.part(k, k + 1), c);
    count_maps(item.part(b, e), 0);
  });
}

/// Some elements at a time: y cannot hold x_hat, since the residual may stand there.
template <class T>
void TilePhases<T>::normalize_twice(const T* x, T* y, const WorkItem& item,
                                    const math::NormalizeArrays& c) const noexcept {
  constexpr int64_t kMost = 256;
  T x_hat[kMost];
  const auto fill_with = [&](int i, double value) { return fill<double>(item, i, [value](int64_t) { return value; }); };
  const int64_t k = item.begin;
  const kernels::Rect all = rect(item);
  for (int64_t row = 0; row < all.rows; ++row) {
    for (int64_t i = 0; i < all.cols(); i += kMost) {
      const kernels::Rect part{1, 1, std::min(kMost, all.cols() - i), all.stride};
      const int64_t o = offset(item) + row * all.stride + i;
      const double* const zero = fill_with(0, 0);
      const auto& plain = phases<double>(kernels_);
      plain.normalize(x + o, x_hat, {fill_with(1, c.mean[k]), fill_with(2, c.scale[k]), zero}, part, {});
      const kernels::NormalizeCoefficients<const double*> of{zero, fill_with(1, c.factor[k]), fill_with(2, c.beta[k])};
      if (epilogue_ == nullptr) {
        plain.normalize(x_hat, y + o, of, part, {});
      } else {
        phases<double>(*epilogue_kernels_)
            .normalize(x_hat, y + o, of, part, {}, moved(epilogue(item), tiling_.shape, row, i, all.stride));
      }
    }
  }
}

template <class T>
void TilePhases<T>::input_gradient(const T* x, const T* dy, T* dx, const WorkItem& item,
                                   const math::GradientArrays& c) const noexcept {
  input_gradient_once(x, dy, dx, item, c);
  if (has_factors(item, c.factor)) multiply(dx, item, c.factor);
}

template <class T>
void TilePhases<T>::multiply(T* dx, const WorkItem& item, const double* factor) const noexcept {
  for (int64_t k = 0; k < item.channels(); ++k) {
    const WorkItem one = item.part(k, k + 1);
    const double by = factor[one.begin];
    if (by == 1) continue;
    const auto* const zero = fill<double>(one, 0, [](int64_t) { return 0.0; });
    T* const at = dx + offset(one);
    phases<double>(kernels_).normalize(at, at, {zero, fill<double>(one, 1, [by](int64_t) { return by; }), zero},
                                       rect(one), {});
  }
}

#define UNITVAR_INSTANTIATE(T)                                                                            \
  template void TilePhases<T>::normalize(const T*, std::add_pointer_t<T>, const WorkItem&,                \
                                         const math::NormalizeArrays&) const noexcept;                    \
  template void TilePhases<T>::input_gradient(const T*, const T*, std::add_pointer_t<T>, const WorkItem&, \
                                              const math::GradientArrays&) const noexcept;
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar::cpu
