#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "core/vector_loop.hpp"
#include "cpu/kernels/combine.hpp"
#include "cpu/kernels/epilogue.hpp"
#include "cpu/kernels/functions.hpp"
#include "cpu/kernels/kernels.hpp"
#include "cpu/phases/call_epilogue.hpp"
#include "cpu/phases/channel_loops.hpp"
#include "cpu/phases/work_item.hpp"
#include "cpu/plan/tiling.hpp"
#include "cpu/precision/float_policy.hpp"
#include "cpu/precision/precision_counter.hpp"
#include "math/coefficients.hpp"
#include "math/merge.hpp"

namespace unitvar::cpu {

/// The four phases on one item, and the pairs of them that a resident walk does at the same time. The only place that
/// knows both memory shapes: it picks the kernel and feeds it. Which arithmetic a channel gets, fast or wide, says
/// cpu/precision/float_policy.hpp.
template <class T>
class TilePhases {
 public:
  /// Of `cpu`, the instruction set and the counts. `epilogue`, if the call has one, goes with all phases.
  TilePhases(const CpuOptions& cpu, const Tiling& tiling, kernels::Access access, const CallEpilogue<T>* epilogue)
      : kernels_(kernels::kernels_for<T>(cpu.isa)),
        epilogue_kernels_(epilogue == nullptr ? nullptr : &kernels::epilogue_kernels_for<T>(cpu.isa)),
        tiling_(tiling),
        access_(access),
        epilogue_(epilogue),
        counter_(cpu.counts) {}

  /// Phase 1: the item's mean and M2 per channel, into out[0 .. item.channels()).
  void moments(const T* x, const WorkItem& item, math::ChannelPairs out) const noexcept;
  /// Phase 3: the item's sums per channel; `mean` is indexed by channel of the tensor.
  void gradient_sums(const T* x, const T* dy, const WorkItem& item, const double* mean,
                     math::ChannelPairs out) const noexcept;
  /// Phase 2.
  void normalize(const T* x, T* y, const WorkItem& item, const math::NormalizeArrays& c) const noexcept;
  /// Phase 4.
  void input_gradient(const T* x, const T* dy, T* dx, const WorkItem& item,
                      const math::GradientArrays& c) const noexcept;
  /// A function behind phase 2, or a product of dy with a derivative of it; stored through the caches.
  void apply(const T* x, T* out, const WorkItem& item, const math::NormalizeArrays& c,
             const kernels::Function<T>& function) const noexcept;
  /// A linear map of up to three tensors.
  void combine(const kernels::CombineTensors<T>& in, T* out, const WorkItem& item,
               const math::CombineArrays& c) const noexcept;
  /// Phase 2 of `item` and phase 1 of `next`, in one sweep over memory where that is possible.
  void normalize_and_moments(const T* x, T* y, const WorkItem& item, const math::NormalizeArrays& c,
                             const WorkItem& next, math::ChannelPairs out) const noexcept;
  /// Phase 4 of `item` and phase 3 of `next`.
  void input_gradient_and_sums(const T* x, const T* dy, T* dx, const WorkItem& item, const math::GradientArrays& c,
                               const WorkItem& next, math::ChannelPairs out) const noexcept;

 private:
  using Fast = kernels::fast_t<T>;
  using Sum = kernels::sum_t<T>;

