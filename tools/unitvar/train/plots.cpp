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
set key bmargin center horizontal Left reverse samplen 2.5 height 1.2 width 1 maxcols 2
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
  // A little wider, or the first tick falls off by rounding; for one step, wide enough for the ticks beside it.
  const double wider = first == last ? 3 : 1.03;
  return step_ticks() +
         fmt::format("set xrange [{}:{}]\n", static_cast<double>(first) / wider, static_cast<double>(last) * wider);
}

// A dot on the curve; the legend says what it is, since beside the curve the text may be cut or cover another.
std::string mark_80_percent(const NetworkHistory& history) {
  const auto step = steps_to(history.rows, 0.8);
  if (!step) return "";
  const auto row = std::ranges::find(history.rows, *step, &HistoryRow::step);
  return fmt::format("set label '' at {}, {} point pt 7 ps 2 lc rgb {}_color front\n", *step, 100 * row->test_accuracy,
                     history.network);
}

std::string legend_of(const NetworkHistory& history) {
  const auto step = steps_to(history.rows, 0.8);
  return title_of(history.network) + (step ? fmt::format(" (dot: 80 % at step {})", count_text(*step)) : "");
}

// Why a curve is none, or is no longer one: for those who see the picture alone.
std::vector<std::string> reasons(const NetworkHistory& history) {
  std::vector<std::string> lines;
  const auto& rows = history.rows;
  if (rows.size() == 1) lines.push_back(fmt::format("one evaluation, at step {}", count_text(rows.front().step)));
  const auto diverged = std::ranges::find_if(rows, [](const auto& row) { return !std::isfinite(row.train_loss); });
  if (diverged != rows.end()) {
    lines.push_back(fmt::format("the loss is not finite from step {} on", count_text(diverged->step)));
  }
  return lines;
}

// Line `place` of the text at the top left of a panel.
std::string note(const std::string& text, const std::string& network, std::size_t place) {
  return fmt::format("set label '{}' at graph 0.02, graph 0.95 offset 0,{} left tc rgb {}_color front\n", text,
                     -1.4 * static_cast<double>(place), network);
}

std::string notes_on_accuracy(const Histories& histories) {
  std::string script;
  std::size_t place = 0;
  for (const NetworkHistory& history : histories) {
    for (const std::string& reason : reasons(history)) {
      script += note(title_of(history.network) + ": " + reason, history.network, place++);
    }
  }
  return script;
}

// A line through one point is not seen.
std::string style_of(const NetworkHistory& history) {
  const char* style = history.rows.size() == 1 ? "points pt 7 ps 1.3" : "lines lw 2";
  return fmt::format("{} lc rgb {}_color", style, history.network);
}

std::string accuracy_script(const Histories& histories, const PlotText& text) {
  std::string script = prologue + step_axis(histories);
  script += fmt::format(
      "set title \"{{/=15 Test accuracy over training steps}}\\n{{/=11 {}}}\" tc rgb '#111111'\n"
      "set ylabel 'test accuracy (%)'\n"
      "set yrange [0:100]\n"
      "set ytics 10\n",
      text.setup);
  for (const NetworkHistory& history : histories) script += mark_80_percent(history);
  script += notes_on_accuracy(histories);
  std::string separator = "plot ";
  for (const NetworkHistory& history : histories) {
    script += fmt::format("{}'history.csv' skip 1 using {}:(100 * $4) with {} title '{}'", separator,
                          steps_of(history.network), style_of(history), legend_of(history));
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

std::string percentile_curves(const std::string& network) {
  return fmt::format(
      "plot 'percentiles.csv' skip 1 using {0}:3:5 with filledcurves fs transparent solid 0.18 noborder"
      " lc rgb {1}_color title '15th to 85th percentile', \\\n"
      "     '' skip 1 using {0}:3 with lines lw 1 lc rgb {1}_color notitle, \\\n"
      "     '' skip 1 using {0}:5 with lines lw 1 lc rgb {1}_color notitle, \\\n"
      "     '' skip 1 using {0}:4 with lines lw 2.5 lc rgb {1}_color title 'median'\n",
      steps_of(network), network);
}

std::string percentile_bar(const std::string& network) {
  return fmt::format(
      "plot 'percentiles.csv' skip 1 using {}:4:3:5 with yerrorbars pt 7 ps 1.3 lw 2 lc rgb {}_color"
      " title 'median, 15th to 85th percentile'\n",
      steps_of(network), network);
}

std::string percentiles_panel(const NetworkHistory& history) {
  std::string script =
      fmt::format("set title '{}' font ',13' tc rgb '#111111'\nunset label\n", title_of(history.network));
  std::size_t place = 0;
  for (const std::string& reason : reasons(history)) script += note(reason, history.network, place++);
  return script + (history.rows.size() == 1 ? percentile_bar(history.network) : percentile_curves(history.network));
}

std::string percentiles_script(const Histories& histories, const PlotText& text) {
  std::string script = prologue + step_axis(histories) + percentile_range(histories);
  script += fmt::format(
      "set ylabel 'input to the {0}'\n"
      "set multiplot layout 1,{1} title \"{{/=15 Input to one {0} of the last hidden layer}}\\n{{/=11 {2}}}\"\n",
      text.activation, histories.size(), text.setup);
  for (const NetworkHistory& history : histories) script += percentiles_panel(history);
  return script + "unset multiplot\n";
}

}  // namespace

void draw_plots(const OutputFolder& folder, const Histories& histories, const PlotText& text) {
  // One panel is wide enough for the title of both.
  const int width = histories.size() == 1 ? 700 : 1120;
  tool::draw_with_gnuplot(folder.path(), {"accuracy", accuracy_script(histories, text), 900, 560});
  tool::draw_with_gnuplot(folder.path(), {"percentiles", percentiles_script(histories, text), width, 480});
}

}  // namespace unitvar::train
