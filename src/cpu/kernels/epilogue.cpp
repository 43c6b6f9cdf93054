// The four phases with an epilogue. Compiled as phases.cpp is.
#include "cpu/runtime/targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/epilogue.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "cpu/kernels/epilogue-inl.h"
#include "cpu/kernels/shapes-inl.h"
#include "cpu/kernels/table.hpp"
#include "cpu/kernels/target-inl.h"

#if UNITVAR_IN_GROUP
HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

/// Floats have kernels of their own for ReLU and for leaky ones. The other types share theirs, and so do targets
/// outside the fast group, which few processors are limited to: each kernel takes its time to compile.
template <class T>
constexpr bool kKnowsRelu = std::is_same_v<T, float> && (kFastTarget);

template <template <class> class Kink, class A, class T>
HWY_INLINE Activated<Kink<A>> activated(const Epilogue<T>& e) {
  return activated_by(e, Kink<A>(e.activation.negative_slope));
}

/// Calls f(op, of_next): the activation of a rectangle to map, and that of another one of the call in S.
template <class A, class S, class T, class F>
HWY_INLINE void with_activations(const Epilogue<T>& epilogue, const Epilogue<T>& of_next, const F& f) {
  if constexpr (!kKnowsRelu<T>) {
    f(activated<AnySlope, A>(epilogue), activated<AnySlope, S>(of_next));
  } else if (epilogue.activation.negative_slope == 0) {
    f(activated<Relu, A>(epilogue), activated<Relu, S>(of_next));
  } else {
    f(activated<Leaky, A>(epilogue), activated<Leaky, S>(of_next));
  }
}
template <class A, class T, class F>
HWY_INLINE void with_activation(const Epilogue<T>& epilogue, const F& f) {
  with_activations<A, A>(epilogue, epilogue, [&](const auto& op, const auto&) HWY_ATTR { f(op); });
}

/// Calls f with the operation of the epilogue.
template <class Shape, class T, class A, class F>
HWY_INLINE void with_op(const Epilogue<T>& epilogue, const F& f) {
  if (epilogue.weights != nullptr) return f(Weighted<T, A, Shape::kPlanar>(epilogue));
  if (epilogue.x_is_output) return f(ActivatedOutput<T, A>(epilogue));
  with_activation<A>(epilogue, f);
}

/// For all activations but the leaky ReLU.
template <class Shape, class T, class A>
HWY_INLINE const auto& function_phases() {
  const auto& shapes = [](const auto& functions) -> const auto& {
    if constexpr (std::is_same_v<A, fast_t<T>>) {
      return functions.fast;
    } else {
      return functions.wide;
    }
  }
  (table<FunctionKernels<T>, this_isa()>());
  return Shape::kPlanar ? shapes.planar : shapes.interleaved;
}

template <class Shape, class T, class A>
struct EpilogueSums {
  static void moments(const T* x, const A* shift, const Rect& rect, const Access& access, const Epilogue<T>& epilogue,
                      double* first, double* second) {
    using Op = Weighted<T, A, Shape::kPlanar>;
    const WeightedMomentTerms<T, A, const A*, Op> source{x, shift, Op(epilogue)};
    Shape::template add<T, A>(source, rect, access, first, second);
  }
  static void gradient_sums(const T* x, const T* dy, const A* center, const Rect& rect, const Access& access,
                            const Epilogue<T>& epilogue, double* first, double* second) {
    with_op<Shape, T, A>(epilogue, [&](const auto& op) HWY_ATTR {
      using Op = std::remove_cvref_t<decltype(op)>;
      const EpilogueGradientTerms<T, A, const A*, Op> source{x, dy, center, op};
      Shape::template add<T, A>(source, rect, access, first, second);
    });
  }
};

