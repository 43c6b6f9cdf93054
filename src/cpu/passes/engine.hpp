#pragma once
#include <cstdint>
#include <optional>
#include <span>

#include "cpu/runtime/cache.hpp"
#include "cpu/runtime/parallel.hpp"
#include "core/vector_loop.hpp"
#include "cpu/phases/cells.hpp"
#include "math/channel_math.hpp"
#include "cpu/plan/merge_tiles.hpp"
#include "cpu/plan/schedule.hpp"
#include "cpu/passes/walk.hpp"
#include "unitvar/dtype.hpp"

namespace unitvar::cpu {

/// What a call with these options is scheduled from on this machine.
inline ScheduleInput schedule_input(const Options& options, std::int64_t bytes_per_element, std::int64_t tensors_read) {
  return {.bytes_per_element = bytes_per_element,
          .tensors_read = tensors_read,
          .cache = cpu::cache_sizes(),
          .threads = cpu::threads_for_call(options.cpu.threads),
          .walk = options.cpu.walk};
}

/// The same for a call with extras, if it has some.
template <class T>
ScheduleInput schedule_input(const Options& options, std::int64_t bytes_per_element, std::int64_t tensors_read,
                             const kernels::Extras<T>* extras) {
  ScheduleInput input = schedule_input(options, bytes_per_element, tensors_read);
  input.weighted = extras != nullptr && extras->weights != nullptr;
  input.has_bits = extras != nullptr && extras->bits != nullptr;
  return input;
}

/// For a second phase alone: nothing is read twice, so memory is walked from end to end.
inline Options in_one_pass(Options options) noexcept {
  options.cpu.walk = Walk::streamed;
  return options;
}

/// One call at work: its schedule, its kernels, and the four phases in the form that a Walker takes. Every operation
/// of the library is a composition of these.
template <class T>
class Engine {
 public:
  /// `tensors_read`: tensors that the first pass reads and the second reads again.
  /// `extras`, if the call has some, go with all phases; their pointers are to the tensors' first elements.
  Engine(const Extent& extent, const Options& options, std::int64_t tensors_read,
         const kernels::Extras<T>* extras = nullptr)
      : Engine(extent, schedule_input(options, sizeof(T), tensors_read, extras), options.cpu.isa, extras) {}
  Engine(const Extent& extent, const ScheduleInput& input, Isa isa, const kernels::Extras<T>* extras = nullptr)
      : schedule_(make_schedule(extent, input)),
        cells_(isa, schedule_.tiling, schedule_.access, extras == nullptr ? nullptr : &extras_),
        walker_(schedule_) {
    if (extras == nullptr) return;
    extras_.tensor = *extras;
    if (extras->weights == nullptr) return;
    weights_.emplace(schedule_.tiling, extras->weights);
    extras_.weights = &*weights_;
  }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  [[nodiscard]] const Schedule& schedule() const noexcept { return schedule_; }
  [[nodiscard]] const Cells<T>& cells() const noexcept { return cells_; }
  Walker<T>& walker() noexcept { return walker_; }

  /// Phases 1 and 3: what to do with a cell in the first pass.
  auto moments(const T* x) const noexcept {
    return [this, x](const Cell& cell, math::PairArrays out) { cells_.moments(x, cell, out); };
  }
  auto gradient_sums(const T* x, const T* dy, const double* mean) const noexcept {
    return [=, this](const Cell& cell, math::PairArrays out) { cells_.gradient_sums(x, dy, cell, mean, out); };
  }

  /// Phases 2 and 4: what to do with a cell in the second pass.
  auto normalize(const T* x, T* y, const math::NormalizeArrays& c) const noexcept {
    return [=, this](const Cell& cell) { cells_.normalize(x, y, cell, c); };
  }
  auto input_gradient(const T* x, const T* dy, T* dx, const math::GradientArrays& c) const noexcept {
    return [=, this](const Cell& cell) { cells_.input_gradient(x, dy, dx, cell, c); };
  }
  /// A linear map of two or three tensors (in.b may be null), for a second pass.
  auto combine(const kernels::CombineTensors<T>& in, T* out, const math::CombineArrays& c) const noexcept {
    return [=, this](const Cell& cell) { cells_.combine(in, out, cell, c); };
  }

  /// Phase 2 of one cell with phase 1 of another, and phase 4 with phase 3.
  auto normalize_and_moments(const T* x, T* y, const math::NormalizeArrays& c) const noexcept {
    return [=, this](const Cell& cell, const Cell& next, math::PairArrays out) {
      cells_.normalize_and_moments(x, y, cell, c, next, out);
    };
  }
  auto input_gradient_and_sums(const T* x, const T* dy, T* dx, const math::GradientArrays& c) const noexcept {
    return [=, this](const Cell& cell, const Cell& next, math::PairArrays out) {
      cells_.input_gradient_and_sums(x, dy, dx, cell, c, next, out);
    };
  }

  /// The merges: from the tiles' pairs, leaf(t), to first and second of channels [begin, end).
  template <class Leaf>
  void merge_moments_into(std::int64_t begin, std::int64_t end, const Leaf& leaf, double* mean, double* m2) const {
    merge_tile_moments(schedule_.tiling, counts(), begin, end, leaf, mean, m2);
  }
  template <class Leaf>
  void merge_sums_into(std::int64_t begin, std::int64_t end, const Leaf& leaf, double* first, double* second) const {
    merge_tile_sums(schedule_.tiling, begin, end, leaf, first, second);
  }

  /// The number of values of a channel, or the sum of their weights.
  [[nodiscard]] double count() const noexcept { return counts()(0, schedule_.tiling.tiles()); }
  /// Values of a channel that count, those with a weight; 2 if there are more.
  [[nodiscard]] double values() const noexcept {
    const std::int64_t all = schedule_.tiling.values_before(schedule_.tiling.tiles());
    if (!weights_) return static_cast<double>(std::min<std::int64_t>(2, all));
    int values = 0;
    for (std::int64_t k = 0; k < all && values < 2; ++k) values += extras_.tensor.weights[k] > 0 ? 1 : 0;
    return values;
  }

 private:
  /// Of the values in tiles [i, j).
  [[nodiscard]] auto counts() const noexcept {
    return [this](std::int64_t i, std::int64_t j) {
      return weights_ ? weights_->sum(i, j) : schedule_.tiling.count(i, j);
    };
  }

  Schedule schedule_;
  std::optional<TileWeights> weights_;
  CallExtras<T> extras_;
  Cells<T> cells_;
  Walker<T> walker_;
};

}  // namespace unitvar::cpu
