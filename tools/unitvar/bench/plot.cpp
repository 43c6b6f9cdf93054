#include "bench/plot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "bench/groups.hpp"
#include "bench/onednn.hpp"
#include "common/gnuplot.hpp"
#include "common/output_file.hpp"

namespace unitvar::bench {
namespace {

using Value = std::function<std::optional<double>(const Row&)>;

/// One line of panels: a number per row.
struct Panel {
  const char* label;
  Value value;
};

std::vector<Panel> panels_of(const Plan& plan) {
  std::vector<Panel> panels = {
      {"fraction of\\nthe roofline", [](const Row& row) { return std::optional(row.roofline_fraction()); }}};
  if (plan.against_onednn) {
    panels.push_back({"speed / speed of\\noneDNN, same layout", [](const Row& row) { return row.same_ratio(); }});
    panels.push_back({"speed / speed of\\noneDNN, best layout", [](const Row& row) { return row.best_ratio(); }});
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

std::string number_of(const Group& group, const Shape& shape, Pass pass, const Value& value) {
  const auto found =
      std::ranges::find_if(group.rows, [&](const Row& row) { return row.shape == shape && row.pass == pass; });
  const std::optional<double> number = found == group.rows.end() ? std::nullopt : value(*found);
  return number ? fmt::format("{:.4f}", *number) : "?";
}

// A line a shape, a column a pass.
std::string data_of(const Group& group, const Plan& plan, const Value& value, const std::string& name) {
  std::string text = "$" + name + " << EOD\n";
  for (const Shape& shape : plan.suite.shapes) {
    text += shape_text(shape);
    for (const Pass pass : plan.passes) text += " " + number_of(group, shape, pass, value);
    text += "\n";
  }
  return text + "EOD\n";
}

std::string plot_command(const Plan& plan, const std::string& name, bool names_below) {
  std::string text;
  for (std::size_t k = 0; k < plan.passes.size(); ++k) {
    text += fmt::format("{} ${} using {}:xtic({}) lc rgb '{}' title '{}'", k == 0 ? "plot" : ", \\\n    ", name, k + 2,
                        names_below ? "1" : "''", colour_of(plan.passes[k]), pass_name(plan.passes[k]));
  }
  return text + "\n";
}

constexpr const char* prologue = R"gnuplot(set datafile missing '?'
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.85 noborder
set boxwidth 0.9
set border 3 lc rgb '#555555'
set tics nomirror out tc rgb '#222222'
set xtics rotate by 40 right font ',9'
set grid ytics lc rgb '#DDDDDD' lw 1 lt 1
set yrange [0:1.1<*]
set arrow 1 from graph 0, first 1 to graph 1, first 1 nohead lc rgb '#333333' lw 1.5 dt 2 front
)gnuplot";

std::string title_of(const Plan& plan) {
  const std::string rival = plan.against_onednn ? " beside " + onednn_version() : "";
  return fmt::format("{{/=15 {} by unitvar{}}}\\n{{/=11 {} on {}; longer bars are better}}", op_title(plan.op), rival,
                     plan.suite.name, isa_name(plan.isa));
}

// An underscore would begin an index.
std::string plain(std::string text) {
  for (std::size_t at = 0; (at = text.find('_', at)) != std::string::npos; at += 3) text.replace(at, 1, "\\\\_");
  return text;
}

/// Points, for all panels together.
struct Size {
  int width, height;
};

Size size_of(const std::vector<Group>& groups, const std::vector<Panel>& panels, const Plan& plan) {
  const auto bars = static_cast<int>(plan.suite.shapes.size() * (plan.passes.size() + 1));
  return {static_cast<int>(groups.size()) * std::max(560, 110 + 11 * bars),
          235 + 200 * static_cast<int>(panels.size())};
}

// All panels of one size, whatever stands around them.
std::string multiplot(const std::vector<Group>& groups, const std::vector<Panel>& panels, const Plan& plan) {
  const auto [width, height] = size_of(groups, panels, plan);
  const auto across = [width = width](double points) { return points / width; };
  const auto down = [height = height](double points) { return points / height; };
  return fmt::format(
      "set multiplot layout {},{} margins {:.4f},{:.4f},{:.4f},{:.4f} spacing {:.4f},{:.4f} title \"{}\"\n",
      panels.size(), groups.size(), across(95), 1 - across(15), down(90), 1 - down(135), across(95), down(30),
      plain(title_of(plan)));
}

// Title and legend stand on the first panel of a column.
std::string decoration(const Group& group, bool first) {
  return first ? fmt::format(
                     "set title \"{}\" font ',12' offset 0,1.4\n"
                     "set key at graph 0.5, 1.09 center horizontal samplen 1\n",
                     plain(group_text(group)))
               : "unset title\nunset key\n";
}

std::string script_of(const std::vector<Group>& groups, const std::vector<Panel>& panels, const Plan& plan) {
  std::string script = prologue;
  for (std::size_t p = 0; p < panels.size(); ++p) {
    for (std::size_t g = 0; g < groups.size(); ++g) {
      script += data_of(groups[g], plan, panels[p].value, fmt::format("panel_{}_{}", p, g));
    }
  }
  script += multiplot(groups, panels, plan);
  for (std::size_t p = 0; p < panels.size(); ++p) {
    const bool last = p + 1 == panels.size();
    script += fmt::format("set ylabel \"{}\"\n", panels[p].label);
    for (std::size_t g = 0; g < groups.size(); ++g) {
      script += decoration(groups[g], p == 0);
      script += plot_command(plan, fmt::format("panel_{}_{}", p, g), last);
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
  const auto [width, height] = size_of(groups, panels, plan);
  const tool::Picture picture{path.stem().string(), script_of(groups, panels, plan), width, height};
  if (path == tool::standard_output) return tool::write_file(path, tool::render("", picture, "png"));
  tool::draw_with_gnuplot(path.parent_path(), picture, {path.extension().string().substr(1)});
}

}  // namespace unitvar::bench
