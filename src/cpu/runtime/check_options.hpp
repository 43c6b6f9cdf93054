#pragma once
#include "core/arguments.hpp"
#include "unitvar/options.hpp"

namespace unitvar::cpu {

/// Checks the CPU's part of a call's options. Messages begin with the operation of `check`, whose arguments `counts`
/// may not overlap.
void check_options(const core::Arguments& check, const Options& options);

}  // namespace unitvar::cpu
