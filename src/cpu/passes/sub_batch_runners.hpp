#pragma once
#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>

#include "cpu/passes/pass_runner.hpp"
#include "math/partition.hpp"

namespace unitvar::cpu {

/// One sub-batch at work: its first element and part, and the values of each of its parts.
struct SubBatch {
  std::int64_t element;
  std::int64_t part;
  std::int64_t values;
};

/// A PassRunner for the sub-batches of a partition. Threads work side by side on sub-batches if these are many, or too
/// small to be shared, and else together on one after the other. Bits do not depend on it, for a runner's do not.
template <class T>
class SubBatchRunners {
  using int64_t = std::int64_t;

 public:
  SubBatchRunners(const math::Partition& partition, const Options& options, int64_t tensors_read)
      : p_(partition), full_(p_.extent.outer / p_.sub_batch_rows) {
    ScheduleInput input = schedule_input(options, sizeof(T), tensors_read);
    input.group_channels = p_.group_parts;
    input.tensor_bytes = p_.extent.size() * static_cast<int64_t>(sizeof(T));
    const Extent sub_batch{p_.sub_batch_rows, p_.extent.channels, p_.extent.inner};
    if (p_.last_rows() > 0)
      last_.emplace(Extent{p_.last_rows(), sub_batch.channels, sub_batch.inner}, input, options.cpu);
    if (full_ == 0) return;
    const int threads = make_schedule(p_.extent, input).threads;
    const bool side_by_side = full_ >= int64_t{4} * threads || make_schedule(sub_batch, input).threads == 1;
    if (side_by_side) input.threads = 1;
    const auto runners = side_by_side ? std::min<int64_t>(threads, full_) : 1;
    for (int64_t k = 0; k < runners; ++k) runners_.emplace_back(sub_batch, input, options.cpu);
  }

  /// Calls f(runner, sub_batch) for each sub-batch.
  template <class F>
  void for_each(const F& f) {
    const Extent& e = p_.extent;
    const int64_t row = e.channels * e.inner;
    parallel_for(static_cast<int>(runners_.size()), full_, [&](int64_t b, int thread) {
      f(runners_[static_cast<std::size_t>(thread)],
        SubBatch{b * p_.sub_batch_rows * row, b * e.channels, p_.sub_batch_rows * e.inner});
    });
    if (!last_) return;
    f(*last_, SubBatch{full_ * p_.sub_batch_rows * row, full_ * e.channels, p_.last_rows() * e.inner});
  }

 private:
  math::Partition p_;
  int64_t full_;  ///< sub-batches of sub_batch_rows rows
  std::deque<PassRunner<T>> runners_;
  std::optional<PassRunner<T>> last_;
};

/// Adds the parts of each parameter, sub-batch after sub-batch: add(k) adds part k to add.sum[k - add.first].
template <class P, class Add>
void sum_over_sub_batches(const math::Partition& p, std::span<P> out, Add add) {
  if (out.empty()) return;
  std::fill_n(add.sum, p.parameters, 0.0);
  p.for_parameters(0, p.parts(), [&](std::int64_t begin, std::int64_t end, std::int64_t first) {
    add.first = first;
    for_channels(begin, end, add);
  });
  store_if_wanted(add.sum, out);
}

}  // namespace unitvar::cpu
