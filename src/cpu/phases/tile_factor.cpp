#include <algorithm>
#include <type_traits>

#include "cpu/phases/tile_phases.hpp"
#include "unitvar/dtype.hpp"

// Where gamma * rstd exceeds the largest double: gamma * ((x - mean) * rstd) + beta, and dx likewise. Rare and slow.
namespace unitvar::cpu {
namespace {

using std::int64_t;

/// A place in an item: its row and column, and how many elements it is from the first.
struct Place {
  int64_t row, column, distance;
};

/// The epilogue from there on.
template <class T>
kernels::Epilogue<T> moved(kernels::Epilogue<T> e, Shape shape, const Place& at) noexcept {
  const auto [row, i, distance] = at;
  if (e.residual != nullptr) e.residual += distance;
  if (e.bits != nullptr) {
    e.bits += row * e.bits_row;
    e.bits_begin += i;
  }
  if (e.weights != nullptr) e.weights += row * e.weights_row + (shape == Shape::planar ? i : 0);
  return e;
}

}  // namespace

/// Some elements at a time: the result cannot hold x_hat, since the residual may stand there.
template <class T>
template <class Once, class Twice>
void TilePhases<T>::map_by_factors(const T* x, const WorkItem& item, const math::NormalizeArrays& c, const Once& once,
                                   const Twice& twice) const noexcept {
  if (!has_factors(item, c.factor)) return once(item);
  const auto map_channel = [&](const WorkItem& one) {
    constexpr int64_t kMost = 256;
    T x_hat[kMost];
    const auto fill_with = [&](int i, double value) {
      return fill<double>(one, i, [value](int64_t) { return value; });
    };
    const int64_t k = one.begin;
    const kernels::Rect all = rect(one);
    for (int64_t row = 0; row < all.rows; ++row) {
      for (int64_t i = 0; i < all.cols(); i += kMost) {
        const kernels::Rect part{1, 1, std::min(kMost, all.cols() - i), all.stride};
        const double* const zero = fill_with(0, 0);
        phases<double>(kernels_).normalize(x + offset(one) + row * all.stride + i, x_hat,
                                           {fill_with(1, c.mean[k]), fill_with(2, c.scale[k]), zero}, part, {});
        const kernels::NormalizeCoefficients<const double*> of{zero, fill_with(1, c.factor[k]),
                                                               fill_with(2, c.beta[k])};
        twice(x_hat, one, Place{row, i, row * all.stride + i}, of, part);
      }
    }
  };
  const auto is_one = [&](int64_t k) { return c.factor[item.begin + k] == 1; };
  core::for_runs(item.channels(), is_one, [&](int64_t b, int64_t e, bool all_ones) {
    if (all_ones) return once(item.part(b, e));
    for (int64_t k = b; k < e; ++k) map_channel(item.part(k, k + 1));
    count_maps(item.part(b, e), 0);
  });
}

template <class T>
void TilePhases<T>::normalize(const T* x, T* y, const WorkItem& item, const math::NormalizeArrays& c) const noexcept {
  map_by_factors(
      x, item, c, [&](const WorkItem& part) { normalize_once(x, y, part, c); },
      [&](const T* x_hat, const WorkItem& one, const Place& at, const auto& of, const kernels::Rect& part) {
        T* const to = y + offset(one) + at.distance;
        if (epilogue_ == nullptr) return phases<double>(kernels_).normalize(x_hat, to, of, part, {});
        const auto own = moved(epilogue(one), tiling_.shape, at);
        phases<double>(*epilogue_kernels_).normalize(x_hat, to, of, part, {}, own);
      });
}

template <class T>
void TilePhases<T>::apply(const T* x, T* out, const WorkItem& item, const math::NormalizeArrays& c,
                          const kernels::Function<T>& function) const noexcept {
  map_by_factors(
      x, item, c, [&](const WorkItem& part) { apply_once(x, out, part, c, function); },
      [&](const T* x_hat, const WorkItem& one, const Place& at, const auto& of, const kernels::Rect& part) {
        const int64_t o = offset(one) + at.distance;
        phases<double>(kernels::function_kernels_for<T>(kernels_.isa))
            .apply(x_hat, out + o, of, part, {}, function.from(o));
      });
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

#define UNITVAR_INSTANTIATE(T)                                                                                       \
  template void TilePhases<T>::normalize(const T*, std::add_pointer_t<T>, const WorkItem&,                           \
                                         const math::NormalizeArrays&) const noexcept;                               \
  template void TilePhases<T>::apply(const T*, std::add_pointer_t<T>, const WorkItem&, const math::NormalizeArrays&, \
                                     const kernels::Function<T>&) const noexcept;                                    \
  template void TilePhases<T>::input_gradient(const T*, const T*, std::add_pointer_t<T>, const WorkItem&,            \
                                              const math::GradientArrays&) const noexcept;
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar::cpu
