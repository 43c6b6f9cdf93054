#pragma once
#include <ostream>

#include "support/run.hpp"
#include "unitvar/options.hpp"

/// What calls say of how often they left float.
namespace unitvar {

// NOLINTNEXTLINE(readability-identifier-naming): the name that GoogleTest looks for.
inline void PrintTo(const PrecisionCounts& c, std::ostream* to) {
  *to << c.sums_again << " of " << c.sums << " sums again, " << c.maps_in_double << " of " << c.maps
      << " maps in double";
}

}  // namespace unitvar

namespace unitvar::test {

/// What `call` counts on one thread.
template <class Call>
PrecisionCounts counts_of(const Call& call) {
  PrecisionCounts counts;
  call(Options{.cpu = {.threads = 1, .counts = &counts}});
  return counts;
}

template <class Problem>
PrecisionCounts counts_of_forward(const Problem& p) {
  return counts_of([&](const Options& options) { run_forward(p, options); });
}
template <class Problem>
PrecisionCounts counts_of_backward(const Problem& p) {
  const auto forward = run_forward(p);
  if constexpr (requires { forward.var; }) {
    return counts_of([&](const Options& options) { run_backward(p, forward.mean, forward.rstd, options); });
  } else {
    return counts_of([&](const Options& options) { run_backward(p, forward, options); });
  }
}

}  // namespace unitvar::test
