#pragma once
#include <string>
#include <vector>

#include "train/output_folder.hpp"

namespace unitvar::train {

/// Writes accuracy.png and .svg from history.csv, and percentiles.png and .svg from percentiles.csv, by gnuplot; the
/// scripts stay in the folder as NAME.gnuplot for those who want other pictures. `networks` are those the files hold.
/// Throws Failure if gnuplot is missing or fails.
void draw_plots(const OutputFolder& folder, const std::vector<std::string>& networks);

}  // namespace unitvar::train
