#pragma once
#include <cstdint>
#include <optional>
#include <span>

#include "cpu/passes/channel_arrays.hpp"
#include "cpu/passes/passes.hpp"
#include "cpu/passes/traversal.hpp"
#include "cpu/phases/tile_phases.hpp"
#include "cpu/plan/merge_tiles.hpp"
#include "cpu/plan/schedule.hpp"
#include "cpu/runtime/cache.hpp"
#include "cpu/runtime/parallel.hpp"
#include "unitvar/dtype.hpp"

namespace unitvar::cpu {

/// What a call with these options is scheduled from on this machine.
inline ScheduleInput schedule_input(const Options& options, std::int64_t bytes_per_element, std::int64_t tensors_read) {
  return {.bytes_per_element = bytes_per_element,
          .tensors_read = tensors_read,
          .cache = cache_sizes(),
          .threads = threads_for_call(options.cpu.threads),
          .walk = options.cpu.walk};
}

/// The same for a call that may have an epilogue.
template <class T>
ScheduleInput schedule_input(const Options& options, std::int64_t bytes_per_element, std::int64_t tensors_read,
                             const kernels::Epilogue<T>* epilogue) {
  ScheduleInput input = schedule_input(options, bytes_per_element, tensors_read);
  input.weighted = epilogue != nullptr && epilogue->weights != nullptr;
  input.has_bits = epilogue != nullptr && epilogue->bits != nullptr;
  return input;
}

/// For a second phase alone: nothing is read twice, so memory is walked from end to end.
inline Options in_one_pass(Options options) noexcept {
  options.cpu.walk = Walk::streamed;
  return options;
}

/// One call at work: its schedule, its kernels, and the passes over memory that a Traversal takes. Every operation of
/// the library is a composition of these.
template <class T>
class PassRunner {
 public:
  /// `tensors_read`: tensors that the first pass reads and the second reads again.
  /// `epilogue`, if the call has one, goes with all phases; its pointers are to the tensors' first elements.
  PassRunner(const Extent& extent, const Options& options, std::int64_t tensors_read,
             const kernels::Epilogue<T>* epilogue = nullptr)
      : PassRunner(extent, schedule_input(options, sizeof(T), tensors_read, epilogue), options.cpu, epilogue) {}
  PassRunner(const Extent& extent, const ScheduleInput& input, const CpuOptions& cpu,
             const kernels::Epilogue<T>* epilogue = nullptr)
      : schedule_(make_schedule(extent, input)),
        phases_(cpu, schedule_.tiling, schedule_.access, epilogue == nullptr ? nullptr : &epilogue_),
        traversal_(schedule_) {
    if (epilogue == nullptr) return;
    epilogue_.tensor = *epilogue;
    if (epilogue->weights == nullptr) return;
    weights_.emplace(schedule_.tiling, epilogue->weights);
    epilogue_.weights = &*weights_;
  }
  PassRunner(const PassRunner&) = delete;
  PassRunner& operator=(const PassRunner&) = delete;

  [[nodiscard]] const Schedule& schedule() const noexcept { return schedule_; }
  [[nodiscard]] const TilePhases<T>& phases() const noexcept { return phases_; }
  Traversal& traversal() noexcept { return traversal_; }

  /// First passes: phases 1 and 3.
  MomentsPass<T> moments(const T* x, double* mean, double* m2) const noexcept { return {*this, x, mean, m2}; }
  GradientSumsPass<T> gradient_sums(const T* x, const T* dy, const double* mean, double* sum_dy,
                                    double* sum_dy_xmu) const noexcept {
    return {*this, x, dy, mean, sum_dy, sum_dy_xmu};
  }

  /// Second passes: phases 2 and 4, and a linear map.
  NormalizePass<T> normalize(const T* x, T* y, const math::NormalizeArrays& c) const noexcept {
    return {*this, x, y, c};
  }
  InputGradientPass<T> input_gradient(const T* x, const T* dy, T* dx, const math::GradientArrays& c) const noexcept {
    return {*this, x, dy, dx, c};
  }
  CombinePass<T> combine(const kernels::CombineTensors<T>& in, T* out, const math::CombineArrays& c) const noexcept {
    return {*this, in, out, c};
  }

  /// The merges: from the tiles' pairs to those of channels [begin, end).
  void merge_moments(std::int64_t begin, std::int64_t end, const TileLeaves& leaves, double* mean,
                     double* m2) const noexcept {
    merge_tile_moments(schedule_.tiling, counts(), begin, end, leaves, mean, m2);
  }
  void merge_sums(std::int64_t begin, std::int64_t end, const TileLeaves& leaves, double* sum_dy,
                  double* sum_dy_xmu) const noexcept {
    merge_tile_sums(schedule_.tiling, begin, end, leaves, sum_dy, sum_dy_xmu);
  }

  /// The number of values of a channel, or the sum of their weights.
  [[nodiscard]] double count() const noexcept { return counts()(0, schedule_.tiling.tiles()); }
  /// Values of a channel that count, those with a weight; 2 if there are more.
  [[nodiscard]] double values() const noexcept {
    const std::int64_t all = schedule_.tiling.values_before(schedule_.tiling.tiles());
    const param_t<T>* const weights = epilogue_.tensor.weights;
    if (weights == nullptr) return static_cast<double>(std::min<std::int64_t>(2, all));
    int values = 0;
    for (std::int64_t k = 0; k < all && values < 2; ++k) values += weights[k] > 0 ? 1 : 0;
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
  CallEpilogue<T> epilogue_;
  TilePhases<T> phases_;
  Traversal traversal_;
};

#define UNITVAR_INSTANTIATE(T) extern template class PassRunner<T>;  // in pass_runner.cpp
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)
#undef UNITVAR_INSTANTIATE

}  // namespace unitvar::cpu
