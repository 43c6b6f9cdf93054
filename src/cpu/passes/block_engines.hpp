#pragma once
#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>

#include "cpu/passes/engine.hpp"
#include "math/partition.hpp"

namespace unitvar::cpu {

/// One block at work: its first element and part, and the values of each of its parts.
struct Block {
  std::int64_t element;
  std::int64_t part;
  std::int64_t values;
};

/// An Engine for the blocks of a partition. Threads work side by side on blocks if these are many, or too small to be
/// shared, and else together on one after the other. Bits do not depend on it, for an engine's do not.
template <class T>
class BlockEngines {
  using int64_t = std::int64_t;

 public:
  BlockEngines(const math::Partition& partition, const Options& options, int64_t tensors_read)
      : p_(partition), full_(p_.extent.outer / p_.block_rows) {
    ScheduleInput input = schedule_input(options, sizeof(T), tensors_read);
    input.group_channels = p_.group_parts;
    input.tensor_bytes = p_.extent.size() * static_cast<int64_t>(sizeof(T));
    const Extent block{p_.block_rows, p_.extent.channels, p_.extent.inner};
    if (p_.last_rows() > 0) last_.emplace(Extent{p_.last_rows(), block.channels, block.inner}, input, options.cpu.isa);
    if (full_ == 0) return;
    const int threads = make_schedule(p_.extent, input).threads;
    const bool side_by_side = full_ >= int64_t{4} * threads || make_schedule(block, input).threads == 1;
    if (side_by_side) input.threads = 1;
    const auto engines = side_by_side ? std::min<int64_t>(threads, full_) : 1;
    for (int64_t k = 0; k < engines; ++k) engines_.emplace_back(block, input, options.cpu.isa);
  }

  /// Calls f(engine, block) for each block.
  template <class F>
  void for_each(const F& f) {
    const Extent& e = p_.extent;
    const int64_t row = e.channels * e.inner;
    cpu::parallel_for(static_cast<int>(engines_.size()), full_, [&](int64_t b, int thread) {
      f(engines_[static_cast<std::size_t>(thread)],
        Block{b * p_.block_rows * row, b * e.channels, p_.block_rows * e.inner});
    });
    if (!last_) return;
    f(*last_, Block{full_ * p_.block_rows * row, full_ * e.channels, p_.last_rows() * e.inner});
  }

 private:
  math::Partition p_;
  int64_t full_;  ///< blocks of block_rows rows
  std::deque<Engine<T>> engines_;
  std::optional<Engine<T>> last_;
};

}  // namespace unitvar::cpu
