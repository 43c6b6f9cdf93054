#include "train/summary.hpp"

#include <fmt/format.h>

#include <functional>

#include "train/monitor.hpp"

namespace unitvar::train {
namespace {

using Cell = std::function<std::string(const NetworkSummary&)>;

std::string steps_cell(const NetworkSummary& network, double accuracy) {
  const auto step = steps_to(network.state.rows, accuracy);
  return step ? count_text(*step) : "never";
}

std::string best_cell(const NetworkSummary& network) {
  const HistoryRow& best = best_row(network.state.rows);
  return fmt::format("{:.2f} % at {}", 100 * best.test_accuracy, count_text(best.step));
}

std::string final_cell(const NetworkSummary& network) {
  const HistoryRow& last = network.state.rows.back();
  return fmt::format("{:.2f} % at {}", 100 * last.test_accuracy, count_text(last.step));
}

std::string step_time_cell(const NetworkSummary& network) {
  return fmt::format("{:.3f}", 1e3 * network.state.train_seconds / static_cast<double>(network.state.step));
}

std::string norm_cell(const NetworkSummary& network, double NormSeconds::*seconds) {
  return network.network == "batch" ? fmt::format("{:.2f}", network.state.norm_seconds.*seconds) : "-";
}

std::vector<std::pair<std::string, Cell>> table_rows() {
  std::vector<std::pair<std::string, Cell>> rows = {{"network", [](const auto& network) { return network.network; }}};
  for (int percent : {70, 75, 80, 85}) {
    rows.emplace_back(fmt::format("steps to {} % test accuracy", percent),
                      [percent](const auto& network) { return steps_cell(network, percent / 100.0); });
  }
  rows.emplace_back("best test accuracy", best_cell);
  rows.emplace_back("final test accuracy", final_cell);
  rows.emplace_back("milliseconds a training step", step_time_cell);
  rows.emplace_back("seconds in BN forward", [](const auto& n) { return norm_cell(n, &NormSeconds::forward); });
  rows.emplace_back("seconds in BN backward", [](const auto& n) { return norm_cell(n, &NormSeconds::backward); });
  return rows;
}

}  // namespace

std::string summary_table(const std::vector<NetworkSummary>& networks) {
  std::string text;
  for (const auto& [title, cell] : table_rows()) {
    std::string line = fmt::format("{:<28}", title);
    for (const NetworkSummary& network : networks) line += fmt::format("  {:>18}", cell(network));
    text += line + "\n";
  }
  return text;
}

}  // namespace unitvar::train