  template <class A, class Table>
  [[nodiscard]] const auto& phases(const Table& kernels) const noexcept {
    const auto in_shape = [this](const auto& shapes) -> const auto& {
      return planar() ? shapes.planar : shapes.interleaved;
    };
    if constexpr (std::is_same_v<A, double>) {
      return in_shape(kernels.wide);
    } else {
      return in_shape(kernels.fast);
    }
  }
  [[nodiscard]] bool planar() const noexcept { return tiling_.shape == Shape::planar; }
  [[nodiscard]] std::int64_t offset(const WorkItem& item) const noexcept {
    return tiling_.extent.index(item.tile.row, item.begin, item.tile.col);
  }
  [[nodiscard]] kernels::Rect rect(const WorkItem& item) const noexcept {
    return {item.tile.rows, item.channels(), item.tile.cols, tiling_.extent.channels * tiling_.extent.inner};
  }
  [[nodiscard]] kernels::Access access(const WorkItem& item) const noexcept {
    return {access_.stores, access_.ahead, planar() ? after(item) : 0};
  }
  [[nodiscard]] bool weighted() const noexcept { return epilogue_ != nullptr && epilogue_->weights != nullptr; }
  /// What stands for the number of values: that of the item's tile, or the sum of its weights.
  [[nodiscard]] double count(const WorkItem& item) const noexcept {
    return weighted() ? epilogue_->weights->sum(item.t, item.t + 1)
                      : static_cast<double>(item.tile.rows * item.tile.cols);
  }
  /// The call's epilogue, from the item's first element on.
  [[nodiscard]] kernels::Epilogue<T> epilogue(const WorkItem& item) const noexcept;
  /// From the item to the one that a walk of its channels, and then of the next ones, comes to.
  [[nodiscard]] std::int64_t after(const WorkItem& item) const noexcept;
  /// Where the values of a sample stand, from a channel's first: in the tile's first rows, which are read next anyway,
  /// or where there are weights.
  [[nodiscard]] std::array<std::int64_t, 4> sample_places(const WorkItem& item) const noexcept;
  /// The i-th array of V, one element for each of the item's columns, in its scratch.
  template <class V>
  [[nodiscard]] V* array(const WorkItem& item, int i) const noexcept {
    return reinterpret_cast<V*>(item.scratch) + i * columns(tiling_, item.channels());
  }

  /// A shift for the moments, or a center for the gradient sums, of each of the item's channels; in its scratch, but
  /// for centers in double, which are the means.
  double* choose_shifts(const T* x, const WorkItem& item) const noexcept;
  const double* choose_centers(const T* x, const WorkItem& item, const double* mean) const noexcept;
  /// {sum(x - shift), sum((x - shift)^2)} for each of the item's channels.
  template <class A>
  void shifted_sums(const T* x, const WorkItem& item, const double* shift, math::ChannelPairs out) const noexcept;
  /// {sum(dy), sum(dy * (x - center))} for each of the item's channels.
  template <class A>
  void centered_sums(const T* x, const T* dy, const WorkItem& item, const double* center,
                     math::ChannelPairs out) const noexcept;
  void sum_again(const T* x, const WorkItem& item, double* shift, math::ChannelPairs out) const noexcept;
  /// In place, from these sums to mean and M2, and to sums about the mean; those that are not good are summed again.
  void finish_moments(const T* x, const WorkItem& item, double* shift, math::ChannelPairs out) const noexcept;
  void finish_sums(const T* x, const T* dy, const WorkItem& item, const double* mean, const double* center,
                   math::ChannelPairs out) const noexcept;

  /// All channels of the item were mapped, so many of them in double.
  void count_maps(const WorkItem& item, std::int64_t in_double) const noexcept {
    if (item.counts) counter_.maps(item.channels(), in_double);
  }

  /// Calls map(A(), b, e) for runs of the item's channels, A being Fast where keeps(c) holds for channel c, or double.
  template <class Keeps, class Map>
  void for_runs_to_map(const WorkItem& item, const Keeps& keeps, const Map& map) const noexcept;

  /// Phases 2 and 4 without the factors.
  void normalize_once(const T* x, T* y, const WorkItem& item, const math::NormalizeArrays& c) const noexcept;
  void apply_once(const T* x, T* out, const WorkItem& item, const math::NormalizeArrays& c,
                  const kernels::Function<T>& function) const noexcept;
  void input_gradient_once(const T* x, const T* dy, T* dx, const WorkItem& item,
                           const math::GradientArrays& c) const noexcept;
  /// A map behind phase 2: once(part) maps channels without a factor; twice(x_hat, part, of, rect) a part of a channel
  /// that has one, x_hat * factor + beta, which are in `of`.
  template <class Once, class Twice>
  void map_by_factors(const T* x, const WorkItem& item, const math::NormalizeArrays& c, const Once& once,
                      const Twice& twice) const noexcept;
  /// Channels of dx times their factors.
  void multiply(T* dx, const WorkItem& item, const double* factor) const noexcept;
  [[nodiscard]] static bool has_factors(const WorkItem& item, const double* factor) noexcept {
    return factor != nullptr &&
           !core::for_all(item.channels(), [=](std::int64_t k) { return factor[item.begin + k] == 1; });
  }

