#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace unitvar::tool {

struct Picture {
  std::string name;    ///< of the files, without ending
  std::string script;  ///< gnuplot commands that draw it, run in the output folder
  int width, height;   ///< points; a PNG has twice as many pixels
};

/// Writes NAME.gnuplot and NAME with each of the endings, "png" or "svg", into the folder; a picture appears only when
/// it is whole. Throws Failure if gnuplot is missing or fails.
void draw_with_gnuplot(const std::filesystem::path& folder, const Picture& picture,
                       const std::vector<std::string>& endings = {"svg", "png"});

}  // namespace unitvar::tool
