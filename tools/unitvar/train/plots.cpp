#include "train/plots.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/gnuplot.hpp"
#include "train/monitor.hpp"

namespace unitvar::train {
namespace {

using Histories = std::vector<NetworkHistory>;

// The two networks keep these colours, safe for colour-blind readers, in every picture.
constexpr const char* prologue = R"gnuplot(set datafile separator ','
batch_color = '#0072B2'
none_color = '#D55E00'
set border 3 lc rgb '#555555'
set tics nomirror out tc rgb '#222222'
set grid xtics ytics lc rgb '#DDDDDD' lw 1 lt 1
set logscale x
set xlabel 'training steps (logarithmic)'
)gnuplot";

std::string title_of(const std::string& network) {
  return network == "batch" ? "with batch normalization" : "without normalization";
}

std::string steps_of(const std::string& network) { return fmt::format("(strcol(1) eq '{}' ? $2 : NaN)", network); }

// Ticks like 1,000 read easier than 10^3; gnuplot writes the comma only in locales that have one.
std::string step_ticks() {
  std::string ticks;
  for (std::int64_t decade = 1; decade <= 1'000'000'000; decade *= 10) {
    ticks += fmt::format("{}'{}' {}", ticks.empty() ? "" : ", ", count_text(decade), decade);
    for (int i = 2; i <= 9; ++i) ticks += fmt::format(", '' {} 1", i * decade);
  }
  return "set xtics (" + ticks + ")\n";
}

std::string step_axis(const Histories& histories) {
  std::int64_t first = std::numeric_limits<std::int64_t>::max();
  std::int64_t last = 1;
  for (const NetworkHistory& history : histories) {
    first = std::min(first, history.rows.front().step);
    last = std::max(last, history.rows.back().step);
  }
  // A little wider, or the first tick falls off by rounding.
  return step_ticks() + fmt::format("set xrange [{}*0.97:{}*1.03]\n", first, last);
}

// Left above the curve for the network with normalization, right below it for the one without: clear of each other.
std::string mark_80_percent(const NetworkHistory& history) {
  const auto step = steps_to(history.rows, 0.8);
  if (!step) return "";
  const auto row = std::ranges::find(history.rows, *step, &HistoryRow::step);
  return fmt::format(
      "set label '80 % at step {0}' at {1}, {2} {3} tc rgb {4}_color point pt 7 ps 1.3 lc rgb {4}_color front\n",
      count_text(*step), *step, 100 * row->test_accuracy,
      history.network == "batch" ? "right offset -0.8,0.9" : "left offset 0.8,-1.1", history.network);
}

std::string accuracy_script(const Histories& histories, const PlotText& text) {
  std::string script = prologue + step_axis(histories);
  script += fmt::format(
      "set title \"{{/=15 Test accuracy over training steps}}\\n{{/=11 {}}}\" tc rgb '#111111'\n"
      "set ylabel 'test accuracy (%)'\n"
      "set yrange [0:100]\n"
      "set ytics 10\n"
      "set key bottom right Left reverse samplen 2.5 spacing 1.3 opaque\n",
      text.setup);
  for (const NetworkHistory& history : histories) script += mark_80_percent(history);
  std::string separator = "plot ";
  for (const auto& [network, rows] : histories) {
    script += fmt::format("{}'history.csv' skip 1 using {}:(100 * $4) with lines lw 2 lc rgb {}_color title '{}'",
                          separator, steps_of(network), network, title_of(network));
    separator = ", \\\n     ";
  }
  return script + "\n";
}

// One scale for all panels: the point is how far the values wander.
std::string percentile_range(const Histories& histories) {
  double low = 0, high = 0;
  for (const auto& [network, rows] : histories) {
    for (const HistoryRow& row : rows) {
      if (std::isfinite(row.percentiles.front())) low = std::min(low, row.percentiles.front());
      if (std::isfinite(row.percentiles.back())) high = std::max(high, row.percentiles.back());
    }
  }
  const double margin = 0.08 * (high - low) + 0.1;
  return fmt::format("set yrange [{}:{}]\n", low - margin, high + margin);
}

std::string percentiles_panel(const std::string& network) {
  return fmt::format(
      "set title '{0}' font ',13' tc rgb '#111111'\n"
      "plot 'percentiles.csv' skip 1 using {1}:3:5 with filledcurves fs transparent solid 0.18 noborder"
      " lc rgb {2}_color title '15th to 85th percentile', \\\n"
      "     '' skip 1 using {1}:3 with lines lw 1 lc rgb {2}_color notitle, \\\n"
      "     '' skip 1 using {1}:5 with lines lw 1 lc rgb {2}_color notitle, \\\n"
      "     '' skip 1 using {1}:4 with lines lw 2.5 lc rgb {2}_color title 'median'\n",
      title_of(network), steps_of(network), network);
}

std::string percentiles_script(const Histories& histories, const PlotText& text) {
  std::string script = prologue + step_axis(histories) + percentile_range(histories);
  script += fmt::format(
      "set ylabel 'input to the {0}'\n"
      "set key top left Left reverse samplen 2.5\n"
      "set multiplot layout 1,{1} title \"{{/=15 Input to one {0} of the last hidden layer}}\\n{{/=11 {2}}}\"\n",
      text.activation, histories.size(), text.setup);
  for (const NetworkHistory& history : histories) script += percentiles_panel(history.network);
  return script + "unset multiplot\n";
}

}  // namespace

void draw_plots(const OutputFolder& folder, const Histories& histories, const PlotText& text) {
  const int panels = static_cast<int>(histories.size());
  tool::draw_with_gnuplot(folder.path(), {"accuracy", accuracy_script(histories, text), 900, 560});
  tool::draw_with_gnuplot(folder.path(), {"percentiles", percentiles_script(histories, text), 560 * panels, 480});
}

}  // namespace unitvar::train
