#include "check/plot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "common/failure.hpp"
#include "common/gnuplot.hpp"

namespace unitvar::check {
namespace {

constexpr double kMostDigits = 17;  // of a double

/// A line each: the number of the bar from above, digits kept, digits wanted, and 0 for wrong, 1 for right, 2 for
/// hidden.
std::string data_of(const Diagnosis& found) {
  std::string text = "$tensors << EOD\n";
  for (std::size_t k = 0; k < found.tensors.size(); ++k) {
    const DiagnosedTensor& t = found.tensors[k];
    const double wanted = std::clamp(-std::log10(t.tolerance), 0.0, kMostDigits);
    text += fmt::format("{} {:.4g} {:.4g} {}\n", k, t.digits, wanted, t.right ? 1 : t.hidden ? 2 : 0);
  }
  return text + "EOD\n";
}

std::string names_of(const Diagnosis& found) {
  std::string text;
  for (std::size_t k = 0; k < found.tensors.size(); ++k) {
    text += fmt::format("{}\"{}\" {}", k == 0 ? "" : ", ", tool::without_indices(found.tensors[k].name), k);
  }
  return text;
}

// Right and wrong differ for colour-blind readers, too.
std::string bars_of(int verdict, const char* colour, const char* title) {
  return fmt::format(
      "$tensors using (0):0:(0):($4 == {} ? $2 : NaN):($0 - 0.35):($0 + 0.35) with boxxyerror lc rgb '{}' title '{}', "
      "\\\n",
      verdict, colour, title);
}

std::string bars_of(const Diagnosis& found) {
  const bool hidden = std::ranges::any_of(found.tensors, [](const DiagnosedTensor& t) { return t.hidden; });
  return "plot " + bars_of(1, "#009E73", "right") + bars_of(0, "#D55E00", "wrong") +
         (hidden ? bars_of(2, "#999999", "hidden by rounding") : "") +
         "$tensors using 3:($0 - 0.42):(0):(0.84) with vectors nohead lw 3 lc rgb '#222222' title 'wanted, on these "
         "data'\n";
}

}  // namespace

void check_plot_name(const std::filesystem::path& path) {
  if (tool::is_picture_name(path)) return;
  throw tool::UsageError("--plot is '{}', want a name that ends in .png or .svg", path.string());
}

void draw(const std::filesystem::path& path, const Diagnosis& found) {
  const auto count = static_cast<int>(found.tensors.size());
  const std::string script =
      data_of(found) +
      fmt::format(
          "set style fill solid 0.85 noborder\nset border 3 lc rgb '#555555'\nset tics nomirror out\n"
          "set grid xtics lc rgb '#DDDDDD' lw 1 lt 1\nset key outside bottom center horizontal samplen 1 maxrows 1 "
          "width -3 font ',10'\n"
          "set title '{}' font ',13'\nset xrange [0:{}]\n"
          "set yrange [{}.5:-0.5]\nset ytics ({})\n",
          found.right ? "All given results are right: decimal digits kept" : "Decimal digits that each result keeps",
          kMostDigits, count - 1, names_of(found)) +
      bars_of(found);
  constexpr int kWidth = 640, kFrame = 150, kBar = 34;
  tool::draw_with_gnuplot(path.parent_path(), {path.stem().string(), script, kWidth, kFrame + kBar * count},
                          {path.extension().string().substr(1)});
}

}  // namespace unitvar::check
