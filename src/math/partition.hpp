#pragma once
#include <algorithm>
#include <cstdint>

#include "unitvar/extent.hpp"

namespace unitvar::math {

/// A tensor whose channels are normalized by themselves in each sub-batch of outer rows, alone or in groups. What a
/// kernel sums is a *part*: one channel of one sub-batch. Parts are counted channel by channel, sub-batch by sub-batch;
/// a group is consecutive parts of a sub-batch.
struct Partition {
  Extent extent;
  std::int64_t sub_batch_rows;  ///< outer rows of a sub-batch; the last may have fewer
  std::int64_t group_parts;     ///< channels of a group
  std::int64_t parameters;      ///< C: part k takes gamma and beta k % C

  /// Sub-batches of one row lie in memory as channels of a single one: C channels of each of N rows are N*C channels.
  static Partition of(const Extent& e, std::int64_t sub_batch_rows, std::int64_t group_parts) noexcept {
    if (sub_batch_rows > 1 || e.outer == 0) return {e, sub_batch_rows, group_parts, e.channels};
    return {{1, e.outer * e.channels, e.inner}, 1, group_parts, e.channels};
  }

  [[nodiscard]] std::int64_t whole_sub_batches() const noexcept { return extent.outer / sub_batch_rows; }
  /// Extents of a whole sub-batch, and of the last if it is shorter.
  [[nodiscard]] Extent whole_sub_batch() const noexcept { return {sub_batch_rows, extent.channels, extent.inner}; }
  [[nodiscard]] Extent last_sub_batch() const noexcept { return {last_rows(), extent.channels, extent.inner}; }

  [[nodiscard]] std::int64_t sub_batches() const noexcept { return whole_sub_batches() + (last_rows() > 0 ? 1 : 0); }
  /// Outer rows of the last sub-batch if it is shorter than the others, else 0.
  [[nodiscard]] std::int64_t last_rows() const noexcept { return extent.outer % sub_batch_rows; }
  [[nodiscard]] std::int64_t parts() const noexcept { return sub_batches() * extent.channels; }
  [[nodiscard]] std::int64_t groups() const noexcept { return parts() / group_parts; }

  /// Calls f(b, e, first) for the parts b .. e - 1 of [begin, end) that share a run of parameters: part k takes
  /// parameter k - first.
  template <class F>
  void for_parameters(std::int64_t begin, std::int64_t end, const F& f) const noexcept {
    for (std::int64_t b = begin; b < end;) {
      const std::int64_t first = b / parameters * parameters;
      const std::int64_t e = std::min(end, first + parameters);
      f(b, e, first);
      b = e;
    }
  }
};

}  // namespace unitvar::math
