#pragma once
#include <CLI/CLI.hpp>
#include <functional>

namespace unitvar::cli {

/// What a subcommand does once its arguments are read; returns the exit code.
using Action = std::function<int()>;

}  // namespace unitvar::cli
