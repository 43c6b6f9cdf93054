#pragma once
#include "cpu/kernels/epilogue.hpp"

/// Maps whose elements go through an activation that is no leaky ReLU. All but the clip of a forward keep no bits.
namespace unitvar::kernels {

/// A function of v = (x - center) * scale + beta + residual, or the product of one of its derivatives with dy.
template <class T>
struct Function {
  Activation activation;
  int order = 0;                ///< 0: the function; 1, 2: its derivatives
  const T* residual = nullptr;  ///< null: absent
  const T* dy = nullptr;        ///< not of order 0

  /// The same `distance` elements further on.
  [[nodiscard]] Function from(std::int64_t distance) const noexcept {
    return {activation, order, residual == nullptr ? nullptr : residual + distance,
            dy == nullptr ? nullptr : dy + distance};
  }
};

/// As EpiloguePhases::normalize, of epilogues whose activation is no leaky ReLU; and out = function.
template <class T, class A>
struct FunctionPhases {
  void (*normalize)(const T* x, T* y, const NormalizeCoefficients<const A*>& c, const Rect& rect, const Access& access,
                    const Epilogue<T>& epilogue);
  void (*apply)(const T* x, T* out, const NormalizeCoefficients<const A*>& c, const Rect& rect, const Access& access,
                const Function<T>& function);
};

template <class T, class A>
struct FunctionShapes {
  FunctionPhases<T, A> planar;
  FunctionPhases<T, A> interleaved;
};

/// As MapsInDouble.
template <class T, bool kPlanar>
struct FunctionsInDouble {
  static void normalize(const T* x, T* y, const NormalizeCoefficients<const double*>& c, const Rect& rect,
                        const Access& access, const Epilogue<T>& epilogue);
  static void apply(const T* x, T* out, const NormalizeCoefficients<const double*>& c, const Rect& rect,
                    const Access& access, const Function<T>& function);
};
template <bool kPlanar>
struct FunctionsInDouble<double, kPlanar> {};

/// Those of one instruction set.
template <class T>
struct FunctionKernels {
  FunctionShapes<T, fast_t<T>> fast;
  FunctionShapes<T, double> wide;
  /// As EpilogueFused::forward.
  void (*fused_forward)(const T* x, T* y, const NormalizeCoefficients<const fast_t<T>*>& c, const Rect& rect,
                        const Access& access, const Epilogue<T>& epilogue, std::int64_t next, const sum_t<T>* shift,
                        double* first, double* second);
};

/// As kernels_for.
template <class T>
const FunctionKernels<T>& function_kernels_for(Isa isa);

}  // namespace unitvar::kernels
