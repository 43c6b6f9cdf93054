#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "common/failure.hpp"

namespace unitvar::tool {

struct Picture {
  std::string name;    ///< of the files, without ending
  std::string script;  ///< gnuplot commands that draw it, run in the output folder
  int width, height;   ///< points; a PNG has twice as many pixels
};

/// Whether a file of this name is one that gnuplot draws here: .png or .svg.
[[nodiscard]] bool is_picture_name(const std::filesystem::path& path);

/// A text whose underscores do not begin an index.
[[nodiscard]] std::string without_indices(std::string text);

/// There is no gnuplot to run.
class NoGnuplot : public Failure {
 public:
  using Failure::Failure;
};

/// The picture as a file of that ending, "png" or "svg". An empty folder is the current one. Throws NoGnuplot, or
/// Failure if gnuplot fails or what it draws is not whole.
[[nodiscard]] std::string render(const std::filesystem::path& folder, const Picture& picture,
                                 const std::string& ending);

/// Writes NAME.gnuplot and NAME with each of the endings into the folder, see write_file. Throws as render does.
void draw_with_gnuplot(const std::filesystem::path& folder, const Picture& picture,
                       const std::vector<std::string>& endings = {"svg", "png"});

}  // namespace unitvar::tool
