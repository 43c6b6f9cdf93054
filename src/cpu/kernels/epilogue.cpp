// The table of extended kernels of each instruction set: this file compiles itself once per Highway target.
#include "cpu/kernels/epilogue.hpp"

#include "cpu/runtime/targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/epilogue.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "cpu/kernels/epilogue-inl.h"
#include "cpu/kernels/shapes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

/// Without vectors maps have nothing to win from shapes; sums are as they are, for their bits.
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
template <class Shape>
using MapShape = OneByOne<Shape>;
#else
template <class Shape>
using MapShape = Shape;
#endif

/// Of what has weights, which is never streamed (make_schedule).
template <class Shape, class T, class A, class Map>
HWY_INLINE void write_cached(const Map& map, const Rect& rect, const Access& access) {
  if constexpr (std::is_same_v<MapShape<Shape>, Planar>) {
    planar_sweep_as<T, A, false>(Nothing(), map, rect, access, nullptr, nullptr);
  } else if constexpr (std::is_same_v<MapShape<Shape>, Interleaved>) {
    map_rows<T, A, false>(map, rect, access.ahead);
  } else {
    MapShape<Shape>::template write<T, A>(map, rect, access);
  }
}

/// Floats have kernels of their own for ReLU and for leaky ones; the others share theirs, and so do rare instruction
/// sets, since each kernel takes its time to compile.
constexpr bool kRareTarget = HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128;
template <class T>
constexpr bool kKnowsRelu = std::is_same_v<T, float> && !kRareTarget;

template <template <class> class Slope, class A, class T>
HWY_INLINE Activated<Slope<A>> activated(const Epilogue<T>& e) {
  return {e.bits, e.bits_row, e.bits_channel, e.bits_begin, Slope<A>(e.slope)};
}

/// Calls f with the activation of the epilogue.
template <class A, class T, class F>
HWY_INLINE void with_activation(const F& f, const Epilogue<T>& epilogue) {
  if constexpr (!kKnowsRelu<T>) {
    f(activated<AnySlope, A>(epilogue));
  } else if (epilogue.slope == 0) {
    f(activated<Relu, A>(epilogue));
  } else {
    f(activated<Leaky, A>(epilogue));
  }
}

/// The same with the epilogue of a rectangle to map and of another one of the call, whose terms are added up in S.
template <class A, class S, class T, class F>
HWY_INLINE void with_activations(const F& f, const Epilogue<T>& epilogue, const Epilogue<T>& of_next) {
  if constexpr (!kKnowsRelu<T>) {
    f(activated<AnySlope, A>(epilogue), activated<AnySlope, S>(of_next));
  } else if (epilogue.slope == 0) {
    f(activated<Relu, A>(epilogue), activated<Relu, S>(of_next));
  } else {
    f(activated<Leaky, A>(epilogue), activated<Leaky, S>(of_next));
  }
}

/// Calls f with the kind of the epilogue.
template <class T, class A, class F>
HWY_INLINE void with_kind(const Epilogue<T>& epilogue, const F& f) {
  if (epilogue.weights != nullptr) return f(Weighted<T, A>(epilogue));
  if (epilogue.x_is_output) return f(ActivatedOutput<T, A>(epilogue));
  with_activation<A>(f, epilogue);
}

template <class Shape, class T, class A>
void weighted_moments(const T* x, const A* shift, const Rect& rect, const Access& access, const Epilogue<T>& epilogue,
                      double* first, double* second) {
  Shape::template add<T, A>(WeightedMomentTerms<T, A, const A*>{x, shift, Weighted<T, A>(epilogue)}, rect, access,
                            first, second);
}

/// Calls f with the map of the activation.
template <class T, class A, class F>
HWY_INLINE void with_activated_map(const T* x, T* y, const NormalizeCoefficients<const A*>& c,
                                   const Epilogue<T>& epilogue, const F& f) {
  const auto call = [&](const auto& kind) HWY_ATTR {
    using Kind = std::remove_cvref_t<decltype(kind)>;
    if (epilogue.residual == nullptr) {
      f(ActivatedNormalizeMap<T, A, const A*, Kind, false>{x, nullptr, y, c, kind});
    } else {
      f(ActivatedNormalizeMap<T, A, const A*, Kind, true>{x, epilogue.residual, y, c, kind});
    }
  };
  with_activation<A>(call, epilogue);
}

template <class Shape, class T, class A>
void normalize(const T* x, T* y, const NormalizeCoefficients<const A*>& c, const Rect& rect, const Access& access,
               const Epilogue<T>& epilogue) {
  if (epilogue.weights != nullptr) {
    const WeightedNormalizeMap<T, A, const A*> map{x, y, c, Weighted<T, A>(epilogue), epilogue.zero_unweighted};
    write_cached<Shape, T, A>(map, rect, access);
    return;
  }
  with_activated_map<T, A>(x, y, c, epilogue,
                           [&](const auto& map) HWY_ATTR { MapShape<Shape>::template write<T, A>(map, rect, access); });
}

template <class Shape, class T, class A>
void gradient_sums(const T* x, const T* dy, const A* center, const Rect& rect, const Access& access,
                   const Epilogue<T>& epilogue, double* first, double* second) {
  with_kind<T, A>(epilogue, [&](const auto& kind) HWY_ATTR {
    using Kind = std::remove_cvref_t<decltype(kind)>;
    const EpilogueGradientTerms<T, A, const A*, Kind> source{x, dy, center, kind};
    Shape::template add<T, A>(source, rect, access, first, second);
  });
}

