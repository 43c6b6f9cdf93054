// Linear maps of up to three tensors: this file compiles itself once per Highway target.
#include "cpu/kernels/combine.hpp"

#include "cpu/runtime/targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/combine.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "cpu/kernels/shapes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

/// A linear map of two or three tensors.
template <class T, class A, class V>
struct CombineMap {
  static constexpr bool kHasEpilogue = false;
  using Vector = Widest<T, A, V>;
  CombineTensors<T> in;
  T* out;
  CombineCoefficients<V> c;

  template <class U>
  HWY_INLINE typename U::Value value(int64_t i, int64_t k) const {
    auto sum = U::add(U::mul(U::sub(U::load(in.x + i), U::at(c.x_center, k)), U::at(c.x_slope, k)),
                      U::mul(U::sub(U::load(in.a + i), U::at(c.a_center, k)), U::at(c.a_slope, k)));
    if (in.b != nullptr) {
      sum = U::add(sum, U::mul(U::sub(U::load(in.b + i), U::at(c.b_center, k)), U::at(c.b_slope, k)));
    }
    return U::add(sum, U::at(c.offset, k));
  }
  HWY_INLINE void prefetch(int64_t i) const {
    kernels::HWY_NAMESPACE::prefetch(in.x + i);
    kernels::HWY_NAMESPACE::prefetch(in.a + i);
    if (in.b != nullptr) kernels::HWY_NAMESPACE::prefetch(in.b + i);
  }
  HWY_INLINE auto channel(int64_t j) const {
    return CombineMap<T, A, A>{
        in, out, {c.x_center[j], c.x_slope[j], c.a_center[j], c.a_slope[j], c.b_center[j], c.b_slope[j], c.offset[j]}};
  }
  HWY_INLINE const CombineMap& row(int64_t, int64_t) const { return *this; }
};

template <class Shape, class T, class A>
void combine(const CombineTensors<T>& tensors, T* out, const CombineCoefficients<const A*>& c, const Rect& rect,
             const Access& access) {
  Shape::template write<T, A>(CombineMap<T, A, const A*>{tensors, out, c}, rect, access);
}

template <class T, class A>
constexpr CombineShapes<T, A> kCombineShapes{combine<Quick<T, A, Planar>, T, A>,
                                             combine<Quick<T, A, Interleaved>, T, A>};

template <class T>
constexpr CombineKernels<T> kCombineTable{kCombineShapes<T, fast_t<T>>, kCombineShapes<T, double>};

const CombineKernels<float>* combine_f32() { return &kCombineTable<float>; }
const CombineKernels<double>* combine_f64() { return &kCombineTable<double>; }
const CombineKernels<bf16>* combine_bf16() { return &kCombineTable<bf16>; }
const CombineKernels<f16>* combine_f16() { return &kCombineTable<f16>; }

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "cpu/kernels/dispatch.hpp"

namespace unitvar::kernels {

HWY_EXPORT(combine_f32);
HWY_EXPORT(combine_f64);
HWY_EXPORT(combine_bf16);
HWY_EXPORT(combine_f16);

template <>
const CombineKernels<float>& combine_kernels_for<float>(Isa isa) {
  return *pick(HWY_DISPATCH_TABLE(combine_f32), isa);
}

template <>
const CombineKernels<double>& combine_kernels_for<double>(Isa isa) {
  return *pick(HWY_DISPATCH_TABLE(combine_f64), isa);
}

template <>
const CombineKernels<bf16>& combine_kernels_for<bf16>(Isa isa) {
  return *pick(HWY_DISPATCH_TABLE(combine_bf16), isa);
}

template <>
const CombineKernels<f16>& combine_kernels_for<f16>(Isa isa) {
  return *pick(HWY_DISPATCH_TABLE(combine_f16), isa);
}

}  // namespace unitvar::kernels
#endif
