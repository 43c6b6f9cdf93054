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

template <class T>
SumPair planar_moments(const T* x, Rect rect, double shift) {
  return planar_sums(MomentTerms<T>{x}, rect, shift);
}

template <class T>
SumPair planar_gradient_sums(const T* x, const T* dy, Rect rect, double mean) {
  return planar_sums(GradientTerms<T>{x, dy}, rect, mean);
}

template <class T>
void planar_normalize(const T* x, T* y, Rect rect, NormalizeCoefficients<double> c) {
  map_rect(NormalizeMap<T, double>{x, y, c}, rect);
}

template <class T>
void planar_input_gradient(const T* x, const T* dy, T* dx, Rect rect, GradientCoefficients<double> c) {
  map_rect(InputGradientMap<T, double>{x, dy, dx, c}, rect);
}

template <class T>
void interleaved_moments(const T* x, Rect rect, const double* shift, double* first, double* second) {
  interleaved_sums(MomentTerms<T>{x}, rect, shift, first, second);
}

template <class T>
void interleaved_gradient_sums(const T* x, const T* dy, Rect rect, const double* mean, double* first, double* second) {
  interleaved_sums(GradientTerms<T>{x, dy}, rect, mean, first, second);
}

template <class T>
void interleaved_normalize(const T* x, T* y, Rect rect, NormalizeCoefficients<const double*> c) {
  map_rect(NormalizeMap<T, const double*>{x, y, c}, rect);
}

template <class T>
void interleaved_input_gradient(const T* x, const T* dy, T* dx, Rect rect, GradientCoefficients<const double*> c) {
  map_rect(InputGradientMap<T, const double*>{x, dy, dx, c}, rect);
}

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
constexpr Kernels<T> kTable{this_isa(),
                            planar_moments<T>,
                            planar_gradient_sums<T>,
                            planar_normalize<T>,
                            planar_input_gradient<T>,
                            interleaved_moments<T>,
                            interleaved_gradient_sums<T>,
                            interleaved_normalize<T>,
                            interleaved_input_gradient<T>};

const Kernels<float>* table_f32() { return &kTable<float>; }
const Kernels<double>* table_f64() { return &kTable<double>; }

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "kernels/isa.hpp"

namespace unitvar::kernels {

HWY_EXPORT(table_f32);
HWY_EXPORT(table_f64);

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

std::int64_t compiled_targets() noexcept { return HWY_TARGETS; }

}  // namespace unitvar::kernels
#endif
