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

/// Columns of an interleaved item, so that their coefficients (up to 6 floats a column) stay in L1. A row of up to
/// twice as many is taken whole all the same: one stream of memory is worth more.
constexpr int64_t kMostColumns = 1024;
/// Columns of a block, at least. A narrower block would be short pieces of memory, far apart, that begin and end within
/// cache lines. The hardware prefetcher does not follow them. Where a row is a power of two long, they also fall into a
/// few sets of the cache.
constexpr int64_t kFewestColumns = 256;
constexpr int64_t kColumnStep = 16;

/// A result takes non-temporal stores if it is larger than this many L2 caches. L3 is not asked: it is shared, and in a
/// virtual machine its size may be that of another machine.
constexpr int64_t kStreamedShare = 4;

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

/// The longest of the equal runs, none longer than `longest`, that n channels are cut into.
int64_t equal_run(int64_t n, int64_t longest) noexcept { return divide_up(n, divide_up(n, longest)); }

/// Channels per block whose columns, over all rows, fit the cache. 0 if no useful number does.
int64_t resident_channels(const Tiling& tiling, const ScheduleInput& input, int threads) noexcept {
  const Extent& e = tiling.extent;
  const int64_t bytes_per_column = std::max<int64_t>(1, e.outer) * input.bytes_per_element * input.tensors_read;
  const int64_t fitting = input.cache.l2 * 3 / 4 / bytes_per_column;
  const int64_t per_thread = divide_up(e.channels, threads) * e.inner;
  const int64_t columns = std::min({fitting, most_columns(e), std::max(per_thread, kColumnStep)});
  const bool whole_row = columns >= e.channels * e.inner;
  if (columns < e.inner || (columns < kFewestColumns && !whole_row)) return 0;
  const int64_t channels = whole_groups(channels_within(std::max(columns, kColumnStep), e.inner), input);
  return channels == 0 && input.group_channels * e.inner <= fitting ? input.group_channels : channels;
}

/// A planar channel may be this many times as large as L2 and still be resident: it is then read again from L3.
constexpr int64_t kResidentShare = 32;

/// Whether a planar tensor is resident: unless groups are too large, or too few to keep all threads busy to the end.
bool planar_resident(const Tiling& tiling, const ScheduleInput& input, int threads) noexcept {
  const Extent& e = tiling.extent;
  const int64_t bytes = input.group_channels * e.count() * input.bytes_per_element * input.tensors_read;
  if (bytes > kResidentShare * input.cache.l2) return false;
  const bool one_cell = tiling.tiles() == 1 && input.group_channels == 1;  // nothing more to share
  return threads == 1 || one_cell || e.channels / input.group_channels >= int64_t{4} * threads;
}

/// Bytes of a run of channels, at least: on a shorter run, the hardware prefetcher does not reach full speed.
constexpr int64_t kShortRun = 12 << 10;

/// Channels of a planar block. A resident walk works on two blocks at a time. So it takes as many channels as let both
/// blocks fit into L2, but enough for a run of kShortRun bytes. No block is longer than a run, or so long that threads
/// would lack work. A streamed walk re-reads nothing from L2, and takes the longest run.
int64_t planar_channels(const Tiling& tiling, const ScheduleInput& input, int threads, Walk walk) noexcept {
  const Extent& e = tiling.extent;
  const int64_t longest = longest_run(tiling);
  const int64_t bytes_per_row = e.inner * input.bytes_per_element;
  const int64_t bytes_per_channel = std::max<int64_t>(1, e.outer) * bytes_per_row * input.tensors_read;
  const int64_t fitting = input.cache.l2 * 3 / 4 / (2 * bytes_per_channel);
  const int64_t wanted = walk == Walk::streamed ? longest : std::max(fitting, divide_up(kShortRun, bytes_per_row));
  const int64_t per_thread = std::max<int64_t>(1, e.channels / (int64_t{8} * threads));
  const int64_t channels = std::min({wanted, longest, per_thread});
  return walk == Walk::streamed ? channels : some_groups(channels, input);
}

}  // namespace

