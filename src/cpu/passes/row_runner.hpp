#pragma once
#include <algorithm>
#include <cstdint>
#include <span>

#include "core/vector_loop.hpp"
#include "core/workspace.hpp"
#include "cpu/phases/row_batch.hpp"
#include "cpu/plan/merge_tiles.hpp"
#include "cpu/plan/row_schedule.hpp"
#include "cpu/runtime/cache.hpp"
#include "cpu/runtime/parallel.hpp"
#include "math/merge.hpp"

namespace unitvar::cpu {

/// Column sums of all rows: in A for kMostFastRows rows, then in double for a tile; tiles are merged in the fixed tree.
/// Without rows they are 0.
template <class A>
class ColumnSums {
 public:
  ColumnSums(const RowTiling& tiling, int threads)
      : columns_(tiling.extent.length),
        tiles_(tiling.tiles),
        fast_(static_cast<std::size_t>(threads * stride()) * sizeof(A)),
        wide_(static_cast<std::size_t>(2 * std::max<std::int64_t>(1, tiles_) * columns_) * sizeof(double)) {
    if (tiles_ == 0) std::fill_n(of(0).first, 2 * columns_, 0.0);
  }

  /// Those of one tile, columns from k on; those of tile 0 are the whole's once merged.
  [[nodiscard]] math::ChannelPairs of(std::int64_t tile, std::int64_t k = 0) const noexcept {
    double* first = wide_.as<double>() + 2 * tile * columns_ + k;
    return {first, first + columns_};
  }
  /// Zeros for a tile that a thread begins. The first rows are added to the tile's own sums, if these are of A.
  [[nodiscard]] kernels::ColumnTotals<A> start(std::int64_t tile, int thread) const noexcept {
    const math::ChannelPairs wide = of(tile);
    std::fill_n(wide.first, 2 * columns_, 0.0);
    if constexpr (std::is_same_v<A, double>) {
      return {wide.first, wide.second, wide.first, wide.second};
    } else {
      return added_beside(wide, thread);
    }
  }
  /// Moves what was added in A to the tile's sums, before `more` rows follow or none.
  void flush(kernels::ColumnTotals<A>& to, int thread, bool more) const noexcept {
    if (static_cast<const void*>(to.first) != to.wide_first) {
      core::vector_loop(0, 2 * columns_, [fast = to.first, wide = to.wide_first](std::int64_t k) {
        wide[k] += static_cast<double>(fast[k]);
      });
    }
    if (more) to = added_beside({to.wide_first, to.wide_second}, thread);
  }
  void merge(int threads) const {
    parallel_ranges(threads, columns_, [&](std::int64_t begin, std::int64_t end, int) {
      math::merge_tree(tiles_, [&](std::int64_t i, std::int64_t j, std::int64_t) {
        merge_sums(of(i, begin), of(j, begin), end - begin);
      });
    });
  }

 private:
  [[nodiscard]] kernels::ColumnTotals<A> added_beside(math::ChannelPairs wide, int thread) const noexcept {
    A* fast = fast_.as<A>() + thread * stride();
    std::fill_n(fast, 2 * columns_, A(0));
    return {fast, fast + columns_, wide.first, wide.second};
  }
  /// Threads are a page of memory apart: a processor that comes to the end of its own asks for the rest of the page,
  /// and takes it from the thread that writes there.
  [[nodiscard]] std::int64_t stride() const noexcept {
    constexpr std::int64_t kPage = 4096 / sizeof(A);
    return 2 * columns_ + kPage;
  }

  std::int64_t columns_, tiles_;
  core::Workspace fast_, wide_;
};

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
  template <class Range>
  void for_all_ranges(const Range& range) const {
    for_ranges(schedule_.tiling.extent.rows, [&](std::int64_t begin, std::int64_t end, int) { range(begin, end); });
  }
  /// pass(row, rows) for all batches, on all threads.
  template <class Pass>
  void for_all_batches(const Pass& pass) const {
    for_all_ranges([&](std::int64_t begin, std::int64_t end) { for_batches(begin, end, pass); });
  }
  /// range(tile, thread, begin, end) for the rows of each tile, on all threads.
  template <class Range>
  void for_all_tiles(const Range& range) const {
    const RowTiling& tiling = schedule_.tiling;
    for_ranges(tiling.tiles, [&](std::int64_t first, std::int64_t last, int thread) {
      for (std::int64_t tile = first; tile < last; ++tile) range(tile, thread, tiling.begin(tile), tiling.end(tile));
    });
  }

 private:
  template <class Range>
  void for_ranges(std::int64_t n, const Range& range) const {
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
