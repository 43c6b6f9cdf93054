#pragma once
#include <string>

#include "train/output_folder.hpp"

namespace unitvar::train {

struct Picture {
  std::string name;    ///< of the files, without ending
  std::string script;  ///< gnuplot commands that draw it, run in the output folder
  int width, height;   ///< points; the PNG has twice as many pixels
};

/// Writes NAME.gnuplot, NAME.png and NAME.svg; a picture appears only when it is whole. Throws Failure if gnuplot is
/// missing or fails.
void draw_with_gnuplot(const OutputFolder& folder, const Picture& picture);

}  // namespace unitvar::train
