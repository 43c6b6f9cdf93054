#pragma once
#include "action.hpp"

namespace unitvar::cli {

/// Adds `unitvar train`; sets `action` when it is chosen.
void add_train_command(CLI::App& app, Action& action);

}  // namespace unitvar::cli
