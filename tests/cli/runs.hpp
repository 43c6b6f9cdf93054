#pragma once
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "cli/files.hpp"
#include "train/safetensors.hpp"

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

/// All tensors of a file but those of time, as bytes.
inline std::map<std::string, std::vector<std::byte>> timeless_tensors(const fs::path& path) {
  train::SafetensorsReader reader(path);
  std::map<std::string, std::vector<std::byte>> values;
  std::vector<train::Tensor> tensors;
  for (const auto& [name, entry] : reader.entries()) {
    std::vector<std::byte>& bytes = values[name];
    bytes.resize(entry.end - entry.begin);
    tensors.push_back({name, entry.dtype, entry.shape, bytes});
  }
  reader.read(tensors);
  std::erase_if(values, [](const auto& tensor) { return tensor.first.find("seconds") != std::string::npos; });
  return values;
}

/// Everything of a finished run in a folder that does not depend on time.
struct RunResult {
  std::map<std::string, std::vector<std::byte>> batch, none;
  std::vector<std::vector<std::string>> history;
  std::string percentiles;

  explicit RunResult(const fs::path& out)
      : batch(timeless_tensors(out / "model-batch.safetensors")),
        none(timeless_tensors(out / "model-none.safetensors")),
        history(read_csv(out / "history.csv")),
        percentiles(read_bytes(out / "percentiles.csv")) {
    for (auto& row : history) row.pop_back();
  }
  bool operator==(const RunResult&) const = default;
};

}  // namespace unitvar::testing