  template <class A>
  void normalize_in(const T* x, T* y, const WorkItem& item, const math::NormalizeArrays& c) const noexcept;
  template <class A>
  void input_gradient_in(const T* x, const T* dy, T* dx, const WorkItem& item,
                         const math::GradientArrays& c) const noexcept;
  template <class A>
  kernels::NormalizeCoefficients<const A*> coefficients(const WorkItem& item,
                                                        const math::NormalizeArrays& c) const noexcept;
  template <class A>
  kernels::GradientCoefficients<const A*> coefficients(const WorkItem& item,
                                                       const math::GradientArrays& c) const noexcept;
  template <class A>
  kernels::CombineCoefficients<const A*> coefficients(const WorkItem& item,
                                                      const math::CombineArrays& c) const noexcept;
  template <class A>
  void combine_in(const kernels::CombineTensors<T>& in, T* out, const WorkItem& item,
                  const math::CombineArrays& c) const noexcept;
  [[nodiscard]] bool can_fuse(const WorkItem& item, const WorkItem& next) const noexcept {
    return planar() && item.channels() == next.channels() && item.tile.rows == next.tile.rows &&
           item.tile.cols == next.tile.cols;
  }

  /// Array i of the item's scratch: value(c) of each of its channels c for each of its columns.
  template <class A, class Value>
  const A* fill(const WorkItem& item, int i, const Value& value) const noexcept;
  /// The same of values[c]; in double perhaps these themselves.
  template <class A>
  const A* per_column(const double* values, const WorkItem& item, int i) const noexcept;
  /// Calls sum(first, second) with a zero for each column, and adds the columns of each channel.
  template <class Add>
  void sum_columns(const WorkItem& item, math::ChannelPairs out, const Add& sum) const noexcept;

  const kernels::Kernels<T>& kernels_;
  const kernels::EpilogueKernels<T>* epilogue_kernels_;  ///< null without an epilogue
  const Tiling& tiling_;
  kernels::Access access_;
  const CallEpilogue<T>* epilogue_;
  PrecisionCounter counter_;
};

template <class T>
template <class Keeps, class Map>
void TilePhases<T>::for_runs_to_map(const WorkItem& item, const Keeps& keeps, const Map& map) const noexcept {
  std::int64_t in_double = 0;
  core::for_runs(item.channels(), keeps, [&](std::int64_t b, std::int64_t e, bool is_kept) {
    with_arithmetic<Fast>(is_kept, [&](auto a) { map(a, b, e); });
    if (!is_kept) in_double += e - b;
  });
  count_maps(item, in_double);
}

template <class T>
template <class A, class Value>
const A* TilePhases<T>::fill(const WorkItem& item, int i, const Value& value) const noexcept {
  auto* const out = array<A>(item, i);
  const std::int64_t channels = item.channels(), n = width(tiling_);
  if (n == 1) {
    fill_with(out, channels, value);
  } else {
    for (std::int64_t c = 0; c < channels; ++c) std::fill_n(out + c * n, n, static_cast<A>(value(c)));
  }
  return out;
}

template <class T>
template <class A>
const A* TilePhases<T>::per_column(const double* values, const WorkItem& item, int i) const noexcept {
  if constexpr (std::is_same_v<A, double>) {
    if (width(tiling_) == 1) return values;
  }
  return fill<A>(item, i, elements_of(values));
}

}  // namespace unitvar::cpu
