#include "cpu/plan/row_schedule.hpp"

#include <bit>

#include "core/divide_up.hpp"
#include "cpu/kernels/rows.hpp"

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
constexpr int64_t kRowStep = kernels::kSomeRows;

/// Bytes of a batch, of all tensors that are read: what its first pass leaves in L1 for the second.
constexpr int64_t kBatchBytes = 32 << 10;
RowTiling cut(const RowExtent& extent) noexcept {
  const int64_t fewest = divide_up(extent.rows, kMostTiles), most = divide_up(extent.rows, kSomeTiles);
  const int64_t rows = std::max(fewest, std::min(kTileRows, most));
  const int64_t tile_rows = std::max(kRowStep, divide_up(rows, kRowStep) * kRowStep);
  return {extent, tile_rows, divide_up(extent.rows, tile_rows)};
}

/// Rows of a batch: a power of two, so that column sums of kMostFastRows rows end where a batch ends. With column sums
/// it depends on the extent alone and is at least kSomeRows, because of their bits.
int64_t batch_rows(const RowExtent& extent, const ScheduleInput& input) noexcept {
  const int64_t row_bytes = extent.length * input.bytes_per_element * input.tensors_read;
  const bool has_columns = input.tensors_read > 1;
  const int64_t fewest = has_columns ? kernels::kSomeRows : 1, most = has_columns ? kMostFastRows : kMostBatchRows;
  const int64_t rows = std::clamp(kBatchBytes / row_bytes, fewest, most);
  return static_cast<int64_t>(std::bit_floor(static_cast<std::uint64_t>(rows)));
}

}  // namespace

RowSchedule make_row_schedule(const RowExtent& extent, const ScheduleInput& input) noexcept {
  const int64_t rows = batch_rows(extent, input);
  return {cut(extent),
          rows,
          threads_for(extent.size(), input),
          {.stores = stores_for(extent.size(), input), .ahead = rows * extent.length}};
}

}  // namespace unitvar::cpu
