#pragma once
#include "action.hpp"

namespace unitvar::cli {

/// Adds `unitvar check`; sets `action` when it is chosen.
void add_check_command(CLI::App& app, Action& action);

}  // namespace unitvar::cli