int threads_for(int64_t elements, const ScheduleInput& input) noexcept {
  const int64_t bytes = elements * input.bytes_per_element * input.tensors_read;
  return static_cast<int>(std::clamp<int64_t>(bytes / kBytesPerThread, 1, std::max(1, input.threads)));
}

kernels::Stores stores_for(int64_t elements, const ScheduleInput& input) noexcept {
  const int64_t bytes = std::max(elements * input.bytes_per_element, input.tensor_bytes);
  return bytes > kStreamedShare * input.cache.l2 ? kernels::Stores::streamed : kernels::Stores::cached;
}

Schedule make_schedule(const Extent& extent, const ScheduleInput& input) noexcept {
  Schedule s{make_tiling(extent, input.weighted),
             Walk::resident,
             threads_for(extent.size(), input),
             1,
             0,
             {.stores = input.weighted ? kernels::Stores::cached : stores_for(extent.size(), input),
              .ahead = kernels::kNear / input.bytes_per_element},
             1};

  const auto unless_forced = [&input](bool resident) {
    if (input.walk != Walk::automatic) return input.walk;
    return resident ? Walk::resident : Walk::streamed;
  };
  const bool planar = s.tiling.shape == Shape::planar;
  if (planar) {
    s.walk = unless_forced(planar_resident(s.tiling, input, s.threads));
    s.block_channels = planar_channels(s.tiling, input, s.threads, s.walk);
  } else {
    const int64_t resident = resident_channels(s.tiling, input, s.threads);
    s.walk = unless_forced(resident > 0);
    const int64_t widest = channels_within(most_columns(s.tiling.extent), s.tiling.extent.inner);
    s.block_channels = resident > 0 ? resident : s.walk == Walk::streamed ? widest : some_groups(widest, input);
  }
  if (s.tiling.shape == Shape::interleaved && input.has_bits) {
    s.block_channels = whole_bytes(s.block_channels, s.tiling.extent.inner);
  }
  s.blocks = divide_up(s.tiling.extent.channels, s.block_channels);
  s.run_channels = input.group_channels == 1 ? s.block_channels : equal_run(s.block_channels, longest_run(s.tiling));
  // A resident block's second pass finds its data in the cache. It prefetches the next block instead.
  if (!planar && s.walk == Walk::resident) {
    s.access.ahead = s.block_channels * s.tiling.extent.inner;
  }
  // A work item begins by reading a few values of each of its channels. Where channels are short and one run follows
  // the other, prefetching a whole run brings these values into the cache. The runs of two tensors would be too much.
  const bool short_rows = extent.outer == 1 && extent.inner < s.access.ahead;
  if (planar && s.walk == Walk::resident && short_rows && input.tensors_read == 1) {
    s.access.ahead = std::max(s.access.ahead, s.run_channels * extent.inner);
  }
  return s;
}

std::string describe(const Schedule& s) {
  const Extent& e = s.tiling.extent;
  const bool planar = s.tiling.shape == Shape::planar;
  const auto n = [](int64_t value) { return std::to_string(value); };
  std::string text = planar ? "planar: " + n(e.channels) + " channels of " + n(e.outer) + " rows x " + n(e.inner)
                            : "interleaved: " + n(e.outer) + " rows x " + n(e.channels * e.inner) + " columns (" +
                                  n(e.channels) + " channels x " + n(e.inner) + ")";
  text += s.walk == Walk::resident ? "; resident, " : "; streamed, ";
  text += n(s.blocks) + " blocks of " + n(s.block_channels) + " channels x " + n(s.tiling.tiles()) + " tiles of " +
          n(std::min(s.tiling.tile_rows, e.outer)) + " rows x " + n(s.tiling.tile_cols);
  text += s.access.stores == kernels::Stores::streamed ? "; streaming stores" : "; cached stores";
  return text + "; " + n(s.threads) + (s.threads == 1 ? " thread" : " threads");
}

}  // namespace unitvar::cpu
