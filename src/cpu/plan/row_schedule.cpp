#include "cpu/plan/row_schedule.hpp"

#include <algorithm>
#include <bit>

#include "core/divide_up.hpp"
#include "cpu/kernels/rows.hpp"

namespace unitvar::cpu {
namespace {

using core::divide_up;
using std::int64_t;

/// A tile has up to kMostFastRows rows. It has fewer if there would not be kSomeTiles tiles for threads to share.
constexpr int64_t kSomeTiles = 64;
/// The rows of a tile are a multiple of this.
constexpr int64_t kRowStep = kernels::kSomeRows;

int64_t power_of_two_within(int64_t n) noexcept {
  return static_cast<int64_t>(std::bit_floor(static_cast<std::uint64_t>(n)));
}

/// Bytes of a batch, of all tensors that are read: what its first pass leaves in L1 for the second.
constexpr int64_t kBatchBytes = 32 << 10;
/// A batch of sums stays in L2 instead: its addends, which are read once, are this part of it. The processor prefetches
/// them while they are added, and needs some time to find its stride. So long batches suit it.
constexpr int64_t kPartOfL2 = 4;

/// A tile has a power of two of rows.
RowTiling cut(const RowExtent& extent) noexcept {
  const int64_t rows = power_of_two_within(std::clamp(extent.rows / kSomeTiles, kRowStep, kMostFastRows));
  return {extent, rows, divide_up(extent.rows, rows)};
}

/// Rows of a batch: a power of two, so that a tile ends where a batch ends. With column sums it depends on the extent
/// alone and is at least kSomeRows, because of their bits. Without them, two tensors that are read are added first.
int64_t batch_rows(const RowTiling& tiling, const ScheduleInput& input, bool has_columns) noexcept {
  const int64_t row_bytes = tiling.extent.length * input.bytes_per_element * input.tensors_read;
  const int64_t fewest = has_columns ? kRowStep : 1, most = has_columns ? tiling.tile_rows : kMostBatchRows;
  const bool adds = !has_columns && input.tensors_read > 1;
  const bool long_batches = adds && stores_for(tiling.extent.size(), input) == kernels::Stores::streamed;
  const int64_t bytes = long_batches ? std::max(kBatchBytes, input.cache.l2 / kPartOfL2) : kBatchBytes;
  return power_of_two_within(std::clamp(bytes / row_bytes, fewest, most));
}

}  // namespace

RowSchedule make_row_schedule(const RowExtent& extent, const ScheduleInput& input, bool has_columns) noexcept {
  const RowTiling tiling = cut(extent);
  const int64_t rows = batch_rows(tiling, input, has_columns);
  const int64_t units = has_columns ? tiling.tiles : extent.rows;
  return {tiling,
          rows,
          has_columns ? tiling.tile_rows : 1,
          static_cast<int>(std::min<int64_t>(threads_for(extent.size(), input), std::max<int64_t>(1, units))),
          {.stores = stores_for(extent.size(), input), .ahead = rows * extent.length}};
}

double largest_share(const RowSchedule& s) noexcept {
  const int64_t rows = s.tiling.extent.rows, units = divide_up(rows, s.share_rows);
  int64_t most = 0;
  for (int thread = 0; thread < s.threads; ++thread) {
    const core::Range share = core::share_of(units, s.threads, thread);
    most = std::max(most, std::min(share.end * s.share_rows, rows) - share.begin * s.share_rows);
  }
  return rows == 0 ? 1 : static_cast<double>(most * s.threads) / static_cast<double>(rows);
}

std::string describe(const RowSchedule& s) {
  const auto n = [](int64_t value) { return std::to_string(value); };
  std::string text = "rows: " + n(s.tiling.extent.rows) + " x " + n(s.tiling.extent.length) + "; batches of " +
                     n(s.batch_rows) + " rows";
  if (s.share_rows > 1) text += ", tiles of " + n(s.tiling.tile_rows);
  return text + describe(s.access.stores, s.threads);
}

}  // namespace unitvar::cpu
