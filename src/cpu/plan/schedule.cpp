#include "cpu/plan/schedule.hpp"

#include <algorithm>
#include <numeric>

#include "core/divide_up.hpp"

namespace unitvar::cpu {
namespace {

using core::divide_up;
using std::int64_t;

/// Bytes read for each thread, at least. Waking a thread costs microseconds, which fewer bytes do not repay.
constexpr int64_t kBytesPerThread = 128 << 10;

/// Where threads would share the columns of a single tile, each needs so many times as many bytes: it finds some of its
/// data in another's cache.
constexpr int64_t kTimesOfOneTile = 2;

/// Columns of an interleaved item, so that their coefficients (up to 6 floats a column) stay in L1. A row of up to
/// twice as many is taken whole all the same: one stream of memory is worth more.
constexpr int64_t kMostColumns = 1024;
/// Columns of a block, at least. A narrower block would be short pieces of memory, far apart, that begin and end within
/// cache lines. The hardware prefetcher does not follow them. Where a row is a power of two long, they also fall into a
/// few sets of the cache.
constexpr int64_t kFewestColumns = 256;
constexpr int64_t kColumnStep = 16;

/// A result of up to so many L2 caches is stored as usual.
constexpr int64_t kCachedShare = 4;
/// So is one that fits in L3 beside what is read, since the next operation reads it from there. L3 is shared, by other
/// virtual machines, too: an eighth is theirs, and no L3 counts for more than what eight cores of a large one share.
constexpr int64_t kMostL3 = 32 << 20;

/// Elements of a run of planar channels, at most. More where one run follows the other in memory without a gap.
constexpr int64_t kLongestRun = 4096;
constexpr int64_t kLongestRunOfARow = 16384;

/// Channels per block so that columns <= limit. The block ends with a cache line, if that leaves any channel: a line
/// that two blocks share is read and written twice.
int64_t channels_within(int64_t limit, int64_t inner) noexcept {
  const int64_t channels = std::max<int64_t>(1, limit / inner);
  const int64_t step = kColumnStep / std::gcd(kColumnStep, inner);
  return channels < step ? channels : channels / step * step;
}

/// This many channels or a few more, so that their columns are a multiple of 8.
int64_t whole_bytes(int64_t channels, int64_t inner) noexcept {
  const int64_t step = 8 / std::gcd(int64_t{8}, inner);
  return divide_up(channels, step) * step;
}

int64_t most_columns(const Extent& e) noexcept {
  const int64_t row = e.channels * e.inner;
  return row <= 2 * kMostColumns ? row : kMostColumns;
}

/// The number of channels rounded down to whole groups; may be 0.
int64_t whole_groups(int64_t channels, const ScheduleInput& input) noexcept {
  return channels / input.group_channels * input.group_channels;
}
/// The same, but at least one group.
int64_t some_groups(int64_t channels, const ScheduleInput& input) noexcept {
  return std::max(whole_groups(channels, input), input.group_channels);
}

/// Channels of a work item, at most.
int64_t longest_run(const Tiling& tiling) noexcept {
  const int64_t inner = tiling.extent.inner;
  if (tiling.shape == Shape::interleaved)
    return channels_within(std::max(most_columns(tiling.extent), kColumnStep), inner);
  const bool one_row = tiling.extent.outer == 1;
  const int64_t longest = one_row ? kLongestRunOfARow : kLongestRun;
  const int64_t most = one_row ? kernels::kMostRunOfARow : kernels::kMostRun;
  return tiling.col_tiles > 1 ? 1 : std::clamp<int64_t>(longest / inner, 1, most);
}

/// Channels that threads do not cut. Of columns, as many as fill a cache line of floats, and bytes of the mask: threads
/// that write one line wait for each other.
int64_t channels_of_a_cell(const Tiling& tiling, const ScheduleInput& input) noexcept {
  if (tiling.shape == Shape::planar) return 1;
  const int64_t channels = divide_up(kColumnStep, tiling.extent.inner);
  return input.has_bits ? whole_bytes(channels, tiling.extent.inner) : channels;
}

/// Bytes of a channel, or of a group of them, that a first pass reads and the second reads again.
int64_t bytes_of(const Tiling& tiling, int64_t channels, const ScheduleInput& input) noexcept {
  return std::max<int64_t>(1, channels * tiling.extent.count() * input.bytes_per_element * input.tensors_read);
}

/// Of so many threads' L2, what the data of a block may fill.
int64_t cache_of(int threads, const ScheduleInput& input) noexcept { return input.cache.l2 * 3 / 4 * threads; }

/// Channels of a block of one thread's own, whose columns, over all rows, fit the cache. 0 if no useful number does.
int64_t resident_columns(const Tiling& tiling, const ScheduleInput& input, int threads) noexcept {
  const Extent& e = tiling.extent;
  const int64_t bytes_per_column = std::max<int64_t>(1, e.outer) * input.bytes_per_element * input.tensors_read;
  const int64_t fitting = cache_of(1, input) / bytes_per_column;
  const int64_t per_thread = divide_up(e.channels * input.sub_batches, threads) * e.inner;
  const int64_t columns = std::min({fitting, most_columns(e), std::max(per_thread, kColumnStep)});
  const bool whole_row = columns >= e.channels * e.inner;
  if (columns < e.inner || (columns < kFewestColumns && !whole_row)) return 0;
  const int64_t channels = whole_groups(channels_within(std::max(columns, kColumnStep), e.inner), input);
  return channels == 0 && input.group_channels * e.inner <= fitting ? input.group_channels : channels;
}

/// A planar channel may be this many times as large as L2 and still be resident: it is then read again from L3.
constexpr int64_t kResidentShare = 32;

/// Bytes of a run of channels, at least: on a shorter run, the hardware prefetcher does not reach full speed.
constexpr int64_t kShortRun = 12 << 10;

/// Channels of a planar block of one thread's own. A resident walk works on two blocks at a time. So it takes as many
/// channels as let both blocks fit into L2, but enough for a run of kShortRun bytes. No block is longer than a run, or
/// so long that threads would lack work.
int64_t resident_planes(const Tiling& tiling, const ScheduleInput& input, int threads) noexcept {
  const Extent& e = tiling.extent;
  const int64_t fitting = cache_of(1, input) / (2 * bytes_of(tiling, 1, input));
  const int64_t wanted = std::max(fitting, divide_up(kShortRun, e.inner * input.bytes_per_element));
  const int64_t per_thread = std::max<int64_t>(1, e.channels * input.sub_batches / (int64_t{8} * threads));
  return some_groups(std::min({wanted, longest_run(tiling), per_thread}), input);
}

/// Of n units, how many to take at a time, `most` or down to half as many: those for which threads wait least for each
/// other. Each unit is some `cells`, which threads share.
int64_t least_waiting(int64_t n, int64_t most, int64_t cells, int threads) noexcept {
  most = std::min(n, most);
  int64_t best = most, shortest = n * cells;
  for (int64_t units = most; 2 * units > most; --units) {
    const int64_t time = n / units * divide_up(units * cells, threads) + divide_up(n % units * cells, threads);
    if (time >= shortest) continue;
    best = units;
    shortest = time;
  }
  return best;
}

/// Parts of a block that fits the caches of all threads together. 0 if no useful number does.
int64_t shared_parts(const Tiling& tiling, const ScheduleInput& input, int threads) noexcept {
  const Extent& e = tiling.extent;
  const int64_t cache = cache_of(threads, input), cell = channels_of_a_cell(tiling, input);
  if (const int64_t sub_batches = cache / bytes_of(tiling, e.channels, input); sub_batches > 0) {
    const int64_t cells = divide_up(e.channels, cell) * tiling.tiles();
    return least_waiting(input.sub_batches, sub_batches, cells, threads) * e.channels;
  }
  const int64_t unit = input.group_channels > 1 ? input.group_channels : cell;
  int64_t units = cache / bytes_of(tiling, unit, input);
  if (tiling.shape == Shape::planar) {
    if (bytes_of(tiling, unit, input) > kResidentShare * input.cache.l2) return 0;
    units = std::max<int64_t>(1, units);
  } else if (units * unit * e.inner < kFewestColumns) {
    return 0;
  }
  return unit * least_waiting(divide_up(e.channels, unit), units, divide_up(unit, cell) * tiling.tiles(), threads);
}

/// How threads share the work, and the block that both passes go over before the next.
struct Way {
  Walk walk;
  bool together;
  int64_t block_parts;
};

/// A resident walk by blocks of each thread's own: if a block fits its cache, and if that keeps all threads busy. It
/// does as well as any where a channel is one tile, which no two threads can share.
Way alone(const Tiling& tiling, const ScheduleInput& input, int threads, bool forced) noexcept {
  const Way none{Walk::streamed, false, 0};
  const int64_t unit = input.group_channels > 1 ? input.group_channels : channels_of_a_cell(tiling, input);
  const bool one_cell = tiling.tiles() == 1 && input.group_channels == 1;
  const int64_t units = input.sub_batches * divide_up(tiling.extent.channels, unit);
  if (!forced && !one_cell && !shares_evenly(units, threads)) return none;
  if (tiling.shape == Shape::planar) {
    if (!forced && bytes_of(tiling, input.group_channels, input) > kResidentShare * input.cache.l2) return none;
    return {Walk::resident, false, resident_planes(tiling, input, threads)};
  }
  int64_t channels = resident_columns(tiling, input, threads);
  if (channels == 0 && forced) {
    channels = some_groups(channels_within(most_columns(tiling.extent), tiling.extent.inner), input);
  }
  return {Walk::resident, false, channels};
}

/// Whether the caches of all threads hold the tensor, and there is a row of tiles for each: what one thread takes is
/// then one stretch of memory, as in other programs. So it is in the cache where the program before this one left it.
bool all_in_caches(const Tiling& tiling, const ScheduleInput& input, int threads) noexcept {
  return threads > 1 && input.sub_batches == 1 && tiling.shape == Shape::interleaved && tiling.row_tiles >= threads &&
         bytes_of(tiling, tiling.extent.channels, input) <= cache_of(threads, input);
}

Way choose_way(const Tiling& tiling, const ScheduleInput& input, int threads) noexcept {
  const int64_t channels = tiling.extent.channels, all = input.sub_batches * channels;
  if (input.walk == Walk::streamed) return {Walk::streamed, true, all};
  const bool forced = input.walk == Walk::resident;
  if (!forced && all_in_caches(tiling, input, threads)) return {Walk::resident, true, all};
  const Way by_threads = alone(tiling, input, threads, forced);
  if (by_threads.block_parts > 0) return by_threads;
  const int64_t parts = threads > 1 ? shared_parts(tiling, input, threads) : 0;
  if (parts > 0) return {Walk::resident, true, parts};
  if (input.sub_batches == 1) return {Walk::streamed, true, all};
  return {Walk::streamed, !shares_evenly(input.sub_batches, threads), channels};
}

/// Channels of a work item, at most.
int64_t channels_of_a_run(const Tiling& tiling, const ScheduleInput& input, const Way& way, int64_t cell) noexcept {
  if (way.walk == Walk::resident && !way.together) {
    return input.group_channels == 1 ? way.block_parts : core::equal_part(way.block_parts, longest_run(tiling));
  }
  return std::max(cell, longest_run(tiling) / cell * cell);
}

}  // namespace

int threads_for(int64_t elements, const ScheduleInput& input) noexcept {
  const int64_t bytes = elements * input.bytes_per_element * input.tensors_read;
  return static_cast<int>(std::clamp<int64_t>(bytes / kBytesPerThread, 1, std::max(1, input.threads)));
}

int64_t largest_cached_result(const CacheSizes& cache, int64_t tensors_read) noexcept {
  return std::max(kCachedShare * cache.l2, std::min(cache.l3, kMostL3) / 8 * 7 / (tensors_read + 1));
}

kernels::Stores stores_for(int64_t elements, const ScheduleInput& input) noexcept {
  const int64_t bytes = std::max(elements * input.bytes_per_element, input.tensor_bytes);
  return bytes > largest_cached_result(input.cache, input.tensors_read) ? kernels::Stores::streamed
                                                                        : kernels::Stores::cached;
}

bool shares_evenly(int64_t units, int threads) noexcept {
  return 10 * divide_up(units, threads) * threads <= 11 * units;
}

Schedule make_schedule(const Extent& extent, const ScheduleInput& input) noexcept {
  const Tiling tiling = make_tiling(extent, input.weighted);
  const int64_t elements = input.sub_batches * extent.size();
  const bool one_tile = tiling.shape == Shape::interleaved && input.sub_batches * tiling.tiles() == 1;
  const int threads = threads_for(one_tile ? elements / kTimesOfOneTile : elements, input);
  Way way = choose_way(tiling, input, threads);
  const bool planar = tiling.shape == Shape::planar;
  const bool alone = !way.together, resident = way.walk == Walk::resident;
  if (!planar && alone && input.has_bits) way.block_parts = whole_bytes(way.block_parts, tiling.extent.inner);
  if (alone) way.block_parts = std::min(way.block_parts, tiling.extent.channels);
  const int64_t cell = std::min(channels_of_a_cell(tiling, input), tiling.extent.channels);
  Schedule s{.tiling = tiling,
             .sub_batches = input.sub_batches,
             .walk = way.walk,
             .threads = threads,
             .together = way.together,
             .block_parts = way.block_parts,
             .run_channels = channels_of_a_run(tiling, input, way, cell),
             .cell_channels = alone ? 1 : cell,
             .share_channels = alone && !resident         ? tiling.extent.channels
                               : input.group_channels > 1 ? input.group_channels
                                                          : cell,
             .counted_rows = tiling.tile_rows,
             .access = {.stores = stores_for(elements, input), .ahead = kernels::kNear / input.bytes_per_element}};
  if (!resident || !alone) return s;
  // A resident block's second pass finds its data in the cache. It prefetches the next block instead.
  if (!planar) s.access.ahead = s.block_parts * extent.inner;
  // A work item begins by reading a few values of each of its channels. Where channels are short and one run follows
  // the other, prefetching a whole run brings these values into the cache. The runs of two tensors would be too much.
  const bool short_rows = extent.outer == 1 && extent.inner < s.access.ahead;
  if (planar && short_rows && input.tensors_read == 1) {
    s.access.ahead = std::max(s.access.ahead, s.run_channels * extent.inner);
  }
  return s;
}

std::string describe(kernels::Stores stores, int threads) {
  const std::string text = stores == kernels::Stores::streamed ? "; streaming stores; " : "; cached stores; ";
  return text + std::to_string(threads) + (threads == 1 ? " thread" : " threads");
}

std::string describe(const Schedule& s, bool has_sums) {
  const Extent& e = s.tiling.extent;
  const bool planar = s.tiling.shape == Shape::planar;
  const auto n = [](int64_t value) { return std::to_string(value); };
  std::string text = s.sub_batches > 1 ? n(s.sub_batches) + " sub-batches, each " : "";
  text += planar ? "planar: " + n(e.channels) + " channels of " + n(e.outer) + " rows x " + n(e.inner)
                 : "interleaved: " + n(e.outer) + " rows x " + n(e.channels * e.inner) + " columns (" + n(e.channels) +
                       " channels x " + n(e.inner) + ")";
  text += !has_sums                  ? "; resident, one pass over "
          : s.walk == Walk::resident ? "; resident, blocks of "
                                     : "; streamed, blocks of ";
  text += s.block_parts > s.channels() ? n(s.block_parts / s.channels()) + " sub-batches x "
                                       : n(s.block_parts) + " channels x ";
  text += n(s.tiling.tiles()) + " tiles of " + n(std::min(s.tiling.tile_rows, e.outer)) + " rows x " +
          n(s.tiling.tile_cols);
  text += describe(s.access.stores, s.threads);
  if (s.threads > 1 && has_sums) text += s.together ? ", which share each block" : ", each with its own blocks";
  return text;
}

}  // namespace unitvar::cpu
