// The linear map of items: all of it that TilePhases does not share with the four phases.
#include "core/vector_loop.hpp"
#include "cpu/phases/tile_phases.hpp"
#include "cpu/precision/float_policy.hpp"
#include "unitvar/dtype.hpp"

namespace unitvar::cpu {
namespace {

using core::for_runs;
using std::int64_t;

double value_at(const double* values, int64_t k) noexcept { return values == nullptr ? 0 : values[k]; }
template <class A>
double offset_about(const math::CombineArrays& c, int64_t k) noexcept {
  const double about_x = addend_about<A>(c.offset[k], c.x_center[k], c.x_slope[k]);
  const double about_a = addend_about<A>(about_x, c.a_center[k], c.a_slope[k]);
  return addend_about<A>(about_a, value_at(c.b_center, k), value_at(c.b_slope, k));
}
template <class A>
auto offsets_about(const math::CombineArrays& c, int64_t begin) noexcept {
  return [c, begin](int64_t i) { return offset_about<A>(c, begin + i); };
}
template <class A>
auto keeps_map(const math::CombineArrays& c, int64_t begin) noexcept {
  return [&c, begin](int64_t i) {
    const int64_t k = begin + i;
    return every(keeps_term<A>(c.x_center[k], c.x_slope[k]), keeps_term<A>(c.a_center[k], c.a_slope[k]),
                 keeps_term<A>(value_at(c.b_center, k), value_at(c.b_slope, k)), keeps_digits_of<A>(c.offset[k]),
                 keeps_addend<A>(offset_about<A>(c, k)));
  };
}

}  // namespace

template <class T>
template <class A>
kernels::CombineCoefficients<const A*> TilePhases<T>::coefficients(const WorkItem& item,
                                                                   const math::CombineArrays& c) const noexcept {
  const int64_t b = item.begin;
  const A* offset = fill<A>(item, 0, offsets_about<A>(c, b));
  // Without b a planar kernel still loads its coefficients, whatever they are, and does not use them.
  const auto array = [&](const double* values, int i) -> const A* {
    return values == nullptr ? offset : per_column<A>(values + b, item, i);
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
void TilePhases<T>::combine_in(const kernels::CombineTensors<T>& in, T* out, const WorkItem& item,
                               const math::CombineArrays& c) const noexcept {
  const int64_t o = offset(item);
  const kernels::CombineTensors<T> from{in.x + o, in.a + o, in.b == nullptr ? nullptr : in.b + o};
  phases<A>(kernels::combine_kernels_for<T>(kernels_.isa))(from, out + o, coefficients<A>(item, c), rect(item),
                                                           access(item));
}

/// Seven arrays of doubles for each column would be more than the scratch of a work item, which has two channels or
/// more: then one channel after the other.
template <class T>
void TilePhases<T>::combine(const kernels::CombineTensors<T>& in, T* out, const WorkItem& item,
                            const math::CombineArrays& c) const noexcept {
  for_runs_to_map(item, keeps_map<Fast>(c, item.begin), [&](auto a, int64_t b, int64_t e) {
    using A = decltype(a);
    const int64_t step = width(tiling_) == 1 || !std::is_same_v<A, double> ? e - b : 1;
    for (int64_t k = b; k < e; k += step) combine_in<A>(in, out, item.part(k, k + step), c);
  });
}

#define UNITVAR_INSTANTIATE(T)                                                                 \
  template void TilePhases<T>::combine(const kernels::CombineTensors<T>&, T*, const WorkItem&, \
                                       const math::CombineArrays&) const noexcept;
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar::cpu
