#pragma once
#include <filesystem>

#include "unitvar/diagnose.hpp"

namespace unitvar::check {

/// Throws UsageError unless the name ends in .png or .svg.
void check_plot_name(const std::filesystem::path& path);

/// Draws a bar for each tensor: the decimal digits that it keeps, and where its tolerance is. Also writes the script,
/// NAME.gnuplot. Throws Failure.
void draw(const std::filesystem::path& path, const Diagnosis& found);

}  // namespace unitvar::check
