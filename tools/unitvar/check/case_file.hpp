#pragma once
#include <map>
#include <string>

#include "check/npy.hpp"
#include "check/options.hpp"
#include "unitvar/diagnose.hpp"

namespace unitvar::check {

/// The arrays of a user's file as a case; it looks into `arrays`. Throws UsageError for a name that is not known, and
/// for what is missing.
DiagnosisCase case_of(const std::map<std::string, Array>& arrays, const Options& options);

}  // namespace unitvar::check
