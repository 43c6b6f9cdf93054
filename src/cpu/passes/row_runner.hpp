#pragma once
#include <algorithm>
#include <cstdint>
#include <span>
#include <type_traits>

#include "core/divide_up.hpp"
#include "core/vector_loop.hpp"
#include "core/workspace.hpp"
#include "cpu/phases/row_batch.hpp"
#include "cpu/plan/row_schedule.hpp"
#include "cpu/runtime/cache.hpp"
#include "cpu/runtime/parallel.hpp"

namespace unitvar::cpu {

/// The parameters of a call, each of them optional.
template <class P>
struct RowParameters {
  std::span<const P> gamma = {}, beta = {};
  bool one_plus_gamma = false;  ///< a gamma that is there stands for 1 + gamma
};

/// The passes of a call: what the first of them reads, and whether columns are added up.
struct RowPasses {
  int tensors_read;
  bool has_columns;
};

/// Schedule and kernels of one call, and its parameters, with ones and zeros for those that are absent.
template <class T>
class RowRunner {
 public:
  using P = param_t<T>;

  RowRunner(const RowExtent& extent, const Options& options, const RowPasses& passes, Center center,
            const RowParameters<P>& given)
      : schedule_(make_row_schedule(
            extent, {sizeof(T), passes.tensors_read, cache_sizes(), threads_for_call(options.cpu.threads)},
            passes.has_columns)),
        takes_apart_(std::is_same_v<T, bf16> && extent.rows >= kFewestRowsApart),
        room_(static_cast<std::size_t>(room_for(given.gamma, given.one_plus_gamma) + room_for(given.beta, false)) *
              sizeof(P)),
        batch_(kernels::row_kernels_for<T>(options.cpu.isa), center, extent.length,
               {prepared(given.gamma, P(1), given.one_plus_gamma, room_.as<P>()),
                prepared(given.beta, P(0), false, room_.as<P>() + room_for(given.gamma, given.one_plus_gamma))},
               options.cpu.counts) {}

  [[nodiscard]] const RowBatch<T>& batch() const noexcept { return batch_; }
  [[nodiscard]] const RowSchedule& schedule() const noexcept { return schedule_; }
  [[nodiscard]] std::int64_t length() const noexcept { return schedule_.tiling.extent.length; }

  /// pass(row, rows) for batches of the rows [begin, end).
  template <class Pass>
  void for_batches(std::int64_t begin, std::int64_t end, const Pass& pass) const {
    const std::int64_t most = schedule_.batch_rows;
    for (std::int64_t row = begin; row < end; row += most) pass(row, std::min(most, end - row));
  }
  /// range(begin, end, thread) of all rows, one for each thread.
  template <class Body>
  void for_all_ranges(const Body& range) const {
    for_ranges(schedule_.tiling.extent.rows, range);
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
  /// Fewer do not pay for taking the parameters apart.
  static constexpr std::int64_t kFewestRowsApart = 8;

  [[nodiscard]] std::int64_t repeated() const noexcept { return std::min(length(), kernels::kMostRepeated); }
  /// So many values and what is left of their last cache line.
  static constexpr std::int64_t in_lines(std::int64_t values) noexcept {
    constexpr std::int64_t kLine = 64 / sizeof(P);
    return core::divide_up(values, kLine) * kLine;
  }
  /// The even values, or the odd ones.
  [[nodiscard]] std::int64_t room_for_half() const noexcept { return in_lines(core::divide_up(length(), 2)); }
  [[nodiscard]] std::int64_t room_for(std::span<const P> given, bool plus_one) const noexcept {
    if (given.empty()) return in_lines(repeated());
    return (plus_one ? in_lines(length()) : 0) + (takes_apart_ ? 2 * room_for_half() : 0);
  }

  /// What kernels take: the constant if the parameter is absent, else its values or 1 + its values; the same apart, of
  /// both parameters or of neither. `room` is for what is not the caller's.
  kernels::ColumnParameter<T> prepared(std::span<const P> given, P constant, bool plus_one, P* room) const noexcept {
    kernels::ColumnParameter<T> result{given.data(), given.empty()};
    if (result.is_absent) {
      std::fill_n(room, repeated(), constant);
      result.values = room;
    } else if (plus_one) {
      core::vector_loop(0, length(), [=, values = given.data()](std::int64_t k) { room[k] = P(1) + values[k]; });
      result.values = room;
      room += in_lines(length());
    }
    if constexpr (std::is_same_v<T, bf16>) {
      if (takes_apart_)
        result.apart = result.is_absent ? kernels::Apart<T>{room, room} : taken_apart(result.values, room);
    }
    return result;
  }
  kernels::Apart<T> taken_apart(const P* values, P* even) const noexcept {
    const std::int64_t n = length();
    P* const odd = even + room_for_half();
    core::vector_loop(0, n / 2, [=](std::int64_t k) {
      even[k] = values[2 * k];
      odd[k] = values[2 * k + 1];
    });
    if (n % 2 != 0) even[n / 2] = values[n - 1];
    return {even, odd};
  }

  RowSchedule schedule_;
  bool takes_apart_;
  core::Workspace room_;  ///< of the parameters
  RowBatch<T> batch_;
};

}  // namespace unitvar::cpu
