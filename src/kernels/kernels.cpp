// The table of kernels of each instruction set: this file compiles itself once per Highway target.
#include "kernels/kernels.hpp"

#include "kernels/targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/maps-inl.h"
#include "kernels/sums-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

template <class T, class A>
SumPair planar_moments(const T* x, Rect rect, A shift) {
  return planar_sums<A>(MomentTerms<T, A, A>{x, shift}, rect);
}

template <class T, class A>
SumPair planar_gradient_sums(const T* x, const T* dy, Rect rect, A center) {
  return planar_sums<A>(GradientTerms<T, A, A>{x, dy, center}, rect);
}

template <class T, class A, class V>
void normalize(const T* x, T* y, Rect rect, NormalizeCoefficients<V> c, Access access) {
  map_rect<T, A>(NormalizeMap<T, A, V>{x, y, c}, rect, access);
}

template <class T, class A, class V>
void input_gradient(const T* x, const T* dy, T* dx, Rect rect, GradientCoefficients<V> c, Access access) {
  map_rect<T, A>(InputGradientMap<T, A, V>{x, dy, dx, c}, rect, access);
}

template <class T, class A>
void interleaved_moments(const T* x, Rect rect, const A* shift, double* first, double* second) {
  interleaved_sums<A, kMomentRows<T>>(MomentTerms<T, A, const A*>{x, shift}, rect, first, second);
}

template <class T, class A>
void interleaved_gradient_sums(const T* x, const T* dy, Rect rect, const A* center, double* first, double* second) {
  interleaved_sums<A, kRows>(GradientTerms<T, A, const A*>{x, dy, center}, rect, first, second);
}

template <class T, class A>
constexpr Arithmetic<T, A> kArithmetic{planar_moments<T, A>,      planar_gradient_sums<T, A>,
                                       normalize<T, A, A>,        input_gradient<T, A, A>,
                                       interleaved_moments<T, A>, interleaved_gradient_sums<T, A>,
                                       normalize<T, A, const A*>, input_gradient<T, A, const A*>};

constexpr Isa this_isa() {
  switch (HWY_TARGET) {
    case HWY_SSE4:
      return Isa::sse4;
    case HWY_AVX2:
      return Isa::avx2;
    case HWY_AVX3:
      return Isa::avx512;
    case HWY_NEON:
      return Isa::neon;
    default:
      return Isa::portable;
  }
}

template <class T>
constexpr Kernels<T> kTable{this_isa(), kArithmetic<T, fast_t<T>>, kArithmetic<T, double>};

const Kernels<float>* table_f32() { return &kTable<float>; }
const Kernels<double>* table_f64() { return &kTable<double>; }
const Kernels<bf16>* table_bf16() { return &kTable<bf16>; }
const Kernels<f16>* table_f16() { return &kTable<f16>; }

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "kernels/isa.hpp"

namespace unitvar::kernels {

HWY_EXPORT(table_f32);
HWY_EXPORT(table_f64);
HWY_EXPORT(table_bf16);
HWY_EXPORT(table_f16);

namespace {

/// Picks from a Highway dispatch table without its process-wide state, so that each call may ask for its own.
template <class Table>
auto pick(const Table& table, Isa isa) {
  hwy::ChosenTarget target;
  target.Update(highway_target(isa));
  return (std::size(table) == 1 ? table[0] : table[target.GetIndex()])();
}

}  // namespace

template <>
const Kernels<float>& kernels_for<float>(Isa isa) {
  return *pick(HWY_DISPATCH_TABLE(table_f32), resolve(isa));
}

template <>
const Kernels<double>& kernels_for<double>(Isa isa) {
  return *pick(HWY_DISPATCH_TABLE(table_f64), resolve(isa));
}

template <>
const Kernels<bf16>& kernels_for<bf16>(Isa isa) {
  return *pick(HWY_DISPATCH_TABLE(table_bf16), resolve(isa));
}

template <>
const Kernels<f16>& kernels_for<f16>(Isa isa) {
  return *pick(HWY_DISPATCH_TABLE(table_f16), resolve(isa));
}

void finish_stores() noexcept { hwy::FlushStream(); }

std::int64_t compiled_targets() noexcept { return HWY_TARGETS; }

}  // namespace unitvar::kernels
#endif
