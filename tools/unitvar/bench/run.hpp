#pragma once
#include "bench/options.hpp"

namespace unitvar::bench {

/// `unitvar bench`: measures, prints a table and totals, writes the files asked for. Returns the exit code: 0, or 1 if
/// rows are slower than in the file of --compare, or 128 + the signal that stopped it, after which the rows it had are
/// printed and written. Throws UsageError or Failure.
int run(const Request& request);

}  // namespace unitvar::bench
