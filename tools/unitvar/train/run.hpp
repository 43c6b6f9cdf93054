#pragma once
#include "train/options.hpp"

namespace unitvar::train {

/// The whole of `unitvar train`: reads the data, trains, writes everything into --out. Returns the exit code: 0, or
/// 128 + the signal that stopped it. Throws Failure or UsageError before anything is written where it can.
int run(const Options& options);

}  // namespace unitvar::train
