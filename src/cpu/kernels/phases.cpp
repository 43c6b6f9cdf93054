// The four phases and the linear maps. Compiled once for each storage type, UNITVAR_DTYPE, and each group of Highway
// targets; the source includes itself for each target of the group.
#include "cpu/runtime/targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/phases.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "cpu/kernels/combine-inl.h"
#include "cpu/kernels/shapes-inl.h"
#include "cpu/kernels/table.hpp"
#include "cpu/kernels/target-inl.h"

#if UNITVAR_IN_GROUP
HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

template <class Shape, class T, class S>
struct OwnSums {
  static void moments(const T* x, const S* shift, const Rect& rect, const Access& access, double* first,
                      double* second) {
    Shape::template add<T, S>(MomentTerms<T, S, const S*>{x, shift}, rect, access, first, second);
  }
  static void gradient_sums(const T* x, const T* dy, const S* center, const Rect& rect, const Access& access,
                            double* first, double* second) {
    Shape::template add<T, S>(GradientTerms<T, S, const S*>{x, dy, center}, rect, access, first, second);
  }
};

template <class Shape, class T, class A>
struct OwnMaps {
  static void normalize(const T* x, T* y, const NormalizeCoefficients<const A*>& c, const Rect& rect,
                        const Access& access) {
    Shape::template write<T, A>(NormalizeMap<T, A, const A*>{x, y, c}, rect, access);
  }
  static void input_gradient(const T* x, const T* dy, T* dx, const GradientCoefficients<const A*>& c, const Rect& rect,
                             const Access& access) {
    Shape::template write<T, A>(InputGradientMap<T, A, const A*>{x, dy, dx, c}, rect, access);
  }
};

/// Without vectors the two phases run one after the other: arithmetic takes the time there, not memory.
template <class T, class A = fast_t<T>, class S = sum_t<T>>
void fused_forward(const T* x, T* y, const NormalizeCoefficients<const A*>& c, const Rect& rect, const Access& access,
                   int64_t next, const S* shift, double* first, double* second) {
  if constexpr (kHasVectors) {
    planar_sweep<T, A>(MomentTerms<T, S, const S*>{x + next, shift}, NormalizeMap<T, A, const A*>{x, y, c}, rect,
                       access, first, second);
  } else {
    OwnMaps<Planar, T, A>::normalize(x, y, c, rect, access);
    OwnSums<Planar, T, S>::moments(x + next, shift, rect, access, first, second);
  }
}

template <class T, class A = fast_t<T>, class S = sum_t<T>>
void fused_backward(const T* x, const T* dy, T* dx, const GradientCoefficients<const A*>& c, const Rect& rect,
                    const Access& access, int64_t next, const S* center, double* first, double* second) {
  if constexpr (kHasVectors) {
    planar_sweep<T, A>(GradientTerms<T, S, const S*>{x + next, dy + next, center},
                       InputGradientMap<T, A, const A*>{x, dy, dx, c}, rect, access, first, second);
  } else {
    OwnMaps<Planar, T, A>::input_gradient(x, dy, dx, c, rect, access);
    OwnSums<Planar, T, S>::gradient_sums(x + next, dy + next, center, rect, access, first, second);
  }
}

/// The maps of one shape. In double, those of other types are shared by all instruction sets.
template <class Shape, class T, class A>
using Maps = std::conditional_t<kIsShared<T, A>, MapsInDouble<T, Shape::kPlanar>, OwnMaps<Shape, T, A>>;

/// The sums of one shape. Everyday data of 16 bits are summed in double: constant channels, for example. So the fast
/// targets have these sums too.
template <class Shape, class T, class S>
using Sums =
    std::conditional_t<kIsSharedSum<T, S> && !kFastTarget, SumsInDouble<T, Shape::kPlanar>, OwnSums<Shape, T, S>>;

