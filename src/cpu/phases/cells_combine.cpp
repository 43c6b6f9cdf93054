// The linear map of cells: all of it that Cells does not share with the four phases.
#include "core/vector_loop.hpp"
#include "cpu/precision/arithmetic.hpp"
#include "cpu/phases/cells.hpp"
#include "cpu/precision/ordinary.hpp"
#include "unitvar/dtype.hpp"

namespace unitvar::cpu {
namespace {

using core::for_runs;
using std::int64_t;

double value_at(const double* values, int64_t k) noexcept { return values == nullptr ? 0 : values[k]; }
template <class A>
double offset_about(const math::CombineArrays& c, int64_t k) noexcept {
  return c.offset[k] - rounded_off<A>(c.x_center[k], c.x_slope[k]) - rounded_off<A>(c.a_center[k], c.a_slope[k]) -
         rounded_off<A>(value_at(c.b_center, k), value_at(c.b_slope, k));
}
template <class Fast>
auto takes(const math::CombineArrays& c, int64_t begin) noexcept {
  return [&c, begin](int64_t i) {
    const int64_t k = begin + i;
    return every(is_ordinary<Fast>(c.x_center[k]), is_ordinary<Fast>(c.x_slope[k]), is_ordinary<Fast>(c.a_center[k]),
                 is_ordinary<Fast>(c.a_slope[k]), is_ordinary<Fast>(value_at(c.b_center, k)),
                 is_ordinary<Fast>(value_at(c.b_slope, k)), is_ordinary<Fast>(c.offset[k]),
                 is_moderate<Fast>(offset_about<Fast>(c, k)));
  };
}

}  // namespace

template <class T>
template <class A>
kernels::CombineCoefficients<const A*> Cells<T>::coefficients(const Cell& cell, const math::CombineArrays& c) const noexcept {
  const int64_t b = cell.begin;
  const A* offset = fill<A>(cell, 0, [&](int64_t i) { return offset_about<A>(c, b + i); });
  // Without b a planar kernel still loads its coefficients, whatever they are, and does not use them.
  const auto array = [&](const double* values, int i) -> const A* {
    return values == nullptr ? offset : per_column<A>(values + b, cell, i);
  };
  return {array(c.x_center, 1),
          array(c.x_slope, 2),
          array(c.a_center, 3),
          array(c.a_slope, 4),
          array(c.b_center, 5),
          array(c.b_slope, 6),
          offset};
}

template <class T>
template <class A>
void Cells<T>::combine_in(const kernels::CombineTensors<T>& in, T* out, const Cell& cell,
                          const math::CombineArrays& c) const noexcept {
  const int64_t o = offset(cell);
  const kernels::CombineTensors<T> from{in.x + o, in.a + o, in.b == nullptr ? nullptr : in.b + o};
  phases<A>(kernels::combine_kernels_for<T>(kernels_.isa))(from, out + o, coefficients<A>(cell, c), rect(cell),
                                                           access(cell));
}

/// Seven arrays of doubles for each column would be more than the scratch of a cell, which has two channels or more:
/// then one channel after the other.
template <class T>
void Cells<T>::combine(const kernels::CombineTensors<T>& in, T* out, const Cell& cell,
                       const math::CombineArrays& c) const noexcept {
  core::for_runs(cell.channels(), takes<Fast>(c, cell.begin), [&](int64_t b, int64_t e, bool fast) {
    if (fast && !std::is_same_v<Fast, double>) return combine_in<Fast>(in, out, cell.part(b, e), c);
    const int64_t step = width(tiling_) == 1 ? e - b : 1;
    for (int64_t k = b; k < e; k += step) combine_in<double>(in, out, cell.part(k, k + step), c);
  });
}

#define UNITVAR_INSTANTIATE(T)                                                                              \
  template void Cells<T>::combine(const kernels::CombineTensors<T>&, T*, const Cell&, const math::CombineArrays&) \
      const noexcept;
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar::cpu
