#pragma once
#include <string>
#include <vector>

#include "train/checkpoint.hpp"

namespace unitvar::train {

struct NetworkSummary {
  std::string network;
  TrainingState state;
};

/// The table at the end of a run: one column a network.
std::string summary_table(const std::vector<NetworkSummary>& networks);

}  // namespace unitvar::train
