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

/// Draws accuracy.png and .svg from history.csv, and percentiles.png and .svg from percentiles.csv, by gnuplot. The
/// scripts stay in the folder as NAME.gnuplot, to be changed for other pictures. The histories are the content of the
/// two files. Throws as draw_with_gnuplot does.
void draw_plots(const OutputFolder& folder, const std::vector<NetworkHistory>& histories, const PlotText& text);

}  // namespace unitvar::train
