#pragma once
#include <algorithm>
#include <cstdint>
#include <exception>
#include <new>
#include <string_view>

#include "core/divide_up.hpp"
#include "core/ranks.hpp"
#include "sync/frame.hpp"
#include "unitvar/options.hpp"

namespace unitvar::sync {

/// What this rank says about a call in which all ranks take part.
struct ExchangeTerms {
  const char* operation;
  PairKind kind;
  std::int64_t channels;
  std::string_view dtype;
  double count;    ///< values of a channel here, or the sum of their weights
  double values;   ///< values that count, or 2 if there are more
  double eps = 0;  ///< of a forward
  /// The number of the first block within the call: two exchanges of one call never meet.
  std::int64_t first_block = 0;
};

/// The merge over ranks that stands between a first and a second phase. Channels are sent in blocks, a frame each, one
/// after the other. So all ranks learn of a disagreement from the same frame, and none has another frame under way.
class Exchange {
 public:
  Exchange(Communicator& ranks, const ExchangeTerms& terms) noexcept
      : ranks_(ranks), terms_(terms), most_(ranks.options().block_channels) {}

  /// Values of a channel over all ranks, once the first block has arrived.
  [[nodiscard]] double count() const noexcept { return count_; }
  [[nodiscard]] const SyncOptions& options() const noexcept { return ranks_.options(); }

  /// Runs a description of two passes (cpu/passes/passes.hpp) with the merge over ranks between them. Does the
  /// following for each block of channels [begin, end), in this order, overlapped with the neighbouring blocks:
  /// - the first pass, which gives passes.here(), the pairs of this rank;
  /// - the exchange, which gives passes.all(), those of all ranks, and their count to passes.set_count;
  /// - passes.finish(begin, end);
  /// - the second pass.
  /// With `apply_last`, or without overlap, the second pass comes once, after all exchanges. Throws Error
  /// (disagreement, too_few_values) before the first write, and Error (communication) at any time.
  template <class Traversal, class Passes>
  void reduce_and_apply(Traversal& traversal, Passes& passes, bool apply_last) {
    const auto receive = [&](std::int64_t block) {
      wait(block, passes.all());
      passes.set_count(count_);
      passes.finish(begin_of(block), end_of(block));
    };
    const auto apply = [&](std::int64_t begin, std::int64_t end) {
      passes.check();
      traversal.select(begin, end);
      traversal.apply_in_reverse(passes);
    };
    const bool overlaps = options().overlap, applies = overlaps && !apply_last;
    const std::int64_t n = blocks();
    for (std::int64_t block = 0; block < n; ++block) {
      traversal.select(begin_of(block), end_of(block));
      traversal.reduce(passes);
      if (overlaps && block > 0) receive(block - 1);
      start(block, passes.here());
      if (!overlaps) receive(block);
      if (applies && block > 0) apply(begin_of(block - 1), end_of(block - 1));
    }
    if (overlaps) receive(n - 1);
    apply(applies ? begin_of(n - 1) : 0, terms_.channels);
  }

  /// The merge alone, in place.
  void merge(math::ChannelPairs pairs) {
    for (std::int64_t block = 0; block < blocks(); ++block) {
      start(block, pairs);
      wait(block, pairs);
    }
  }

  [[nodiscard]] std::int64_t blocks() const noexcept { return core::divide_up(terms_.channels, most_); }

 private:
  [[nodiscard]] std::int64_t begin_of(std::int64_t block) const noexcept { return block * most_; }
  [[nodiscard]] std::int64_t end_of(std::int64_t block) const noexcept {
    return std::min(terms_.channels, begin_of(block + 1));
  }
  void start(std::int64_t block, math::ChannelPairs here);
  void wait(std::int64_t block, math::ChannelPairs all);

  Communicator& ranks_;
  ExchangeTerms terms_;
  std::int64_t most_;
  double count_ = 0;
};

/// Tells the other ranks, which wait for this rank's first frame, that it refuses the call, and why.
void refuse(Communicator& ranks, const char* why);

/// The same if there are others, for a caller with an error of its own, which says more than that they are out of
/// reach.
void tell_refusal(Communicator* ranks, const char* why) noexcept;

/// Returns prepare(), what a call does before its first exchange: it checks arguments, and takes all the memory that it
/// needs. If that throws and there are other ranks, they throw too.
template <class Prepare>
auto prepare_together(const Options& options, const Prepare& prepare) {
  Communicator* const ranks = core::ranks_of(options);
  try {
    return prepare();
  } catch (const std::bad_alloc&) {
    tell_refusal(ranks, "out of memory");
    throw;
  } catch (const std::exception& error) {
    tell_refusal(ranks, error.what());
    throw;
  }
}

}  // namespace unitvar::sync
