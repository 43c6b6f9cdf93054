#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "common/descriptor.hpp"

namespace unitvar::train {

/// The folder of --out and the names in it. Making one creates the folder, shows that it can be written, and locks it
/// against a second run for as long as it lives. Throws Failure.
class OutputFolder {
 public:
  explicit OutputFolder(const std::filesystem::path& path);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::filesystem::path file(const std::string& name) const { return path_ / name; }
  [[nodiscard]] std::filesystem::path checkpoint(const std::string& network) const;
  [[nodiscard]] std::filesystem::path model(const std::string& network) const;

  /// The name of a file that an earlier run wrote here, if there is one.
  [[nodiscard]] std::optional<std::string> holds() const;

  /// Removes what an earlier run wrote here, and nothing else, so that the folder never mixes two runs.
  void clear() const;

  /// Removes what a run that was killed had begun to write.
  void clear_unfinished() const;

 private:
  std::filesystem::path path_;
  tool::Descriptor lock_;
};

}  // namespace unitvar::train
