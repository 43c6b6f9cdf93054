#pragma once
#include <algorithm>
#include <cstdint>
#include <span>

#include "core/workspace.hpp"
#include "cpu/phases/row_batch.hpp"
#include "cpu/plan/row_schedule.hpp"
#include "cpu/runtime/cache.hpp"
#include "cpu/runtime/parallel.hpp"

namespace unitvar::cpu {

/// Schedule and kernels of one call, and its parameters, with ones and zeros for those that are absent.
template <class T>
class RowRunner {
 public:
  using P = param_t<T>;

  RowRunner(const RowExtent& extent, const Options& options, int tensors_read, Center center, std::span<const P> gamma,
            std::span<const P> beta)
      : schedule_(
            make_row_schedule(extent, {sizeof(T), tensors_read, cache_sizes(), threads_for_call(options.cpu.threads)})),
        constants_(static_cast<std::size_t>(2 * repeated(extent.length)) * sizeof(P)),
        batch_(kernels::row_kernels_for<T>(options.cpu.isa), center, extent.length,
               {or_constant(gamma, P(1), 0), or_constant(beta, P(0), repeated(extent.length))}, options.cpu.counts) {}

  [[nodiscard]] const RowBatch<T>& batch() const noexcept { return batch_; }
  [[nodiscard]] const RowSchedule& schedule() const noexcept { return schedule_; }
  [[nodiscard]] std::int64_t length() const noexcept { return schedule_.tiling.extent.length; }

  /// pass(row, rows) for batches of the rows [begin, end).
  template <class Pass>
  void for_batches(std::int64_t begin, std::int64_t end, const Pass& pass) const {
    const std::int64_t most = schedule_.batch_rows;
    for (std::int64_t row = begin; row < end; row += most) pass(row, std::min(most, end - row));
  }
  /// range(begin, end) of all rows, one for each thread.
  template <class Body>
  void for_all_ranges(const Body& range) const {
    for_ranges(schedule_.tiling.extent.rows, [&](std::int64_t begin, std::int64_t end, int) { range(begin, end); });
  }
  /// pass(row, rows) for all batches, on all threads.
  template <class Pass>
  void for_all_batches(const Pass& pass) const {
    for_all_ranges([&](std::int64_t begin, std::int64_t end) { for_batches(begin, end, pass); });
  }
  /// range(tile, thread, begin, end) for the rows of each tile, on all threads.
  template <class Body>
  void for_all_tiles(const Body& range) const {
    const RowTiling& tiling = schedule_.tiling;
    for_ranges(tiling.tiles, [&](std::int64_t first, std::int64_t last, int thread) {
      for (std::int64_t tile = first; tile < last; ++tile) range(tile, thread, tiling.begin(tile), tiling.end(tile));
    });
  }

 private:
  template <class Body>
  void for_ranges(std::int64_t n, const Body& range) const {
    parallel_ranges(schedule_.threads, n, [&](std::int64_t begin, std::int64_t end, int thread) {
      range(begin, end, thread);
      kernels::finish_stores();
    });
  }
  static std::int64_t repeated(std::int64_t length) noexcept { return std::min(length, kernels::kMostRepeated); }
  kernels::ColumnParameter<T> or_constant(std::span<const P> parameter, P constant,
                                          std::int64_t offset) const noexcept {
    if (!parameter.empty()) return {parameter.data()};
    P* const values = constants_.as<P>() + offset;
    std::fill_n(values, repeated(length()), constant);
    return {values, true};
  }

  RowSchedule schedule_;
  core::Workspace constants_;  ///< in place of absent parameters
  RowBatch<T> batch_;
};

}  // namespace unitvar::cpu
