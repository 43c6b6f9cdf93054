#pragma once
#include <cstddef>
#include <cstdint>

#include "core/workspace.hpp"
#include "cpu/passes/any_pass.hpp"
#include "cpu/plan/schedule.hpp"

namespace unitvar::cpu {

/// Walks the items of a schedule, for passes as passes.hpp describes them: a first pass that reduces each item to a
/// pair of numbers per channel, a merge per block of channels, and a second pass over the items. A resident walk takes
/// the second pass of one block together with the first of the next, so that memory is read and written all the time; a
/// streamed one goes back in reverse, so that what was read last is read first. Owns the memory for the pairs;
/// allocates once, before any thread starts.
class Traversal {
 public:
  explicit Traversal(const Schedule& schedule);

  /// What follows is of channels [begin, end) alone. Not for groups of channels.
  void select(std::int64_t begin, std::int64_t end) noexcept {
    first_ = begin;
    last_ = end;
  }

  /// First pass and merge.
  void reduce(const AnyPass& pass) { reduce_blocks(pass, false); }
  /// The same, and what stands between the passes.
  void reduce_and_finish(const AnyPass& passes);
  /// Second pass alone, over all items.
  void apply(const AnyPass& pass);
  /// From the last item to the first: what was read last is read first.
  void apply_in_reverse(const AnyPass& pass);
  /// Both passes.
  void reduce_and_apply(const AnyPass& passes);

 private:
  struct Position {
    std::int64_t block, run, tile;
  };

  [[nodiscard]] Position position(std::int64_t index) const noexcept;
  [[nodiscard]] std::int64_t blocks() const noexcept;
  [[nodiscard]] std::int64_t items() const noexcept;
  /// The channels of a block begin at begin_of(block) and end at begin_of(block + 1).
  [[nodiscard]] std::int64_t begin_of(std::int64_t block) const noexcept;
  /// Runs of this block: the last block may have fewer than the others.
  [[nodiscard]] std::int64_t runs(std::int64_t block) const noexcept;
  [[nodiscard]] WorkItem item(std::int64_t block, std::int64_t run, std::int64_t t, int thread) const noexcept;
  /// The slab of a thread for this block, if resident: it has two.
  [[nodiscard]] static std::int64_t slab(std::int64_t block, int thread) noexcept {
    return std::int64_t{2} * thread + block % 2;
  }
  [[nodiscard]] math::ChannelPairs pair(std::int64_t slab, std::int64_t run, std::int64_t t) const noexcept;

  void reduce_blocks(const AnyPass& pass, bool finishes);
  void reduce_block(std::int64_t block, int thread, const AnyPass& pass);
  void merge(std::int64_t block, std::int64_t slab, const AnyPass& pass);
  void apply_at(std::int64_t index, int thread, const AnyPass& pass) const;
  /// The second pass of a block, together with the first of the next one's `next_runs` runs.
  void apply_block(std::int64_t block, std::int64_t next_runs, int thread, const AnyPass& passes);

  const Schedule& s_;
  std::int64_t first_ = 0, last_;  // channels
  std::int64_t scratch_bytes_;
  std::int64_t slab_doubles_;
  core::Workspace pairs_;
  core::Workspace scratch_;
};

}  // namespace unitvar::cpu
