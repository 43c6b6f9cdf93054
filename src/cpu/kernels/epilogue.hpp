#pragma once
#include "cpu/kernels/kernels.hpp"
#include "unitvar/activation.hpp"
#include "unitvar/dtype.hpp"

/// The four phases with more to read, to write or to ask for each element. Kernels of their own, so that the plain ones
/// stay as they are.
namespace unitvar::kernels {

/// What comes with the elements of a rectangle besides the plain phase: an activation, its output in the place of x, or
/// weights, one of the three. Pointers are to the rectangle's first element; null is absent.
template <class T>
struct Epilogue {
  Activation activation = {};   ///< behind the gradients always a leaky ReLU: a clip has the bits of a ReLU
  const T* residual = nullptr;  ///< normalize: added to v
  T* dresidual = nullptr;       ///< input gradient: gets dy behind the activation

  /// One bit an element, 1 where the activation passes it on: normalize writes them, the gradients read them.
  /// Bit k + bits_begin of row r, channel j stands in the bytes from bits + r * bits_row + j * bits_channel on.
  std::uint8_t* bits = nullptr;
  std::int64_t bits_row = 0;
  std::int64_t bits_channel = 0;
  std::int64_t bits_begin = 0;

  /// The gradients' x is the y that the activation gave: its sign stands for the bits, and it is taken back.
  bool x_is_output = false;

  /// A weight >= 0, planar for each element of a row, interleaved for the row. Where it is 0, nothing of the element is
  /// used; its y is 0 if `zero_unweighted`, its dx always.
  const param_t<T>* weights = nullptr;
  std::int64_t weights_row = 0;
  bool zero_unweighted = false;
};

/// As Phases.
template <class T, class A, class S = sum_in_t<T, A>>
struct EpiloguePhases {
  void (*moments)(const T* x, const S* shift, const Rect& rect, const Access& access, const Epilogue<T>& epilogue,
                  double* first, double* second);
  void (*normalize)(const T* x, T* y, const NormalizeCoefficients<const A*>& c, const Rect& rect, const Access& access,
                    const Epilogue<T>& epilogue);
  void (*gradient_sums)(const T* x, const T* dy, const S* center, const Rect& rect, const Access& access,
                        const Epilogue<T>& epilogue, double* first, double* second);
  void (*input_gradient)(const T* x, const T* dy, T* dx, const GradientCoefficients<const A*>& c, const Rect& rect,
                         const Access& access, const Epilogue<T>& epilogue);
};

template <class T, class A>
struct EpilogueShapes {
  EpiloguePhases<T, A> planar;
  EpiloguePhases<T, A> interleaved;
};

/// As Fused: the first phase of the forward is the plain one, which weights rule out.
template <class T>
struct EpilogueFused {
  void (*forward)(const T* x, T* y, const NormalizeCoefficients<const fast_t<T>*>& c, const Rect& rect,
                  const Access& access, const Epilogue<T>& epilogue, std::int64_t next, const sum_t<T>* shift,
                  double* first, double* second);
  void (*backward)(const T* x, const T* dy, T* dx, const GradientCoefficients<const fast_t<T>*>& c, const Rect& rect,
                   const Access& access, const Epilogue<T>& epilogue, std::int64_t next,
                   const Epilogue<T>& epilogue_of_next, const sum_t<T>* center, double* first, double* second);
};

/// As MapsInDouble.
template <class T, bool kPlanar>
struct EpilogueMapsInDouble {
  static void normalize(const T* x, T* y, const NormalizeCoefficients<const double*>& c, const Rect& rect,
                        const Access& access, const Epilogue<T>& epilogue);
  static void input_gradient(const T* x, const T* dy, T* dx, const GradientCoefficients<const double*>& c,
                             const Rect& rect, const Access& access, const Epilogue<T>& epilogue);
};
template <bool kPlanar>
struct EpilogueMapsInDouble<double, kPlanar> {};

/// The same for the sums in double of 16 bits.
template <class T, bool kPlanar>
struct EpilogueSumsInDouble {
  static void moments(const T* x, const double* shift, const Rect& rect, const Access& access,
                      const Epilogue<T>& epilogue, double* first, double* second);
  static void gradient_sums(const T* x, const T* dy, const double* center, const Rect& rect, const Access& access,
                            const Epilogue<T>& epilogue, double* first, double* second);
};
template <bool kPlanar>
struct EpilogueSumsInDouble<float, kPlanar> {};
template <bool kPlanar>
struct EpilogueSumsInDouble<double, kPlanar> {};

/// The kernels with epilogue of one instruction set.
template <class T>
struct EpilogueKernels {
  EpilogueShapes<T, fast_t<T>> fast;
  EpilogueShapes<T, double> wide;
  EpilogueFused<T> fused;
};

/// As kernels_for.
template <class T>
const EpilogueKernels<T>& epilogue_kernels_for(Isa isa);

}  // namespace unitvar::kernels