template <class Shape, class T, class A>
struct EpilogueMaps {
  static void normalize(const T* x, T* y, const NormalizeCoefficients<const A*>& c, const Rect& rect,
                        const Access& access, const Epilogue<T>& epilogue) {
    if (epilogue.weights != nullptr) {
      using Op = Weighted<T, A, Shape::kPlanar>;
      const WeightedNormalizeMap<T, A, const A*, Op> map{x, y, c,
                                                         Op(epilogue, epilogue.zero_unweighted ? A(0) : A(-1))};
      MapShape<Shape>::template write<T, A>(map, rect, access);
      return;
    }
    if (epilogue.activation.kind != Activation::Kind::leaky_relu) {
      return function_phases<Shape, T, A>().normalize(x, y, c, rect, access, epilogue);
    }
    with_map(x, y, c, epilogue,
             [&](const auto& map) HWY_ATTR { MapShape<Shape>::template write<T, A>(map, rect, access); });
  }
  /// Calls f with the map of the activation.
  template <class F>
  static HWY_INLINE void with_map(const T* x, T* y, const NormalizeCoefficients<const A*>& c,
                                  const Epilogue<T>& epilogue, const F& f) {
    with_activation<A>(epilogue, [&](const auto& op) HWY_ATTR {
      using Op = std::remove_cvref_t<decltype(op)>;
      f(ActivatedNormalizeMap<T, A, const A*, Op>{x, epilogue.residual, y, c, op});
    });
  }
  static void input_gradient(const T* x, const T* dy, T* dx, const GradientCoefficients<const A*>& c, const Rect& rect,
                             const Access& access, const Epilogue<T>& epilogue) {
    const Access own = access_of_both(access, dx, epilogue.dresidual);
    with_op<Shape, T, A>(epilogue, [&](const auto& op) HWY_ATTR {
      using Op = std::remove_cvref_t<decltype(op)>;
      const EpilogueInputGradientMap<T, A, const A*, Op> map{x, dy, dx, epilogue.dresidual, c, op};
      MapShape<Shape>::template write<T, A>(map, rect, own);
    });
  }
};

template <class T, class A = fast_t<T>, class S = sum_t<T>>
void fused_forward(const T* x, T* y, const NormalizeCoefficients<const A*>& c, const Rect& rect, const Access& access,
                   const Epilogue<T>& epilogue, int64_t next, const S* shift, double* first, double* second) {
  if (epilogue.activation.kind != Activation::Kind::leaky_relu) {
    const auto& functions = table<FunctionKernels<T>, this_isa()>();
    return functions.fused_forward(x, y, c, rect, access, epilogue, next, shift, first, second);
  }
  fuse_with_moments<EpilogueMaps<Planar, T, A>, T, A>(x, y, c, rect, access, epilogue, next, shift, first, second);
}

/// Of weighted tensors, phases are not fused.
template <class T, class A = fast_t<T>, class S = sum_t<T>>
void fused_backward(const T* x, const T* dy, T* dx, const GradientCoefficients<const A*>& c, const Rect& rect,
                    const Access& access, const Epilogue<T>& epilogue, int64_t next,
                    const Epilogue<T>& epilogue_of_next, const S* center, double* first, double* second) {
  const Access own = access_of_both(access, dx, epilogue.dresidual);
  if (!fuses<T>(rect, own)) {
    EpilogueMaps<Planar, T, A>::input_gradient(x, dy, dx, c, rect, access, epilogue);
    EpilogueSums<Planar, T, S>::gradient_sums(x + next, dy + next, center, rect, access, epilogue_of_next, first,
                                              second);
    return;
  }
  const auto sweep = [&](const auto& op, const auto& op_of_next) HWY_ATTR {
    const EpilogueGradientTerms<T, S, const S*, std::remove_cvref_t<decltype(op_of_next)>> source{x + next, dy + next,
                                                                                                  center, op_of_next};
    using Op = std::remove_cvref_t<decltype(op)>;
    const EpilogueInputGradientMap<T, A, const A*, Op> map{x, dy, dx, epilogue.dresidual, c, op};
    fuse<T, A>(source, map, rect, own, first, second);
  };
  if (epilogue.x_is_output) {
    sweep(ActivatedOutput<T, A>(epilogue), ActivatedOutput<T, S>(epilogue_of_next));
  } else {
    with_activations<A, S>(epilogue, epilogue_of_next, sweep);
  }
}

