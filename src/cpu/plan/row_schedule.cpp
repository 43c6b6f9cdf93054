#include "cpu/plan/row_schedule.hpp"

#include <bit>

#include "core/divide_up.hpp"

namespace unitvar::cpu {
namespace {

using core::divide_up;
using std::int64_t;

/// A tile has kTileRows rows. It has fewer if there would not be kSomeTiles tiles for threads to share. It has more if
/// there would be more than kMostTiles tiles, each of which has two doubles a column.
constexpr int64_t kTileRows = 256;
constexpr int64_t kSomeTiles = 16;
constexpr int64_t kMostTiles = 64;
/// The rows of a tile are a multiple of this.
constexpr int64_t kRowStep = 4;

/// Bytes of a tensor in a batch. Two batches stay in L1: the one that is written and the one that is added up. Forward
/// they hold x, backward x and dy.
constexpr int64_t kForwardBatchBytes = 16 << 10;
constexpr int64_t kBackwardBatchBytes = 12 << 10;

/// Bytes that are prefetched beyond the next batch, of all tensors together.
constexpr int64_t kEarlyBytes = 16 << 10;

RowTiling cut(const RowExtent& extent) noexcept {
  const int64_t fewest = divide_up(extent.rows, kMostTiles), most = divide_up(extent.rows, kSomeTiles);
  const int64_t rows = std::max(fewest, std::min(kTileRows, most));
  const int64_t tile_rows = std::max(kRowStep, divide_up(rows, kRowStep) * kRowStep);
  return {extent, tile_rows, divide_up(extent.rows, tile_rows)};
}

/// Rows of a batch: a power of two, so that column sums of kMostFastRows rows end where a batch ends. Where there are
/// such sums, a batch has at least four rows, whose columns are added in registers.
int64_t batch_rows(const RowExtent& extent, const ScheduleInput& input) noexcept {
  const bool has_columns = input.tensors_read > 1;
  const int64_t fewest = has_columns ? 4 : 1, most = has_columns ? kMostFastRows : kMostBatchRows;
  const int64_t bytes = has_columns ? kBackwardBatchBytes : kForwardBatchBytes;
  const int64_t fitting = bytes / (extent.length * input.bytes_per_element);
  return static_cast<int64_t>(std::bit_floor(static_cast<std::uint64_t>(std::clamp(fitting, fewest, most))));
}

}  // namespace

RowSchedule make_row_schedule(const RowExtent& extent, const ScheduleInput& input) noexcept {
  const int64_t rows = batch_rows(extent, input);
  const int64_t early = kEarlyBytes / (input.tensors_read * input.bytes_per_element);
  return {cut(extent),
          rows,
          threads_for(extent.size(), input),
          {.stores = stores_for(extent.size(), input), .ahead = rows * extent.length + early}};
}

}  // namespace unitvar::cpu
