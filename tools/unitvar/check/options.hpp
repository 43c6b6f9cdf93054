#pragma once
#include <cstdint>
#include <optional>
#include <string>

namespace unitvar::check {

/// What `unitvar check` is asked for.
struct Options {
  std::string file;
  std::string op = "batch_norm", layout = "channels_first";
  std::optional<std::string> dtype;  ///< of the computation; else the least precise one in the file
  std::int64_t groups = 32;
  double eps = 1e-5, momentum = 0.1;
  bool relu = false, inference = false, mistakes = false, self = false;
  std::optional<std::string> json;  ///< a file, or "-"
  std::optional<std::string> plot;  ///< a .png or .svg file
};

}  // namespace unitvar::check