template <class Shape, class T, class A, class S = sum_in_t<T, A>>
constexpr Phases<T, A> kPhases{Sums<Shape, T, S>::moments, Maps<Shape, T, A>::normalize,
                               Sums<Shape, T, S>::gradient_sums, Maps<Shape, T, A>::input_gradient};

template <class T, class A>
constexpr Shapes<T, A> kShapes{kPhases<Planar, T, A>, kPhases<Interleaved, T, A>};

template <class T>
constexpr Kernels<T> kPhaseTable{
    this_isa(), kShapes<T, fast_t<T>>, kShapes<T, double>, {fused_forward<T>, fused_backward<T>}};

}  // namespace unitvar::kernels::HWY_NAMESPACE

namespace unitvar::kernels {

template <>
const Kernels<UNITVAR_DTYPE>& table<Kernels<UNITVAR_DTYPE>, HWY_NAMESPACE::this_isa()>() noexcept {
  return HWY_NAMESPACE::kPhaseTable<UNITVAR_DTYPE>;
}
template <>
const CombineKernels<UNITVAR_DTYPE>& table<CombineKernels<UNITVAR_DTYPE>, HWY_NAMESPACE::this_isa()>() noexcept {
  return HWY_NAMESPACE::kCombineTable<UNITVAR_DTYPE>;
}

#if UNITVAR_PORTABLE
template <class T, bool kPlanar>
void MapsInDouble<T, kPlanar>::normalize(const T* x, T* y, const NormalizeCoefficients<const double*>& c,
                                         const Rect& rect, const Access& access) {
  HWY_NAMESPACE::OwnMaps<HWY_NAMESPACE::OneByOne<kPlanar>, T, double>::normalize(x, y, c, rect, access);
}
template <class T, bool kPlanar>
void MapsInDouble<T, kPlanar>::input_gradient(const T* x, const T* dy, T* dx,
                                              const GradientCoefficients<const double*>& c, const Rect& rect,
                                              const Access& access) {
  HWY_NAMESPACE::OwnMaps<HWY_NAMESPACE::OneByOne<kPlanar>, T, double>::input_gradient(x, dy, dx, c, rect, access);
}
template <class T, bool kPlanar>
void SumsInDouble<T, kPlanar>::moments(const T* x, const double* shift, const Rect& rect, const Access& access,
                                       double* first, double* second) {
  using Shape = std::conditional_t<kPlanar, HWY_NAMESPACE::Planar, HWY_NAMESPACE::Interleaved>;
  HWY_NAMESPACE::OwnSums<Shape, T, double>::moments(x, shift, rect, access, first, second);
}
template <class T, bool kPlanar>
void SumsInDouble<T, kPlanar>::gradient_sums(const T* x, const T* dy, const double* center, const Rect& rect,
                                             const Access& access, double* first, double* second) {
  using Shape = std::conditional_t<kPlanar, HWY_NAMESPACE::Planar, HWY_NAMESPACE::Interleaved>;
  HWY_NAMESPACE::OwnSums<Shape, T, double>::gradient_sums(x, dy, center, rect, access, first, second);
}
template <class T, bool kPlanar>
void CombineInDouble<T, kPlanar>::combine(const CombineTensors<T>& tensors, T* out,
                                          const CombineCoefficients<const double*>& c, const Rect& rect,
                                          const Access& access) {
  HWY_NAMESPACE::OwnCombine<HWY_NAMESPACE::OneByOne<kPlanar>, T, double>::combine(tensors, out, c, rect, access);
}
template struct SumsInDouble<UNITVAR_DTYPE, true>;
template struct SumsInDouble<UNITVAR_DTYPE, false>;
template struct MapsInDouble<UNITVAR_DTYPE, true>;
template struct MapsInDouble<UNITVAR_DTYPE, false>;
template struct CombineInDouble<UNITVAR_DTYPE, true>;
template struct CombineInDouble<UNITVAR_DTYPE, false>;
#endif

}  // namespace unitvar::kernels
HWY_AFTER_NAMESPACE();
#endif
