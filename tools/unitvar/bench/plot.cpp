#include "bench/plot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <string_view>

#include "bench/groups.hpp"
#include "bench/onednn.hpp"
#include "common/gnuplot.hpp"
#include "common/output_file.hpp"

namespace unitvar::bench {
namespace {

using Value = std::function<std::optional<double>(const Row&)>;

/// What a line of panels shows: a number per row, on a linear axis from 0 on, or a logarithmic one around 1.
struct Panel {
  const char* label;
  bool logarithmic;
  Value value;
};

std::vector<Panel> panels_of(const Plan& plan) {
  std::vector<Panel> panels = {
      {"fraction of\\nthe roofline", false, [](const Row& row) { return std::optional(row.roofline_fraction()); }}};
  if (plan.against_onednn) {
    const auto same = [](const Row& row) { return row.same_ratio(); };
    const auto best = [](const Row& row) { return row.best_ratio(); };
    panels.push_back({"speed / speed of oneDNN,\\nsame layout (logarithmic)", true, same});
    panels.push_back({"speed / speed of oneDNN,\\nbest layout (logarithmic)", true, best});
  }
  return panels;
}

// These stay with their pass in every panel; safe for colour-blind readers.
const char* colour_of(Pass pass) {
  switch (pass) {
    case Pass::forward:
      return "#0072B2";
    case Pass::backward:
      return "#D55E00";
    case Pass::inference:
      return "#009E73";
  }
  return "";
}

std::optional<double> number_of(const Group& group, const Shape& shape, Pass pass, const Value& value) {
  const auto found =
      std::ranges::find_if(group.rows, [&](const Row& row) { return row.shape == shape && row.pass == pass; });
  return found == group.rows.end() ? std::nullopt : value(*found);
}

std::string text_of(const std::optional<double>& number) { return number ? fmt::format("{:.4g}", *number) : "NaN"; }

// A line a shape, a column a pass.
std::string data_of(const Group& group, const Plan& plan, const Value& value, const std::string& name) {
  std::string text = "$" + name + " << EOD\n";
  for (const Shape& shape : plan.suite.shapes) {
    text += shape_text(shape);
    for (const Pass pass : plan.passes) text += " " + text_of(number_of(group, shape, pass, value));
    text += "\n";
  }
  return text + "EOD\n";
}

/// The least and the greatest number of a panel.
struct Range {
  double low, high;
};

std::optional<Range> range_of(const Panel& panel, const std::vector<Row>& rows) {
  std::optional<Range> range;
  for (const Row& row : rows) {
    const std::optional<double> number = panel.value(row);
    if (!number) continue;
    if (!range) range = {*number, *number};
    range = {std::min(range->low, *number), std::max(range->high, *number)};
  }
  return range;
}

// Ticks at 1, 2 and 5 times a power of 10, or at the powers alone where there are many.
std::string ratio_ticks(const Range& range) {
  const bool many = range.high / range.low > 1e3;
  std::string ticks;
  for (int power = -6; power <= 6; ++power) {
    for (const int digit : {1, 2, 5}) {
      const double tick = digit * std::pow(10, power);
      if (!(many && digit != 1)) ticks += fmt::format("{}'{:g}' {:g}", ticks.empty() ? "" : ", ", tick, tick);
    }
  }
  return "set ytics (" + ticks + ")\n";
}

// The same for all panels of a line, so that they can be compared. 1 is always there.
std::string value_axis(const Panel& panel, const std::vector<Row>& rows) {
  const Range range = range_of(panel, rows).value_or(Range{1, 1});
  if (!panel.logarithmic) {
    return fmt::format("unset logscale y\nset ytics autofreq\nset yrange [0:{:.4g}]\n",
                       1.1 * std::max(1.0, range.high));
  }
  const Range shown{std::min(range.low / 1.15, 0.5), std::max(range.high * 1.15, 2.0)};
  return fmt::format("set logscale y\n{}set yrange [{:.4g}:{:.4g}]\n", ratio_ticks(shown), shown.low, shown.high);
}

std::string shape_axis(const Plan& plan, bool names_below) {
  std::string ticks;
  for (std::size_t s = 0; s < plan.suite.shapes.size(); ++s) {
    ticks += fmt::format("{}'{}' {}", s == 0 ? "" : ", ", names_below ? shape_text(plan.suite.shapes[s]) : "", s);
  }
  return fmt::format("set xtics ({})\nset xrange [-0.6:{}-0.4]\n", ticks, plan.suite.shapes.size());
}

// Bars stand on 0, or on 1 where the axis is logarithmic: what is slower hangs down from it.
std::string plot_command(const Plan& plan, const Panel& panel, const std::string& name) {
  const double width = 0.8 / static_cast<double>(plan.passes.size());
  std::string text;
  for (std::size_t k = 0; k < plan.passes.size(); ++k) {
    const double left = -0.4 + width * static_cast<double>(k);
    text += fmt::format(
        "{} ${} using ($0 + {:.4f}):{}:($0 + {:.4f}):($0 + {:.4f}):({}):{} with boxxyerror lc rgb '{}' title '{}'",
        k == 0 ? "plot" : ", \\\n    ", name, left, k + 2, left + 0.04 * width, left + 0.96 * width,
        panel.logarithmic ? 1 : 0, k + 2, colour_of(plan.passes[k]), pass_name(plan.passes[k]));
  }
  return text + "\n";
}

constexpr const char* prologue = R"gnuplot(set style fill solid 0.85 noborder
set border 3 lc rgb '#555555'
set tics nomirror out tc rgb '#222222'
set xtics rotate by 40 right font ',9'
set grid ytics lc rgb '#DDDDDD' lw 1 lt 1
set arrow 1 from graph 0, first 1 to graph 1, first 1 nohead lc rgb '#333333' lw 1.5 dt 2 front
)gnuplot";

// A file's name may hold what gnuplot takes for a command or for markup, and be longer than a picture is wide.
std::string harmless(std::string name) {
  constexpr std::size_t longest = 24;
  if (name.size() > longest) name = name.substr(0, longest) + "...";
  const auto harms = [](unsigned char letter) {
    return letter < ' ' || letter > '~' ||
           std::string_view("\"'`\\{}^@&~$<").find(static_cast<char>(letter)) != std::string_view::npos;
  };
  std::ranges::replace_if(name, harms, '?');
  return tool::without_indices(std::move(name));
}

std::string title_of(const Plan& plan) {
  const std::string rival = plan.against_onednn ? " beside " + onednn_version() : "";
  return fmt::format(
      "{{/=15 {} by unitvar{}}}\\n{{/=11 suite {} on {}; higher is faster, dashed is as fast as memory{}}}",
      op_title(plan.op), rival, harmless(plan.suite.name), isa_name(plan.isa), plan.against_onednn ? " or oneDNN" : "");
}

/// Where everything stands, in points: groups in lines of as many as fit a page, each a column of panels.
class Page {
 public:
  Page(std::size_t groups, std::size_t panels, const Plan& plan)
      : panels_(static_cast<int>(panels)), column_(column_width(plan)) {
    const int count = static_cast<int>(groups), most = std::max(widest / column_, 1);
    lines_ = (count + most - 1) / most;
    columns_ = (count + lines_ - 1) / lines_;
  }