template <class Shape, class T, class A>
void input_gradient(const T* x, const T* dy, T* dx, const GradientCoefficients<const A*>& c, const Rect& rect,
                    const Access& access, const Epilogue<T>& epilogue) {
  const Access own = access_of_both(access, dx, epilogue.dresidual);
  with_kind<T, A>(epilogue, [&](const auto& kind) HWY_ATTR {
    with_gradient_map(x, dy, dx, epilogue.dresidual, c, kind, [&](const auto& map) HWY_ATTR {
      if constexpr (std::remove_cvref_t<decltype(map)>::kWeighted) {
        write_cached<Shape, T, A>(map, rect, own);
      } else {
        MapShape<Shape>::template write<T, A>(map, rect, own);
      }
    });
  });
}

/// One sweep has something to win where memory is written all the time; elsewhere its phases come one after the other,
/// and so they do on rare instruction sets.
template <class T>
HWY_INLINE bool fuses(const Rect& rect, const Access& access) {
  return !kRareTarget && streams_rows<T>(rect, access);
}
template <class T, class A, class Source, class Map>
HWY_INLINE void fuse([[maybe_unused]] const Source& source, [[maybe_unused]] const Map& map, const Rect& rect,
                     const Access& access, double* first, double* second) {
  if constexpr (!kRareTarget) planar_sweep_as<T, A, true>(source, map, rect, access, first, second);
}

template <class T, class A = fast_t<T>, class S = sum_t<T>>
void fused_forward(const T* x, T* y, const NormalizeCoefficients<const A*>& c, const Rect& rect, const Access& access,
                   const Epilogue<T>& epilogue, int64_t next, const S* shift, double* first, double* second) {
  const MomentTerms<T, S, const S*> source{x + next, shift};
  if (!fuses<T>(rect, access)) {
    normalize<Planar, T, A>(x, y, c, rect, access, epilogue);
    Planar::add<T, S>(source, rect, access, first, second);
    return;
  }
  with_activated_map<T, A>(x, y, c, epilogue,
                           [&](const auto& map) HWY_ATTR { fuse<T, A>(source, map, rect, access, first, second); });
}

/// Of weighted tensors, phases are not fused.
template <class T, class A = fast_t<T>, class S = sum_t<T>>
void fused_backward(const T* x, const T* dy, T* dx, const GradientCoefficients<const A*>& c, const Rect& rect,
                    const Access& access, const Epilogue<T>& epilogue, int64_t next,
                    const Epilogue<T>& epilogue_of_next, const S* center, double* first, double* second) {
  const Access own = access_of_both(access, dx, epilogue.dresidual);
  if (!fuses<T>(rect, own)) {
    input_gradient<Planar, T, A>(x, dy, dx, c, rect, access, epilogue);
    gradient_sums<Planar, T, S>(x + next, dy + next, center, rect, access, epilogue_of_next, first, second);
    return;
  }
  const auto sweep = [&](const auto& kind, const auto& kind_of_next) HWY_ATTR {
    const EpilogueGradientTerms<T, S, const S*, std::remove_cvref_t<decltype(kind_of_next)>> source{
        x + next, dy + next, center, kind_of_next};
    with_gradient_map(x, dy, dx, epilogue.dresidual, c, kind,
                      [&](const auto& map) HWY_ATTR { fuse<T, A>(source, map, rect, own, first, second); });
  };
  if (epilogue.x_is_output) {
    sweep(ActivatedOutput<T, A>(epilogue), ActivatedOutput<T, S>(epilogue_of_next));
  } else {
    with_activations<A, S>(sweep, epilogue, epilogue_of_next);
  }
}

template <class Shape, class T, class A>
constexpr EpiloguePhases<T, A> kExtendedPhases{
    weighted_moments<QuickSum<T, A, Shape>, T, sum_in_t<T, A>>, normalize<Quick<T, A, Shape>, T, A>,
    gradient_sums<QuickSum<T, A, Shape>, T, sum_in_t<T, A>>, input_gradient<Quick<T, A, Shape>, T, A>};

template <class T, class A>
constexpr EpilogueShapes<T, A> kExtendedShapes{kExtendedPhases<Planar, T, A>, kExtendedPhases<Interleaved, T, A>};

template <class T>
constexpr EpilogueKernels<T> kExtendedTable{kExtendedShapes<T, fast_t<T>>,
                                            kExtendedShapes<T, double>,
                                            {fused_forward<T, fast_t<T>>, fused_backward<T, fast_t<T>>}};

const EpilogueKernels<float>* epilogue_f32() { return &kExtendedTable<float>; }
const EpilogueKernels<double>* epilogue_f64() { return &kExtendedTable<double>; }
const EpilogueKernels<bf16>* epilogue_bf16() { return &kExtendedTable<bf16>; }
const EpilogueKernels<f16>* epilogue_f16() { return &kExtendedTable<f16>; }

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "cpu/kernels/dispatch.hpp"

namespace unitvar::kernels {

HWY_EXPORT(epilogue_f32);
HWY_EXPORT(epilogue_f64);
HWY_EXPORT(epilogue_bf16);
HWY_EXPORT(epilogue_f16);

template <>
const EpilogueKernels<float>& epilogue_kernels_for<float>(Isa isa) {
  return *pick(HWY_DISPATCH_TABLE(epilogue_f32), isa);
}

template <>
const EpilogueKernels<double>& epilogue_kernels_for<double>(Isa isa) {
  return *pick(HWY_DISPATCH_TABLE(epilogue_f64), isa);
}

template <>
const EpilogueKernels<bf16>& epilogue_kernels_for<bf16>(Isa isa) {
  return *pick(HWY_DISPATCH_TABLE(epilogue_bf16), isa);
}

template <>
const EpilogueKernels<f16>& epilogue_kernels_for<f16>(Isa isa) {
  return *pick(HWY_DISPATCH_TABLE(epilogue_f16), isa);
}

}  // namespace unitvar::kernels
#endif
