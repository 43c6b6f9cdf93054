#pragma once
#include <cstddef>
#include <cstdint>

#include "core/workspace.hpp"
#include "cpu/passes/any_pass.hpp"
#include "cpu/plan/schedule.hpp"
#include "cpu/plan/shares.hpp"

namespace unitvar::cpu {

/// Walks the pieces of a schedule, for passes as passes.hpp describes them: a first pass that reduces each piece to a
/// pair of numbers per channel, a merge per block of channels, and a second pass over the pieces. Where a thread has
/// resident blocks of its own, it takes the second pass of one together with the first of the next, so that memory is
/// read and written all the time. Otherwise each thread goes back over what it summed, in reverse: what it read last is
/// in its cache. Owns the memory for the pairs; allocates once, before any thread starts.
class Traversal {
 public:
  explicit Traversal(const Schedule& schedule);

  /// What follows is of channels [begin, end) alone. For a streamed walk of one sub-batch.
  void select(std::int64_t begin, std::int64_t end) noexcept { parts_ = {begin, end}; }

  /// First pass and merge.
  void reduce(const AnyPass& pass) { reduce_blocks(pass, false); }
  /// The same, and what stands between the passes.
  void reduce_and_finish(const AnyPass& passes) { reduce_blocks(passes, true); }
  /// Second pass alone, cut as without_sums does. Threads share the tensor, so with a mask its schedule must be one
  /// that is shared, as streamed ones are.
  void apply(const AnyPass& pass) const;
  /// The same in the order that follows a first pass.
  void apply_in_reverse(const AnyPass& pass) const;
  /// Both passes.
  void reduce_and_apply(const AnyPass& passes);

 private:
  /// Where the pairs of a block are kept, and the scratch of the thread that works on it.
  struct Place {
    Range block;
    std::int64_t slab;
    std::byte* scratch;
  };
  /// A thread has two scratches, for two blocks that may be under way.
  [[nodiscard]] std::byte* scratch_of(int thread, std::int64_t k) const noexcept;
  /// A thread's own block, the k-th of those that it takes: two may be under way.
  [[nodiscard]] Place place(Range block, int thread, std::int64_t k) const noexcept;
  [[nodiscard]] math::ChannelPairs pair(const Place& at, std::int64_t part, std::int64_t t) const noexcept;

  void reduce_blocks(const AnyPass& pass, bool finishes);
  /// By all threads together.
  void reduce_together(Range block, const AnyPass& pass, bool finishes);
  void apply_together(const Cells& cells, const AnyPass& pass, bool in_reverse) const;
  /// By one thread.
  void reduce_share(const Place& at, const Cells& cells, Range share, const AnyPass& pass) const;
  void apply_share(std::byte* scratch, const Cells& cells, Range share, const AnyPass& pass, bool in_reverse) const;
  /// The merge of channels [begin, end) of a block's sub-batch, and perhaps what stands between the passes.
  void merge(const Place& at, Range parts, const AnyPass& pass, bool finishes) const;
  void walk_resident(Range parts, int thread, const AnyPass& passes) const;
  void walk_streamed(Range parts, int thread, const AnyPass& passes) const;
  /// The second pass of a block, together with the first of the next one, which may be empty.
  void apply_and_reduce(const Place& at, const Place& next, const AnyPass& passes) const;

  const Schedule& s_;
  Range parts_;
  std::int64_t width_;  ///< channels of a block in a sub-batch, at most
  std::int64_t scratch_bytes_;
  std::int64_t slab_doubles_;
  core::Workspace pairs_;
  core::Workspace scratch_;
};

}  // namespace unitvar::cpu
