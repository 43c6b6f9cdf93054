#include "train/plots.hpp"

#include <fmt/format.h>

#include "train/atomic_file.hpp"
#include "train/failure.hpp"
#include "train/gnuplot.hpp"

namespace unitvar::train {
namespace {

// The two networks keep these colours (safe for colour-blind readers) in every picture.
constexpr const char* prologue = R"gnuplot(
set datafile separator ','
batch_color = '#0072B2'
none_color = '#D55E00'
set border 3 lc rgb '#444444'
set tics nomirror out tc rgb '#222222'
set grid xtics ytics lc rgb '#DDDDDD' lw 1 lt 1
set logscale x
)gnuplot";

std::string title_of(const std::string& network) { return network == "batch" ? "with batch normalization" : "without"; }

std::string column_of(const std::string& network, int column) {
  return fmt::format("(strcol(1) eq '{}' ? ${} : NaN)", network, column);
}

std::string accuracy_script(const std::vector<std::string>& networks) {
  std::string script = prologue;
  script += R"gnuplot(
set title "Test accuracy on the way" font ',15' tc rgb '#111111'
set xlabel "training steps (logarithmic)"
set ylabel "test accuracy, %"
set yrange [0:100]
set ytics 10
set key bottom right samplen 3 spacing 1.3 box lc rgb '#CCCCCC' opaque
plot )gnuplot";
  for (const std::string& network : networks) {
    script += fmt::format("{}'history.csv' skip 1 using {}:(100 * $4) with lines lw 2.5 lc rgb {}_color title '{}'",
                          network == networks.front() ? "" : ", \\\n     ", column_of(network, 2), network,
                          title_of(network));
  }
  return script + "\n";
}

std::string percentiles_panel(const std::string& network) {
  const std::string step = column_of(network, 2);
  return fmt::format(
      "set title '{0}' font ',13' tc rgb '#111111'\n"
      "plot 'percentiles.csv' skip 1 using {1}:5 with lines lw 2 dt 2 lc rgb {2}_color title '85th percentile', \\\n"
      "     '' skip 1 using {1}:4 with lines lw 3 lc rgb {2}_color title 'median', \\\n"
      "     '' skip 1 using {1}:3 with lines lw 2 dt 4 lc rgb {2}_color title '15th percentile'\n",
      title_of(network), step, network);
}

std::string percentiles_script(const std::vector<std::string>& networks) {
  std::string script = prologue;
  // One scale for both panels: the point is how far the values wander.
  script += R"gnuplot(
stats 'percentiles.csv' skip 1 using 3 nooutput name 'low'
stats 'percentiles.csv' skip 1 using 5 nooutput name 'high'
margin = 0.05 * (high_max - low_min)
set yrange [low_min - margin : high_max + margin]
set xlabel "training steps (logarithmic)"
set ylabel "input to the activation"
set key top left samplen 3
)gnuplot";
  script += fmt::format("set multiplot layout 1,{} title \"Input to one unit of the last hidden layer\" font ',15'\n",
                        networks.size());
  for (const std::string& network : networks) script += percentiles_panel(network);
  return script + "unset multiplot\n";
}

}  // namespace

void draw_plots(const OutputFolder& folder, const std::vector<std::string>& networks) {
  const int panels = static_cast<int>(networks.size());
  draw_with_gnuplot(folder, {"accuracy", accuracy_script(networks), 900, 560});
  draw_with_gnuplot(folder, {"percentiles", percentiles_script(networks), 560 * panels, 460});
}

}  // namespace unitvar::train