  [[nodiscard]] int width() const { return columns_ * column_; }
  [[nodiscard]] int height() const { return title + lines_ * line_height(); }

  /// Sets the margins of a group's panel.
  [[nodiscard]] std::string place(std::size_t group, std::size_t panel) const {
    const int column = static_cast<int>(group) % columns_, line = static_cast<int>(group) / columns_;
    const int top = title + line * line_height() + header + static_cast<int>(panel) * (panel_height + gap);
    const auto across = [this](int points) { return static_cast<double>(points) / width(); };
    const auto up = [this](int points) { return 1 - static_cast<double>(points) / height(); };
    return fmt::format(
        "set lmargin at screen {:.4f}\nset rmargin at screen {:.4f}\nset tmargin at screen {:.4f}\n"
        "set bmargin at screen {:.4f}\n",
        across(column * column_ + left), across((column + 1) * column_ - right), up(top), up(top + panel_height));
  }

 private:
  static constexpr int widest = 1'800, narrowest_column = 580;
  static constexpr int title = 40, header = 80, panel_height = 180, gap = 30, footer = 85;
  static constexpr int left = 115, right = 15, least_of_a_name = 16, most_of_a_bar = 11, least_of_a_bar = 6;

  // Bars grow thin before the page grows wide.
  static int column_width(const Plan& plan) {
    const auto shapes = static_cast<int>(plan.suite.shapes.size()), bars = static_cast<int>(plan.passes.size()) + 1;
    const int fair = shapes * std::max(least_of_a_name, most_of_a_bar * bars);
    const int thin = shapes * std::max(least_of_a_name, least_of_a_bar * bars);
    return left + right + std::max({narrowest_column - left - right, thin, std::min(fair, widest / 2)});
  }
  [[nodiscard]] int line_height() const { return header + panels_ * (panel_height + gap) - gap + footer; }

