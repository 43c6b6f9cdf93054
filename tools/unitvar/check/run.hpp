#pragma once
#include "check/options.hpp"

namespace unitvar::check {

/// Checks a case. The exit code: 0 if all its results are right, 1 if one is wrong. Throws UsageError for what cannot
/// be read.
int run(const Options& options);

}  // namespace unitvar::check
