#pragma once
#include <CLI/CLI.hpp>
#include <functional>

namespace unitvar::cli {

/// What a subcommand does once its arguments are read; returns the exit code.
using Action = std::function<int()>;

/// Adds `unitvar train`; sets `action` when it is chosen.
void add_train_command(CLI::App& app, Action& action);

}  // namespace unitvar::cli
