#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "bench/shape.hpp"

namespace unitvar::bench {

/// The tensors that a network normalizes.
struct Suite {
  std::string name;
  std::vector<Shape> shapes;
};

/// The suites that are built in: "resnet_50" and "densenet_121", "rows", "groups", and "default", a short one for a
/// first look.
[[nodiscard]] const std::vector<Suite>& built_in_suites();

/// Reads a CSV file with the header n,c,d,h,w,count and a shape a line; its name is that of the file. Line ends
/// of any system, a byte order mark and blank lines are as good as none. Throws Failure naming file, line, value seen
/// and value wanted.
[[nodiscard]] Suite read_suite(const std::filesystem::path& path);

/// What --shapes asks for: a built-in name or a CSV file. Throws UsageError for a name that is neither, or Failure.
[[nodiscard]] Suite find_suite(const std::string& name_or_path);

}  // namespace unitvar::bench
