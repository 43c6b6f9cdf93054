#pragma once
#include <cstdint>
#include <type_traits>

#include "unitvar/isa.hpp"

/// The kernels: four phases in two memory shapes, over rectangles of memory. They know no channel, thread, rank or
/// error. No multiply is fused with an add, so every instruction set gives the same bits.
namespace unitvar::kernels {

/// A rectangle of memory: element i of channel j in row r stands at r * stride + j * inner + i from the pointer that
/// comes with it.
struct Rect {
  std::int64_t rows;
  std::int64_t channels;
  std::int64_t inner;
  std::int64_t stride;

  [[nodiscard]] std::int64_t cols() const noexcept { return channels * inner; }
};

/// A value to subtract, hi + lo. Arithmetic in double uses hi alone.
template <class V>
struct Split {
  V hi;
  V lo;
};

/// y = (x - center) * scale + beta. V is const A*, one value for each channel (planar) or column (interleaved), and A
/// for a single channel.
template <class V>
struct NormalizeCoefficients {
  V center;
  V scale;
  V beta;
};

/// dx = ((dy - level) - (x - center) * slope) * scale.
template <class V>
struct GradientCoefficients {
  V center;
  Split<V> level;
  V slope;
  V scale;
};

/// How results reach memory.
enum class Stores {
  cached,   ///< through the caches
  streamed  ///< past them: whole lines are not read first, and nothing is evicted for them
};

/// How far ahead of itself a pass asks for data, in bytes: about what one core has under way to memory.
inline constexpr std::int64_t kNear = 2048;

/// How results reach memory, and what a pass asks for ahead of time: what it comes to `ahead` elements later. After
/// the rectangle's last row come the elements at `after`, if the shape is planar. Both may lead out of the tensor.
struct Access {
  Stores stores = Stores::cached;
  std::int64_t ahead = 0;
  std::int64_t after = 0;
};

/// Lanes of a planar sum. Element k of a row is added to lane k % kLanes, and the lanes are then folded in halves:
/// the order of additions, hence the bits, is the same for every vector width.
inline constexpr int kLanes = 16;

/// Channels of a planar rectangle, at most: each row of several has sums under way for all of them.
inline constexpr int kMostRun = 16;
/// The same of a rectangle of one row, which keeps no sums from row to row.
inline constexpr int kMostRunOfARow = 64;

/// The arithmetic that keeps T's digits on ordinary numbers; double keeps them on all.
template <class T>
using fast_t = std::conditional_t<std::is_same_v<T, double>, double, float>;

template <class T>
inline constexpr bool kIsHalf = sizeof(T) == 2;

/// What is added up, and in what: a rounding to float is the same for equal values, so that in a sum of data with few
/// distinct values roundings add up, instead of averaging out. Float keeps the digits of 16 bits nevertheless.
template <class T>
using sum_t = std::conditional_t<kIsHalf<T>, float, double>;

/// The same beside maps in A.
template <class T, class A>
using sum_in_t = std::conditional_t<std::is_same_v<A, double>, double, sum_t<T>>;

/// The four phases in one shape, for elements of type T, computed in A, and what is added up in S; sums end in double
/// in any case. Planar kernels take and give a value for each channel, interleaved ones for each column. Pointers to
/// elements are to the rectangle's first; dx may be dy, y may be x.
template <class T, class A, class S = sum_in_t<T, A>>
struct Phases {
  /// Adds sum(x - shift) to `first`, sum((x - shift)^2) to `second`.
  void (*moments)(const T* x, const S* shift, const Rect& rect, const Access& access, double* first, double* second);
  void (*normalize)(const T* x, T* y, const NormalizeCoefficients<const A*>& c, const Rect& rect, const Access& access);
  /// Adds sum(dy) to `first`, sum(dy * (x - center)) to `second`.
  void (*gradient_sums)(const T* x, const T* dy, const S* center, const Rect& rect, const Access& access, double* first,
                        double* second);
  void (*input_gradient)(const T* x, const T* dy, T* dx, const GradientCoefficients<const A*>& c, const Rect& rect,
                         const Access& access);
};

template <class T, class A>
struct Shapes {
  Phases<T, A> planar;
  Phases<T, A> interleaved;
};

/// Two phases of the planar shape in one sweep: the second phase of one rectangle, side by side with the first phase of
/// another one of the same size, `next` elements away.
template <class T>
struct Fused {
  void (*forward)(const T* x, T* y, const NormalizeCoefficients<const fast_t<T>*>& c, const Rect& rect,
                  const Access& access, std::int64_t next, const sum_t<T>* shift, double* first, double* second);
  void (*backward)(const T* x, const T* dy, T* dx, const GradientCoefficients<const fast_t<T>*>& c, const Rect& rect,
                   const Access& access, std::int64_t next, const sum_t<T>* center, double* first, double* second);
};

/// The kernels of one instruction set.
template <class T>
struct Kernels {
  Isa isa;  ///< set by the code compiled for that instruction set
  Shapes<T, fast_t<T>> fast;
  Shapes<T, double> wide;
  Fused<T> fused;
};

/// The kernels that a call with CpuCpuOptions{.isa = isa} runs. Throws as selected_isa does.
template <class T>
const Kernels<T>& kernels_for(Isa isa);

/// Makes the calling thread's streamed stores visible to whoever it synchronizes with next. Once a thread, not once a
/// kernel: waiting for the stores costs a tenth of the speed.
void finish_stores() noexcept;

}  // namespace unitvar::kernels
