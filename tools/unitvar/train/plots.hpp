#pragma once
#include <string>
#include <vector>

#include "train/history.hpp"
#include "train/output_folder.hpp"

namespace unitvar::train {

/// What the pictures say about the run.
struct PlotText {
  std::string setup;       ///< the line below the title
  std::string activation;  ///< "sigmoid", ...
};

/// Writes accuracy.png and .svg from history.csv, and percentiles.png and .svg from percentiles.csv, by gnuplot; the
/// scripts stay in the folder as NAME.gnuplot for those who want other pictures. The histories are what the two files
/// hold. Throws as draw_with_gnuplot does.
void draw_plots(const OutputFolder& folder, const std::vector<NetworkHistory>& histories, const PlotText& text);

}  // namespace unitvar::train
