#pragma once
#include "bench/options.hpp"

namespace unitvar::bench {

/// `unitvar bench`: measures, prints a table and totals, writes the files asked for. Returns the exit code; throws
/// UsageError or Failure.
int run(const Request& request);

}  // namespace unitvar::bench
