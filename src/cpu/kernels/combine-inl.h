// Linear maps of up to three tensors. Included once per instruction set.
#if defined(UNITVAR_KERNELS_COMBINE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNITVAR_KERNELS_COMBINE_INL_H_
#undef UNITVAR_KERNELS_COMBINE_INL_H_
#else
#define UNITVAR_KERNELS_COMBINE_INL_H_
#endif

#include "cpu/kernels/combine.hpp"
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
struct OwnCombine {
  static void combine(const CombineTensors<T>& tensors, T* out, const CombineCoefficients<const A*>& c,
                      const Rect& rect, const Access& access) {
    Shape::template write<T, A>(CombineMap<T, A, const A*>{tensors, out, c}, rect, access);
  }
};

template <class Shape, class T, class A>
using Combined = std::conditional_t<kIsShared<T, A>, CombineInDouble<T, Shape::kPlanar>, OwnCombine<Shape, T, A>>;

template <class T, class A>
constexpr CombineShapes<T, A> kCombineShapes{Combined<Planar, T, A>::combine, Combined<Interleaved, T, A>::combine};

template <class T>
constexpr CombineKernels<T> kCombineTable{kCombineShapes<T, fast_t<T>>, kCombineShapes<T, double>};

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
