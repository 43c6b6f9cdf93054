#pragma once
#include <sstream>
#include <string>
#include <vector>

#include "cli/files.hpp"

namespace unitvar::testing {

/// The lines of a CSV file, cut into cells.
inline std::vector<std::vector<std::string>> read_csv(const fs::path& path) {
  std::vector<std::vector<std::string>> table;
  std::istringstream file(read_bytes(path));
  for (std::string line; std::getline(file, line);) {
    std::istringstream cells(line);
    table.emplace_back();
    for (std::string cell; std::getline(cells, cell, ',');) table.back().push_back(cell);
  }
  return table;
}

/// Everything of a finished run in a folder that does not depend on time.
struct RunResult {
  std::string batch, none;  ///< the models, byte by byte
  std::vector<std::vector<std::string>> history;
  std::string percentiles;

  explicit RunResult(const fs::path& out)
      : batch(read_bytes(out / "model-batch.safetensors")),
        none(read_bytes(out / "model-none.safetensors")),
        history(read_csv(out / "history.csv")),
        percentiles(read_bytes(out / "percentiles.csv")) {
    for (auto& row : history) row.pop_back();
  }
  bool operator==(const RunResult&) const = default;
};

}  // namespace unitvar::testing
