#pragma once
#include <cstdint>

#include "unitvar/options.hpp"

/// The kernels: four phases in two memory shapes, over rectangles of memory. They know no channel, thread, rank or
/// error. Arithmetic is double whatever T is, and no multiply is fused with an add, so every instruction set gives the
/// same bits.
namespace unitvar::kernels {

/// A rectangle: element (r, k) stands at r * stride + k from the pointer that comes with it.
struct Rect {
  std::int64_t rows;
  std::int64_t cols;
  std::int64_t stride;
};

/// Two sums that are taken together.
struct SumPair {
  double first;
  double second;
};

/// y = (x - mean) * scale + beta. V is double where one channel fills the rectangle (planar), and const double* where
/// each column has values of its own (interleaved).
template <class V>
struct NormalizeCoefficients {
  V mean;
  V scale;
  V beta;
};

/// dx = ((dy - mean_dy) - (x - mean) * slope) * scale.
template <class V>
struct GradientCoefficients {
  V mean;
  V mean_dy;
  V slope;
  V scale;
};

/// Lanes of a planar sum. Element k of a row is added to lane k % kLanes, and the lanes are then folded in halves:
/// the order of additions, hence the bits, is the same for every vector width.
inline constexpr int kLanes = 16;

/// The kernels of one instruction set for elements of type T. All pointers are to the rectangle's first element; dx
/// may be dy, y may be x.
template <class T>
struct Kernels {
  Isa isa;  ///< set by the code compiled for that instruction set

  /// {sum(x - shift), sum((x - shift)^2)} over the rectangle.
  SumPair (*planar_moments)(const T* x, Rect rect, double shift);
  /// {sum(dy), sum(dy * (x - mean))} over the rectangle.
  SumPair (*planar_gradient_sums)(const T* x, const T* dy, Rect rect, double mean);
  void (*planar_normalize)(const T* x, T* y, Rect rect, NormalizeCoefficients<double> c);
  void (*planar_input_gradient)(const T* x, const T* dy, T* dx, Rect rect, GradientCoefficients<double> c);

  /// The same per column: column k adds its sums to first[k] and second[k], row after row.
  void (*interleaved_moments)(const T* x, Rect rect, const double* shift, double* first, double* second);
  void (*interleaved_gradient_sums)(const T* x, const T* dy, Rect rect, const double* mean, double* first,
                                    double* second);
  void (*interleaved_normalize)(const T* x, T* y, Rect rect, NormalizeCoefficients<const double*> c);
  void (*interleaved_input_gradient)(const T* x, const T* dy, T* dx, Rect rect, GradientCoefficients<const double*> c);
};

/// The kernels that a call with Options{.isa = isa} runs. Throws as selected_isa does.
template <class T>
const Kernels<T>& kernels_for(Isa isa);

}  // namespace unitvar::kernels
