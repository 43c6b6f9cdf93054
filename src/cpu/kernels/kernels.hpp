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
  streamed  ///< non-temporal: cache lines are neither read first nor kept, so nothing is evicted for them
};

/// How far ahead a pass prefetches, in bytes: about what one core can have under way to memory.
inline constexpr std::int64_t kNear = 2048;

/// How results reach memory, and what a pass prefetches: the elements that it reaches `ahead` elements later. After the
/// last row of a planar rectangle come the elements at distance `after` from its first. Both places may lie outside of
/// the tensor.
struct Access {
  Stores stores = Stores::cached;
  std::int64_t ahead = 0;
  std::int64_t after = 0;
};

/// Lanes of a planar sum. Element k of a row is added to lane k % kLanes, and the lanes are then folded in halves:
/// the order of additions, hence the bits, is the same for every vector width.
inline constexpr int kLanes = 16;

/// The most channels of a planar rectangle: sums of all of them are kept from row to row.
inline constexpr int kMostRun = 16;
/// The most channels of a planar rectangle of one row, where no sums are kept.
inline constexpr int kMostRunOfARow = 64;

/// The arithmetic for T. Float keeps the digits of ordinary numbers; double those of all.
template <class T>
using fast_t = std::conditional_t<std::is_same_v<T, double>, double, float>;

template <class T>
inline constexpr bool kIsHalf = sizeof(T) == 2;

/// The arithmetic of sums. Equal values are rounded alike. In data of few distinct values, rounding errors in float
/// would therefore add up instead of averaging out. 16 bits are an exception: float has digits to spare for them.
template <class T>
using sum_t = std::conditional_t<kIsHalf<T>, float, double>;

/// The arithmetic of sums in a table whose maps compute in A.
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

/// The maps in double of a type that has faster arithmetic. Only numbers of unusual size need them, so there is one
/// copy for all instruction sets, which takes one element at a time.
template <class T, bool kPlanar>
struct MapsInDouble {
  static void normalize(const T* x, T* y, const NormalizeCoefficients<const double*>& c, const Rect& rect,
                        const Access& access);
  static void input_gradient(const T* x, const T* dy, T* dx, const GradientCoefficients<const double*>& c,
                             const Rect& rect, const Access& access);
};
template <bool kPlanar>
struct MapsInDouble<double, kPlanar> {};

/// The sums in double of 16 bits, for the instruction sets that are not compiled for speed. They keep the order of
/// additions that the shape has.
template <class T, bool kPlanar>
struct SumsInDouble {
  static void moments(const T* x, const double* shift, const Rect& rect, const Access& access, double* first,
                      double* second);
  static void gradient_sums(const T* x, const T* dy, const double* center, const Rect& rect, const Access& access,
                            double* first, double* second);
};
template <bool kPlanar>
struct SumsInDouble<float, kPlanar> {};
template <bool kPlanar>
struct SumsInDouble<double, kPlanar> {};

/// Whether maps of T in A, and sums of T in S, are shared by all instruction sets.
template <class T, class A>
inline constexpr bool kIsShared = !std::is_same_v<A, fast_t<T>>;
template <class T, class S>
inline constexpr bool kIsSharedSum = !std::is_same_v<S, sum_t<T>>;

/// The kernels of one instruction set.
template <class T>
struct Kernels {
  Isa isa;  ///< set by the code compiled for that instruction set
  Shapes<T, fast_t<T>> fast;
  Shapes<T, double> wide;
  Fused<T> fused;
};

/// The kernels that a call with CpuOptions{.isa = isa} runs. Throws as selected_isa does.
template <class T>
const Kernels<T>& kernels_for(Isa isa);

/// Makes the calling thread's non-temporal stores visible to the thread that it synchronizes with next. Call it once
/// per thread, not once per kernel: waiting for the stores costs a tenth of the speed.
void finish_stores() noexcept;

}  // namespace unitvar::kernels
