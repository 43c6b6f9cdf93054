#pragma once
#include "cpu/kernels/kernels.hpp"

/// Linear maps of up to three tensors: what the derivatives beyond the first come down to.
namespace unitvar::kernels {

/// out = (x - x_center) * x_slope + (a - a_center) * a_slope + (b - b_center) * b_slope + offset.
template <class V>
struct CombineCoefficients {
  V x_center, x_slope;
  V a_center, a_slope;
  V b_center, b_slope;
  V offset;
};

/// What a combination reads; b may be null.
template <class T>
struct CombineTensors {
  const T* x;
  const T* a;
  const T* b;
};

template <class T, class A>
using Combine = void (*)(const CombineTensors<T>& tensors, T* out, const CombineCoefficients<const A*>& c,
                         const Rect& rect, const Access& access);

template <class T, class A>
struct CombineShapes {
  Combine<T, A> planar;
  Combine<T, A> interleaved;
};

/// As MapsInDouble.
template <class T, bool kPlanar>
struct CombineInDouble {
  static void combine(const CombineTensors<T>& tensors, T* out, const CombineCoefficients<const double*>& c,
                      const Rect& rect, const Access& access);
};
template <bool kPlanar>
struct CombineInDouble<double, kPlanar> {};

/// Those of one instruction set.
template <class T>
struct CombineKernels {
  CombineShapes<T, fast_t<T>> fast;
  CombineShapes<T, double> wide;
};

/// As kernels_for.
template <class T>
const CombineKernels<T>& combine_kernels_for(Isa isa);

}  // namespace unitvar::kernels
