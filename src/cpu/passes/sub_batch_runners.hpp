#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>

#include "cpu/passes/pass_runner.hpp"
#include "math/partition.hpp"

namespace unitvar::cpu {

/// Equal sub-batches that one PassRunner takes: their first element and part, how many parts they have, and the values
/// of each of these.
struct SubBatches {
  std::int64_t element;
  std::int64_t part, parts;
  std::int64_t values;
};

/// What the whole sub-batches of a partition are scheduled from.
inline ScheduleInput schedule_input(const math::Partition& partition, const Options& options,
                                    std::int64_t bytes_per_element, std::int64_t tensors_read) {
  ScheduleInput input = schedule_input(options, bytes_per_element, tensors_read);
  input.group_channels = partition.group_parts;
  input.sub_batches = partition.whole_sub_batches();
  input.tensor_bytes = partition.extent.size() * bytes_per_element;
  return input;
}

/// PassRunners for the sub-batches of a partition: one for all that are equal, and one for the last if it is shorter.
template <class T>
class SubBatchRunners {
 public:
  SubBatchRunners(const math::Partition& p, const Options& options, std::int64_t tensors_read) {
    const Extent each = p.whole_sub_batch(), last = p.last_sub_batch();
    const std::int64_t whole = p.whole_sub_batches(), parts = whole * p.extent.channels;
    ScheduleInput input = schedule_input(p, options, sizeof(T), tensors_read);
    if (whole > 0) {
      whole_.emplace(input, options.cpu, each,
                     SubBatches{.element = 0, .part = 0, .parts = parts, .values = each.count()});
    }
    if (p.last_rows() == 0) return;
    input.sub_batches = 1;
    last_.emplace(
        input, options.cpu, last,
        SubBatches{.element = whole * each.size(), .part = parts, .parts = last.channels, .values = last.count()});
  }

  /// Calls f(runner, sub_batches) for all equal sub-batches, and for the shorter one.
  template <class F>
  void for_each(const F& f) {
    for (std::optional<Equal>* equal : {&whole_, &last_}) {
      if (*equal) f((*equal)->runner, (*equal)->of);
    }
  }

 private:
  struct Equal {
    Equal(const ScheduleInput& input, const CpuOptions& cpu, const Extent& sub_batch, const SubBatches& all)
        : runner(sub_batch, input, cpu), of(all) {}

    PassRunner<T> runner;
    SubBatches of;
  };

  std::optional<Equal> whole_, last_;
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
