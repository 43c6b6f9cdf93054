// The table of kernels of each instruction set: this file compiles itself once per Highway target.
#include "cpu/kernels/kernels.hpp"

#include "cpu/runtime/targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "cpu/kernels/shapes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

template <class Shape, class T, class A>
void moments(const T* x, const A* shift, const Rect& rect, const Access& access, double* first, double* second) {
  Shape::template add<T, A>(MomentTerms<T, A, const A*>{x, shift}, rect, access, first, second);
}

template <class Shape, class T, class A>
void normalize(const T* x, T* y, const NormalizeCoefficients<const A*>& c, const Rect& rect, const Access& access) {
  Shape::template write<T, A>(NormalizeMap<T, A, const A*>{x, y, c}, rect, access);
}

template <class Shape, class T, class A>
void gradient_sums(const T* x, const T* dy, const A* center, const Rect& rect, const Access& access, double* first,
                   double* second) {
  Shape::template add<T, A>(GradientTerms<T, A, const A*>{x, dy, center}, rect, access, first, second);
}

template <class Shape, class T, class A>
void input_gradient(const T* x, const T* dy, T* dx, const GradientCoefficients<const A*>& c, const Rect& rect,
                    const Access& access) {
  Shape::template write<T, A>(InputGradientMap<T, A, const A*>{x, dy, dx, c}, rect, access);
}

template <class T>
void fused_forward(const T* x, T* y, const NormalizeCoefficients<const fast_t<T>*>& c, const Rect& rect,
                   const Access& access, int64_t next, const sum_t<T>* shift, double* first, double* second) {
  using A = fast_t<T>;
  using S = sum_t<T>;
  planar_sweep<T, A>(MomentTerms<T, S, const S*>{x + next, shift}, NormalizeMap<T, A, const A*>{x, y, c}, rect, access,
                     first, second);
}

template <class T>
void fused_backward(const T* x, const T* dy, T* dx, const GradientCoefficients<const fast_t<T>*>& c, const Rect& rect,
                    const Access& access, int64_t next, const sum_t<T>* center, double* first, double* second) {
  using A = fast_t<T>;
  using S = sum_t<T>;
  planar_sweep<T, A>(GradientTerms<T, S, const S*>{x + next, dy + next, center},
                     InputGradientMap<T, A, const A*>{x, dy, dx, c}, rect, access, first, second);
}

template <class Shape, class T, class A>
constexpr Phases<T, A> kPhases{moments<Shape, T, sum_in_t<T, A>>, normalize<Shape, T, A>,
                               gradient_sums<Shape, T, sum_in_t<T, A>>, input_gradient<Shape, T, A>};

template <class T, class A>
constexpr Shapes<T, A> kShapes{kPhases<Planar, T, A>, kPhases<Interleaved, T, A>};

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
constexpr Kernels<T> kTable{
    this_isa(), kShapes<T, fast_t<T>>, kShapes<T, double>, {fused_forward<T>, fused_backward<T>}};

const Kernels<float>* table_f32() { return &kTable<float>; }
const Kernels<double>* table_f64() { return &kTable<double>; }
const Kernels<bf16>* table_bf16() { return &kTable<bf16>; }
const Kernels<f16>* table_f16() { return &kTable<f16>; }

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "cpu/kernels/dispatch.hpp"

namespace unitvar::kernels {

HWY_EXPORT(table_f32);
HWY_EXPORT(table_f64);
HWY_EXPORT(table_bf16);
HWY_EXPORT(table_f16);

template <>
const Kernels<float>& kernels_for<float>(Isa isa) {
  return *pick(HWY_DISPATCH_TABLE(table_f32), isa);
}

template <>
const Kernels<double>& kernels_for<double>(Isa isa) {
  return *pick(HWY_DISPATCH_TABLE(table_f64), isa);
}

template <>
const Kernels<bf16>& kernels_for<bf16>(Isa isa) {
  return *pick(HWY_DISPATCH_TABLE(table_bf16), isa);
}

template <>
const Kernels<f16>& kernels_for<f16>(Isa isa) {
  return *pick(HWY_DISPATCH_TABLE(table_f16), isa);
}

void finish_stores() noexcept { hwy::FlushStream(); }

}  // namespace unitvar::kernels

namespace unitvar {

Isa selected_isa(Isa requested) { return kernels::kernels_for<float>(requested).isa; }

}  // namespace unitvar
#endif
