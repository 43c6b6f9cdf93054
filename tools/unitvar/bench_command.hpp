#pragma once
#include "action.hpp"

namespace unitvar::cli {

/// Adds `unitvar bench`; sets `action` when it is chosen.
void add_bench_command(CLI::App& app, Action& action);

}  // namespace unitvar::cli