  int panels_, column_, columns_ = 1, lines_ = 1;
};

// Title and legend stand on the first panel of a column.
std::string decoration(const Group& group, bool first) {
  return first ? fmt::format(
                     "set title \"{}\" font ',12' offset 0,1.4\n"
                     "set key at graph 0.5, 1.09 center horizontal samplen 1\n",
                     tool::without_indices(group_text(group)))
               : "unset title\nunset key\n";
}

// A panel without bars says why.
std::string empty_note(const Panel& panel, const Group& group) {
  if (range_of(panel, group.rows)) return "unset label\n";
  return "set label 1 'oneDNN does not have this' at graph 0.5, graph 0.8 center tc rgb '#555555'\n";
}

std::string script_of(const std::vector<Row>& rows, const std::vector<Group>& groups, const std::vector<Panel>& panels,
                      const Plan& plan, const Page& page) {
  std::string script = prologue;
  for (std::size_t p = 0; p < panels.size(); ++p) {
    for (std::size_t g = 0; g < groups.size(); ++g) {
      script += data_of(groups[g], plan, panels[p].value, fmt::format("panel_{}_{}", p, g));
    }
  }
  script += fmt::format("set multiplot title \"{}\"\n", title_of(plan));
  for (std::size_t p = 0; p < panels.size(); ++p) {
    const bool last = p + 1 == panels.size();
    script += fmt::format("set ylabel \"{}\" font ',10' offset -0.5,0\n", panels[p].label);
    script += shape_axis(plan, last) + value_axis(panels[p], rows);
    for (std::size_t g = 0; g < groups.size(); ++g) {
      script += page.place(g, p) + decoration(groups[g], p == 0) + empty_note(panels[p], groups[g]);
      script += plot_command(plan, panels[p], fmt::format("panel_{}_{}", p, g));
    }
  }
  return script + "unset multiplot\n";
}

}  // namespace

std::filesystem::path script_path(const std::filesystem::path& path) {
  return path.parent_path() / (path.stem().string() + ".gnuplot");
}

void draw_bars(const std::filesystem::path& path, const std::vector<Row>& rows, const Plan& plan) {
  const std::vector<Group> groups = groups_of(rows);
  const std::vector<Panel> panels = panels_of(plan);
  const Page page(groups.size(), panels.size(), plan);
  const tool::Picture picture{path.stem().string(), script_of(rows, groups, panels, plan, page), page.width(),
                              page.height()};
  if (path == tool::standard_output) return tool::write_file(path, tool::render("", picture, "png"));
  tool::draw_with_gnuplot(path.parent_path(), picture, {path.extension().string().substr(1)});
}

}  // namespace unitvar::bench
