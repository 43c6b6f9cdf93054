#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace unitvar::train {

/// The 15th, 50th and 85th percentile.
using Percentiles = std::array<double, 3>;

/// One evaluation.
struct HistoryRow {
  std::int64_t step = 0;      ///< steps done
  double train_loss = 0;      ///< mean over the steps since the row before
  double test_accuracy = 0;   ///< 0 to 1
  double seconds = 0;         ///< spent in training steps so far
  Percentiles percentiles{};  ///< of the watched unit's input over the test images
};

/// What one network went through.
struct NetworkHistory {
  std::string network;  ///< "batch" or "none"
  std::vector<HistoryRow> rows;
};

/// The first step at which the test accuracy was at least `accuracy`.
std::optional<std::int64_t> steps_to(const std::vector<HistoryRow>& rows, double accuracy);

/// The row of the best test accuracy, the first of several; `rows` is not empty.
const HistoryRow& best_row(const std::vector<HistoryRow>& rows);

/// network,step,train_loss,test_accuracy,seconds
std::string history_csv(const std::vector<NetworkHistory>& histories);

/// network,step,p15,p50,p85
std::string percentiles_csv(const std::vector<NetworkHistory>& histories);

}  // namespace unitvar::train
