#pragma once
#include <string>
#include <vector>

#include "bench/rival.hpp"
#include "bench/timing.hpp"

namespace unitvar::bench {

/// What a rival runs for.
enum class Role { ours, roofline, bare_loop, onednn_same, onednn_other };

struct Contestant {
  Role role;
  Rival rival;
};

struct Result {
  Role role;
  std::string name;
  Spread seconds;
  double disturbed;  ///< part of its turns, see Timing
};

struct Results {
  int rounds;
  std::vector<Result> all;

  /// The fastest of a role; null if it has none.
  [[nodiscard]] const Result* best(Role role) const;
};

/// Times all of them in rounds: `repeat` rounds, or as many as about two seconds hold if it is 0. A quick
/// measurement comes first. Of the roofline's kernels and of the other oneDNN formats, those clearly slower than the
/// best of their kind do not take part.
[[nodiscard]] Results hold_contest(const std::vector<Contestant>& contestants, int repeat);

}  // namespace unitvar::bench
