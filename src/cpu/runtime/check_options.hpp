#pragma once
#include "core/arguments.hpp"
#include "unitvar/options.hpp"

namespace unitvar::cpu {

/// The CPU's part of a call's options, in the name of the operation that `check` is of.
void check_options(const core::Arguments& check, const Options& options);

}  // namespace unitvar::cpu
