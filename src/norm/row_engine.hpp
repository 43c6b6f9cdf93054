#pragma once
#include <algorithm>
#include <cstdint>
#include <span>

#include "core/cache.hpp"
#include "core/parallel.hpp"
#include "core/workspace.hpp"
#include "norm/merge.hpp"
#include "norm/row_batch.hpp"
#include "norm/row_schedule.hpp"

namespace unitvar::norm {

/// Column sums of all rows in tiles, merged in the fixed tree. Without tiles they are 0.
class ColumnSums {
 public:
  explicit ColumnSums(const RowTiling& tiling)
      : columns_(tiling.extent.length),
        tiles_(tiling.tiles),
        memory_(static_cast<std::size_t>(2 * std::max<std::int64_t>(1, tiles_) * columns_) * sizeof(double)) {
    if (tiles_ == 0) clear(0);
  }

  /// Those of one tile, columns from k on; those of tile 0 are the whole's once merged.
  [[nodiscard]] PairArrays of(std::int64_t tile, std::int64_t k = 0) const noexcept {
    double* first = memory_.as<double>() + 2 * tile * columns_ + k;
    return {first, first + columns_};
  }
  void clear(std::int64_t tile) const noexcept { std::fill_n(of(tile).first, 2 * columns_, 0.0); }
  void merge(int threads) const {
    core::parallel_ranges(threads, columns_, [&](std::int64_t begin, std::int64_t end, int) {
      merge_tree(tiles_, [&](std::int64_t i, std::int64_t j, std::int64_t) {
        merge_sums(of(i, begin), of(j, begin), end - begin);
      });
    });
  }

 private:
  std::int64_t columns_, tiles_;
  core::Workspace memory_;
};

/// Schedule and kernels of one call, and its parameters, those that are absent filled in.
template <class T>
class RowEngine {
 public:
  using P = param_t<T>;

  RowEngine(const RowExtent& extent, const Options& options, int tensors_read, Center center, std::span<const P> gamma,
            std::span<const P> beta)
      : schedule_(make_row_schedule(extent, {sizeof(T), tensors_read, core::cache_sizes(),
                                             options.threads == 0 ? core::default_threads() : options.threads})),
        filled_(static_cast<std::size_t>(2 * extent.length) * sizeof(P)),
        batch_(kernels::row_kernels_for<T>(options.isa), center, extent.length,
               {or_constant(gamma, P(1), 0), or_constant(beta, P(0), extent.length)}) {}

  [[nodiscard]] const RowBatch<T>& batch() const noexcept { return batch_; }
  [[nodiscard]] const RowSchedule& schedule() const noexcept { return schedule_; }
  [[nodiscard]] std::int64_t length() const noexcept { return schedule_.tiling.extent.length; }

  /// pass(row, rows) for batches of the rows [begin, end).
  template <class Pass>
  void for_batches(std::int64_t begin, std::int64_t end, const Pass& pass) const {
    for (std::int64_t r = begin; r < end; r += schedule_.batch_rows) pass(r, std::min(schedule_.batch_rows, end - r));
  }
  /// The same for all rows, on all threads.
  template <class Pass>
  void for_all_batches(const Pass& pass) const {
    core::parallel_ranges(schedule_.threads, schedule_.tiling.extent.rows,
                          [&](std::int64_t begin, std::int64_t end, int) {
                            for_batches(begin, end, pass);
                            kernels::finish_stores();
                          });
  }
  /// pass(tile, row, rows) for batches of the rows of each tile, on all threads. Calls start(tile) before its first.
  template <class Start, class Pass>
  void for_all_tiles(const Start& start, const Pass& pass) const {
    const RowTiling& tiling = schedule_.tiling;
    core::parallel_for(
        schedule_.threads, tiling.tiles,
        [&](std::int64_t tile, int) {
          start(tile);
          for_batches(tiling.begin(tile), tiling.end(tile),
                      [&](std::int64_t row, std::int64_t rows) { pass(tile, row, rows); });
        },
        kernels::finish_stores);
  }

 private:
  const P* or_constant(std::span<const P> parameter, P constant, std::int64_t offset) const noexcept {
    if (!parameter.empty()) return parameter.data();
    return std::fill_n(filled_.as<P>() + offset, length(), constant) - length();
  }

  RowSchedule schedule_;
  core::Workspace filled_;
  RowBatch<T> batch_;
};

}  // namespace unitvar::norm
