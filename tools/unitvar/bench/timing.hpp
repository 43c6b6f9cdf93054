#pragma once
#include <cstddef>
#include <vector>

#include "bench/rival.hpp"

namespace unitvar::bench {

/// Seconds of one call: the median over the rounds and the quartiles around it.
struct Spread {
  double median = 0, low = 0, high = 0;
};

/// The time that one rival took.
struct Timing {
  Spread seconds;    ///< over the turns that nothing interrupted, or over all if those are too few
  double disturbed;  ///< the part of the turns in which the system gave a processor to others
};

/// One of those who take turns.
struct Turn {
  const Work* work;
  int calls;     ///< in one turn, so that it lasts long enough for the clock
  bool warm_up;  ///< one more call before them, untimed, where that costs little
};

/// Warms up, then takes the shortest of a few calls: a first idea of how long one takes.
[[nodiscard]] double quick_seconds(const Work& work);

/// The turn of work that takes about `seconds` a call.
[[nodiscard]] Turn make_turn(const Work& work, double seconds);

/// Runs rounds in which each rival has its turn, so that other load on the machine falls on all of them. The order
/// changes from round to round, so that no rival always finds the cache as the same other one left it.
[[nodiscard]] std::vector<Timing> time_in_rounds(const std::vector<Turn>& turns, int rounds);

}  // namespace unitvar::bench
