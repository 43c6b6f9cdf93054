#include "norm/row_schedule.hpp"

#include <bit>

namespace unitvar::norm {
namespace {

using std::int64_t;

/// A tile has this many rows, fewer if there would not be kSomeTiles for threads to share, more if there would be more
/// than kMostTiles: each has two doubles a column.
constexpr int64_t kTileRows = 64;
constexpr int64_t kSomeTiles = 16;
constexpr int64_t kMostTiles = 64;
/// And a multiple of so many.
constexpr int64_t kRowStep = 4;

/// Batches of short rows are to fit the first-level cache: half of it, so that the next batch finds room.
constexpr int64_t kBatchBytes = 16 << 10;

int64_t divide_up(int64_t a, int64_t b) noexcept { return (a + b - 1) / b; }

RowTiling cut(const RowExtent& extent) noexcept {
  const int64_t fewest = divide_up(extent.rows, kMostTiles), most = divide_up(extent.rows, kSomeTiles);
  const int64_t rows = std::max(fewest, std::min(kTileRows, most));
  const int64_t tile_rows = std::max(kRowStep, divide_up(rows, kRowStep) * kRowStep);
  return {extent, tile_rows, divide_up(extent.rows, tile_rows)};
}

/// A power of two, so that column sums in float, of kMostFastRows rows, end where a batch ends.
int64_t batch_rows(const RowExtent& extent, const ScheduleInput& input) noexcept {
  const int64_t most = input.tensors_read == 1 ? kMostBatchRows : kMostFastRows;
  const int64_t fitting = kBatchBytes / (extent.length * input.bytes_per_element * input.tensors_read);
  return static_cast<int64_t>(std::bit_floor(static_cast<std::uint64_t>(std::clamp<int64_t>(fitting, 1, most))));
}

}  // namespace

RowSchedule make_row_schedule(const RowExtent& extent, const ScheduleInput& input) noexcept {
  const int64_t rows = batch_rows(extent, input), batch = rows * extent.length;
  return {cut(extent),
          rows,
          threads_for(extent.size(), input),
          {.stores = stores_for(extent.size(), input),
           .ahead = batch + std::min(batch, kBatchBytes / input.bytes_per_element)}};
}

}  // namespace unitvar::norm
