#pragma once
#include <cstdint>
#include <type_traits>

#include "unitvar/options.hpp"

/// The kernels: four phases in two memory shapes, over rectangles of memory. They know no channel, thread, rank or
/// error. No multiply is fused with an add, so every instruction set gives the same bits.
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

/// A value to subtract, hi + lo. Arithmetic in double uses hi alone.
template <class V>
struct Split {
  V hi;
  V lo;
};

/// y = (x - mean) * scale + beta. V is the arithmetic's type where one channel fills the rectangle (planar), and a
/// pointer to it where each column has values of its own (interleaved).
template <class V>
struct NormalizeCoefficients {
  Split<V> mean;
  V scale;
  V beta;
};

/// dx = ((dy - mean_dy) - (x - mean) * slope) * scale.
template <class V>
struct GradientCoefficients {
  Split<V> mean;
  Split<V> mean_dy;
  V slope;
  V scale;
};

/// How results reach memory.
enum class Stores {
  cached,   ///< through the caches
  streamed  ///< past them: whole lines are not read first, and nothing is evicted for them
};

/// How far ahead a pass asks for its own data, in bytes: about what one core has under way to memory.
inline constexpr std::int64_t kNear = 2048;

/// What a map does beside its arithmetic: how results reach memory, and how many elements ahead of itself it asks for
/// data (any distance; it may lead out of the tensor).
struct Access {
  Stores stores;
  std::int64_t ahead;
};

/// Lanes of a planar sum. Element k of a row is added to lane k % kLanes, and the lanes are then folded in halves:
/// the order of additions, hence the bits, is the same for every vector width.
inline constexpr int kLanes = 16;

/// The kernels for elements of type T, computing in A; sums end in double in any case. All pointers are to the
/// rectangle's first element; dx may be dy, y may be x.
template <class T, class A>
struct Arithmetic {
  /// {sum(x - shift), sum((x - shift)^2)} over the rectangle.
  SumPair (*planar_moments)(const T* x, Rect rect, A shift);
  /// {sum(dy), sum(dy * (x - center))} over the rectangle.
  SumPair (*planar_gradient_sums)(const T* x, const T* dy, Rect rect, A center);
  void (*planar_normalize)(const T* x, T* y, Rect rect, NormalizeCoefficients<A> c, Access access);
  void (*planar_input_gradient)(const T* x, const T* dy, T* dx, Rect rect, GradientCoefficients<A> c, Access access);

  /// The same per column: column k adds its sums to first[k] and second[k].
  void (*interleaved_moments)(const T* x, Rect rect, const A* shift, double* first, double* second);
  void (*interleaved_gradient_sums)(const T* x, const T* dy, Rect rect, const A* center, double* first, double* second);
  void (*interleaved_normalize)(const T* x, T* y, Rect rect, NormalizeCoefficients<const A*> c, Access access);
  void (*interleaved_input_gradient)(const T* x, const T* dy, T* dx, Rect rect, GradientCoefficients<const A*> c,
                                     Access access);
};

/// The arithmetic that keeps T's digits on ordinary numbers; double keeps them on all.
template <class T>
using fast_t = std::conditional_t<std::is_same_v<T, double>, double, float>;

template <class T>
inline constexpr bool kIsHalf = sizeof(T) == 2;

/// The arithmetic of gradient sums. With products in float, dgamma of f32 was off by 3.4e-7 on 50 x 64 x 56 x 56, more
/// than promised; where x and dy have 8 or 11 bits, it is good enough.
template <class T>
using gradient_t = std::conditional_t<kIsHalf<T>, fast_t<T>, double>;

/// The kernels of one instruction set.
template <class T>
struct Kernels {
  Isa isa;  ///< set by the code compiled for that instruction set
  Arithmetic<T, fast_t<T>> fast;
  Arithmetic<T, double> wide;
};

/// The kernels that a call with Options{.isa = isa} runs. Throws as selected_isa does.
template <class T>
const Kernels<T>& kernels_for(Isa isa);

/// Makes the calling thread's streamed stores visible to whoever it synchronizes with next. Once a thread, not once a
/// kernel: waiting for the stores costs a tenth of the speed.
void finish_stores() noexcept;

}  // namespace unitvar::kernels
