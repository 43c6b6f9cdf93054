#include "train/history.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "common/number.hpp"

namespace unitvar::train {

std::optional<std::int64_t> steps_to(const std::vector<HistoryRow>& rows, double accuracy) {
  const auto found = std::ranges::find_if(rows, [&](const HistoryRow& row) { return row.test_accuracy >= accuracy; });
  if (found == rows.end()) return std::nullopt;
  return found->step;
}

const HistoryRow& best_row(const std::vector<HistoryRow>& rows) {
  return *std::ranges::max_element(rows, {}, &HistoryRow::test_accuracy);
}

std::string history_csv(const std::vector<NetworkHistory>& histories) {
  std::string text = "network,step,train_loss,test_accuracy,seconds\n";
  for (const auto& [network, rows] : histories) {
    for (const HistoryRow& row : rows) {
      fmt::format_to(std::back_inserter(text), "{},{},{},{},{:.6f}\n", network, row.step,
                     tool::unsigned_nan(row.train_loss), row.test_accuracy, row.seconds);
    }
  }
  return text;
}

std::string percentiles_csv(const std::vector<NetworkHistory>& histories) {
  std::string text = "network,step,p15,p50,p85\n";
  for (const auto& [network, rows] : histories) {
    for (const HistoryRow& row : rows) {
      const auto& [p15, p50, p85] = row.percentiles;
      fmt::format_to(std::back_inserter(text), "{},{},{},{},{}\n", network, row.step, tool::unsigned_nan(p15),
                     tool::unsigned_nan(p50), tool::unsigned_nan(p85));
    }
  }
  return text;
}

}  // namespace unitvar::train