template <class Shape, class T, class A>
using Maps = std::conditional_t<kIsShared<T, A>, EpilogueMapsInDouble<T, Shape::kPlanar>, EpilogueMaps<Shape, T, A>>;
template <class Shape, class T, class S>
using Sums = std::conditional_t<kIsSharedSum<T, S>, EpilogueSumsInDouble<T, Shape::kPlanar>, EpilogueSums<Shape, T, S>>;

template <class Shape, class T, class A, class S = sum_in_t<T, A>>
constexpr EpiloguePhases<T, A> kEpiloguePhases{Sums<Shape, T, S>::moments, Maps<Shape, T, A>::normalize,
                                               Sums<Shape, T, S>::gradient_sums, Maps<Shape, T, A>::input_gradient};

template <class T, class A>
constexpr EpilogueShapes<T, A> kEpilogueShapes{kEpiloguePhases<Planar, T, A>, kEpiloguePhases<Interleaved, T, A>};

template <class T>
constexpr EpilogueKernels<T> kEpilogueTable{kEpilogueShapes<T, fast_t<T>>,
                                            kEpilogueShapes<T, double>,
                                            {fused_forward<T, fast_t<T>>, fused_backward<T, fast_t<T>>}};

}  // namespace unitvar::kernels::HWY_NAMESPACE

namespace unitvar::kernels {

template <>
const EpilogueKernels<UNITVAR_DTYPE>& table<EpilogueKernels<UNITVAR_DTYPE>, HWY_NAMESPACE::this_isa()>() noexcept {
  return HWY_NAMESPACE::kEpilogueTable<UNITVAR_DTYPE>;
}

#if UNITVAR_PORTABLE
template <class T, bool kPlanar>
void EpilogueMapsInDouble<T, kPlanar>::normalize(const T* x, T* y, const NormalizeCoefficients<const double*>& c,
                                                 const Rect& rect, const Access& access, const Epilogue<T>& epilogue) {
  using Maps = HWY_NAMESPACE::EpilogueMaps<HWY_NAMESPACE::OneByOne<kPlanar>, T, double>;
  Maps::normalize(x, y, c, rect, access, epilogue);
}
template <class T, bool kPlanar>
void EpilogueMapsInDouble<T, kPlanar>::input_gradient(const T* x, const T* dy, T* dx,
                                                      const GradientCoefficients<const double*>& c, const Rect& rect,
                                                      const Access& access, const Epilogue<T>& epilogue) {
  using Maps = HWY_NAMESPACE::EpilogueMaps<HWY_NAMESPACE::OneByOne<kPlanar>, T, double>;
  Maps::input_gradient(x, dy, dx, c, rect, access, epilogue);
}
template <class T, bool kPlanar>
void EpilogueSumsInDouble<T, kPlanar>::moments(const T* x, const double* shift, const Rect& rect, const Access& access,
                                               const Epilogue<T>& epilogue, double* first, double* second) {
  using Sums = HWY_NAMESPACE::EpilogueSums<HWY_NAMESPACE::OneByOne<kPlanar>, T, double>;
  Sums::moments(x, shift, rect, access, epilogue, first, second);
}
template <class T, bool kPlanar>
void EpilogueSumsInDouble<T, kPlanar>::gradient_sums(const T* x, const T* dy, const double* center, const Rect& rect,
                                                     const Access& access, const Epilogue<T>& epilogue, double* first,
                                                     double* second) {
  using Sums = HWY_NAMESPACE::EpilogueSums<HWY_NAMESPACE::OneByOne<kPlanar>, T, double>;
  Sums::gradient_sums(x, dy, center, rect, access, epilogue, first, second);
}
template struct EpilogueMapsInDouble<UNITVAR_DTYPE, true>;
template struct EpilogueMapsInDouble<UNITVAR_DTYPE, false>;
template struct EpilogueSumsInDouble<UNITVAR_DTYPE, true>;
template struct EpilogueSumsInDouble<UNITVAR_DTYPE, false>;
#endif

}  // namespace unitvar::kernels
HWY_AFTER_NAMESPACE();
#endif
