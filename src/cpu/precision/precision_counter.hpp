#pragma once
#include <atomic>
#include <cstdint>

#include "unitvar/options.hpp"

namespace unitvar::cpu {

/// Adds to the counts of a call, which its threads share; once a phase of a tile, or of a batch of rows. The order of
/// threads does not matter: integers are added. Without counts it does nothing.
class PrecisionCounter {
 public:
  explicit PrecisionCounter(PrecisionCounts* counts) noexcept : counts_(counts) {}

  /// So many channels or rows were summed, of these `again` a second time, in double.
  void sums(std::int64_t total, std::int64_t again) const noexcept {
    if (counts_ == nullptr) return;
    add(counts_->sums, total);
    add(counts_->sums_again, again);
  }
  /// So many were mapped to y, dx or another result, of these `in_double` in double instead of float.
  void maps(std::int64_t total, std::int64_t in_double) const noexcept {
    if (counts_ == nullptr) return;
    add(counts_->maps, total);
    add(counts_->maps_in_double, in_double);
  }

 private:
  static void add(std::int64_t& count, std::int64_t n) noexcept {
    if (n != 0) std::atomic_ref(count).fetch_add(n, std::memory_order_relaxed);
  }

  PrecisionCounts* counts_;
};

}  // namespace unitvar::cpu
