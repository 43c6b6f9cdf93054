#pragma once
#include <filesystem>
#include <vector>

#include "bench/row.hpp"

namespace unitvar::bench {

/// Where the script of a picture stands that is drawn to `path`.
[[nodiscard]] std::filesystem::path script_path(const std::filesystem::path& path);

/// Draws the fractions of the roofline and, if it ran, the ratios to oneDNN as bars. Each shape is a group of bars;
/// each layout, dtype and thread count is a column of panels. `path` ends in .png or .svg, and the script stays beside
/// it as .gnuplot. "-" is a PNG on standard output. Throws Failure if gnuplot is missing or fails.
void draw_bars(const std::filesystem::path& path, const std::vector<Row>& rows, const Plan& plan);

}  // namespace unitvar::bench
