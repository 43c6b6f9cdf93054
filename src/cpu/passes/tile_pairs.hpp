#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "core/arguments.hpp"
#include "core/divide_up.hpp"
#include "core/workspace.hpp"
#include "cpu/passes/pass_runner.hpp"
#include "cpu/plan/merge_tiles.hpp"
#include "cpu/runtime/parallel.hpp"

namespace unitvar::cpu {

/// Where a tile's elements are read: a tensor, or a part of one whose first channel is channel `origin` of the whole.
struct Source {
  Tiling tiling;
  Tile tile;
  std::int64_t origin;
  kernels::Access access;
};

/// The pairs of all tiles of all channels, which come in any order.
template <class T>
class TilePairs {
 public:
  TilePairs(const Extent& extent, const Options& options, std::int64_t tensors)
      : schedule_(make_schedule(extent, schedule_input(in_one_pass(options), sizeof(T), tensors))),
        cpu_(options.cpu),
        first_(static_cast<std::size_t>(tiling().tiles() * channels())),
        second_(first_.size()),
        added_(first_.size()) {
    cpu_.isa = selected_isa(options.cpu.isa);
  }

  [[nodiscard]] const Tiling& tiling() const noexcept { return schedule_.tiling; }
  [[nodiscard]] std::int64_t channels() const noexcept { return tiling().extent.channels; }

  void check_tile(const core::Arguments& check, std::int64_t t) const {
    if (t >= 0 && t < tiling().tiles()) return;
    check.fail(ErrorCode::bad_argument,
               "tile is " + std::to_string(t) + ", want 0 <= tile < " + std::to_string(tiling().tiles()));
  }

  /// Tile t of channels [begin, end) is there, and was not added before.
  void check_new(const core::Arguments& check, std::int64_t t, std::int64_t begin, std::int64_t end) const {
    check_tile(check, t);
    if (begin < 0 || end < begin || end > channels()) {
      check.fail(ErrorCode::bad_argument, "channels are " + std::to_string(begin) + " to " + std::to_string(end) +
                                              ", want a range within 0 to C = " + std::to_string(channels()));
    }
    const std::int64_t c = find(t, begin, end, 1);
    if (c < end) check.fail(ErrorCode::bad_state, name(t, c) + " was added before, want each once");
  }

  /// The caller's PrecisionCounts are apart from what `check` has seen.
  void check_counts(const core::Arguments& check) const { check.optional_value("options.cpu.counts", cpu_.counts); }

  [[nodiscard]] Source whole(std::int64_t t) const noexcept {
    return {tiling(), tiling().tile(t), 0, schedule_.access};
  }
  /// As a tensor of its own, of as many channels as its stride holds. Its data are in the cache: nothing to ask for.
  [[nodiscard]] Source piece(std::int64_t t, std::int64_t begin, std::int64_t stride) const noexcept {
    const Tile tile = tiling().tile(t);
    const Extent extent{tile.rows, stride / tile.cols, tile.cols};
    return {{tiling().shape, extent, tile.rows, tile.cols, 1, 1}, {0, tile.rows, 0, tile.cols}, begin, {}};
  }

  /// reduce(phases, item, pair) fills the pair of a few of the channels [begin, end).
  template <class Reduce>
  void add(std::int64_t t, std::int64_t begin, std::int64_t end, const Source& source, const Reduce& reduce) {
    const std::int64_t step = schedule_.run_channels;
    const TilePhases<T> phases(cpu_, source.tiling, source.access, nullptr);
    const core::Workspace scratch(static_cast<std::size_t>(scratch_bytes(source.tiling, step)));
    for (std::int64_t c = begin; c < end; c += step) {
      const WorkItem item{c - source.origin, std::min(c + step, end) - source.origin, t, source.tile,
                          scratch.template as<std::byte>()};
      reduce(phases, item, pair(t, c));
    }
    std::fill_n(added_.begin() + t * channels() + begin, end - begin, std::uint8_t{1});
  }

  void check_complete(const core::Arguments& check) const {
    for (std::int64_t t = 0; t < tiling().tiles(); ++t) {
      const std::int64_t c = find(t, 0, channels(), 0);
      if (c < channels()) check.fail(ErrorCode::bad_state, name(t, c) + " is missing, want all");
    }
  }

  /// merge(begin, end, leaves) makes the result of channels [begin, end) from leaves(t), the pair of tile t.
  template <class Merge>
  void finish(const Merge& merge) {
    constexpr std::int64_t kStep = 64;
    parallel_for(schedule_.threads, core::divide_up(channels(), kStep), [&](std::int64_t part, int) {
      const std::int64_t begin = part * kStep;
      merge(begin, std::min(begin + kStep, channels()),
            TileLeaves{first_.data() + begin, second_.data() + begin, channels()});
    });
    clear();
  }

  void clear() noexcept { std::fill(added_.begin(), added_.end(), std::uint8_t{0}); }

 private:
  [[nodiscard]] math::ChannelPairs pair(std::int64_t t, std::int64_t c) noexcept {
    const std::int64_t k = t * channels() + c;
    return {first_.data() + k, second_.data() + k};
  }

  /// The first of channels [begin, end) whose tile t is as asked for, or `end`.
  [[nodiscard]] std::int64_t find(std::int64_t t, std::int64_t begin, std::int64_t end, std::uint8_t added) const {
    const auto row = added_.begin() + t * channels();
    return std::find(row + begin, row + end, added) - row;
  }

  static std::string name(std::int64_t t, std::int64_t c) {
    return "tile " + std::to_string(t) + " of channel " + std::to_string(c);
  }

  Schedule schedule_;
  CpuOptions cpu_;
  std::vector<double> first_, second_;
  std::vector<std::uint8_t> added_;
};

}  // namespace unitvar::cpu
