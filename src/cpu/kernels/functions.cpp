// Maps with an activation that is computed from the element. Compiled as phases.cpp is.
#include "cpu/runtime/targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/kernels/functions.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "cpu/kernels/epilogue-inl.h"
#include "cpu/kernels/functions-inl.h"
#include "cpu/kernels/table.hpp"

#if UNITVAR_IN_GROUP
HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

/// Phase 2 and a function f; or f of that and of dy.
template <class T, class A, class V, class F>
struct FunctionMap {
  static constexpr bool kHasEpilogue = false;
  using Vector = Widest<T, A, V>;
  const T* x;
  const T* residual;
  const T* dy;
  T* out;
  NormalizeCoefficients<V> c;
  F f;

  template <class U>
  HWY_INLINE typename U::Value value(int64_t i, int64_t k) const {
    auto v = normalized<U>(x, c, i, k);
    if (residual != nullptr) v = U::add(v, U::load(residual + i));
    if constexpr (F::kOrder == 0) {
      return apply<U, A>(f, v, v);
    } else {
      return apply<U, A>(f, v, dy != nullptr ? U::load(dy + i) : v);
    }
  }
  HWY_INLINE void prefetch(int64_t i) const {
    kernels::HWY_NAMESPACE::prefetch(x + i);
    if (F::kOrder > 0 && dy != nullptr) kernels::HWY_NAMESPACE::prefetch(dy + i);
    beside().prefetch(i);
  }
  HWY_INLINE Beside<T> beside() const { return {residual}; }
  HWY_INLINE auto channel(int64_t j) const {
    return FunctionMap<T, A, A, F>{x, residual, dy, out, {c.center[j], c.scale[j], c.beta[j]}, f};
  }
  HWY_INLINE const FunctionMap& row(int64_t, int64_t) const { return *this; }
};

/// Floats have kernels of their own for what takes less time than a call.
template <class T>
constexpr bool kKnowsFunctions = std::is_same_v<T, float> && (kFastTarget);

/// Calls f with the function.
template <class T, class A, class F>
HWY_INLINE void with_function(const Function<T>& of, const F& f) {
  using Kind = Activation::Kind;
  if constexpr (kKnowsFunctions<T> && std::is_same_v<A, float>) {
    const Kind kind = of.activation.kind;
    if (kind == Kind::identity && of.order == 0) return f(Identity());
    if (kind == Kind::hard_swish && of.order == 0) return f(HardSwish<0>());
  }
  f(AnyFunction<A>{of.activation, of.order});
}

template <class Shape, class T, class A>
struct OwnFunctions {
  static void normalize(const T* x, T* y, const NormalizeCoefficients<const A*>& c, const Rect& rect,
                        const Access& access, const Epilogue<T>& epilogue) {
    with_map(x, y, c, epilogue,
             [&](const auto& map) HWY_ATTR { MapShape<Shape>::template write<T, A>(map, rect, access); });
  }
  /// Calls f with the map of a forward whose activation is no leaky ReLU. Only a clip leaves bits.
  template <class F>
  static HWY_INLINE void with_map(const T* x, T* y, const NormalizeCoefficients<const A*>& c, const Epilogue<T>& e,
                                  const F& f) {
    if (e.bits != nullptr) {
      const Clip<A> kink(e.activation);
      return f(ActivatedNormalizeMap<T, A, const A*, Activated<Clip<A>>>{x, e.residual, y, c, activated_by(e, kink)});
    }
    with_function<T, A>({.activation = e.activation}, [&](const auto& function) HWY_ATTR {
      using Own = std::remove_cvref_t<decltype(function)>;
      f(FunctionMap<T, A, const A*, Own>{x, e.residual, nullptr, y, c, function});
    });
  }
  static void apply(const T* x, T* out, const NormalizeCoefficients<const A*>& c, const Rect& rect,
                    const Access& access, const Function<T>& function) {
    with_function<T, A>(function, [&](const auto& f) HWY_ATTR {
      using Own = std::remove_cvref_t<decltype(f)>;
      const FunctionMap<T, A, const A*, Own> map{x, function.residual, function.dy, out, c, f};
      MapShape<Shape>::template write<T, A>(map, rect, access);
    });
  }
};

template <class T, class A = fast_t<T>, class S = sum_t<T>>
void fused_function(const T* x, T* y, const NormalizeCoefficients<const A*>& c, const Rect& rect, const Access& access,
                    const Epilogue<T>& epilogue, int64_t next, const S* shift, double* first, double* second) {
  fuse_with_moments<OwnFunctions<Planar, T, A>, T, A>(x, y, c, rect, access, epilogue, next, shift, first, second);
}

template <class Shape, class T, class A>
using Functions = std::conditional_t<kIsShared<T, A>, FunctionsInDouble<T, Shape::kPlanar>, OwnFunctions<Shape, T, A>>;

template <class Shape, class T, class A>
constexpr FunctionPhases<T, A> kFunctionPhases{Functions<Shape, T, A>::normalize, Functions<Shape, T, A>::apply};

template <class T, class A>
constexpr FunctionShapes<T, A> kFunctionShapes{kFunctionPhases<Planar, T, A>, kFunctionPhases<Interleaved, T, A>};

template <class T>
constexpr FunctionKernels<T> kFunctionTable{kFunctionShapes<T, fast_t<T>>, kFunctionShapes<T, double>,
                                            fused_function<T>};

}  // namespace unitvar::kernels::HWY_NAMESPACE

namespace unitvar::kernels {

template <>
const FunctionKernels<UNITVAR_DTYPE>& table<FunctionKernels<UNITVAR_DTYPE>, HWY_NAMESPACE::this_isa()>() noexcept {
  return HWY_NAMESPACE::kFunctionTable<UNITVAR_DTYPE>;
}

#if UNITVAR_PORTABLE
template <class T, bool kPlanar>
void FunctionsInDouble<T, kPlanar>::normalize(const T* x, T* y, const NormalizeCoefficients<const double*>& c,
                                              const Rect& rect, const Access& access, const Epilogue<T>& epilogue) {
  HWY_NAMESPACE::OwnFunctions<HWY_NAMESPACE::OneByOne<kPlanar>, T, double>::normalize(x, y, c, rect, access, epilogue);
}
template <class T, bool kPlanar>
void FunctionsInDouble<T, kPlanar>::apply(const T* x, T* out, const NormalizeCoefficients<const double*>& c,
                                          const Rect& rect, const Access& access, const Function<T>& function) {
  HWY_NAMESPACE::OwnFunctions<HWY_NAMESPACE::OneByOne<kPlanar>, T, double>::apply(x, out, c, rect, access, function);
}
template struct FunctionsInDouble<UNITVAR_DTYPE, true>;
template struct FunctionsInDouble<UNITVAR_DTYPE, false>;
#endif

}  // namespace unitvar::kernels
HWY_AFTER_NAMESPACE();
#endif
