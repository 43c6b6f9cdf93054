#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "bench/machine.hpp"
#include "bench/options.hpp"

namespace unitvar::bench {

/// An earlier measurement of one row.
struct OldRow {
  RowKey key;
  std::int64_t count;
  std::string suite;
  double fraction;
  std::optional<double> onednn_same, onednn_best;  ///< its time over ours
};

/// What an earlier run measured.
struct Baseline {
  std::string path;
  std::string date;
  Machine machine;
  std::optional<std::string> onednn;  ///< its version
  std::vector<OldRow> rows;

  /// The measurement of a row; null if there is none.
  [[nodiscard]] const OldRow* find(const RowKey& key) const;
};

/// Reads a file of --json, or of bench/figures. Throws Failure naming file, row, value seen and value wanted.
[[nodiscard]] Baseline read_baseline(const std::filesystem::path& path);

/// Throws UsageError if the file is of another kind of machine.
void require_same_kind(const Baseline& before, const Machine& here);

/// Whether oneDNN is to take part because the file has it. Says so if it cannot.
[[nodiscard]] bool wants_onednn(const Baseline& before);

}  // namespace unitvar::bench
