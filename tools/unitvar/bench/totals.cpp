#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "bench/geometric_mean.hpp"
#include "bench/groups.hpp"
#include "bench/report.hpp"

namespace unitvar::bench {
namespace {

bool all_against_onednn(const std::vector<Row>& rows) {
  return std::ranges::all_of(rows, [](const Row& row) { return row.onednn_same.has_value(); });
}

std::string lowest(const char* what, const std::vector<Row>& rows, const std::function<double(const Row&)>& value) {
  const auto worst = std::ranges::min_element(rows, {}, value);
  return fmt::format("{} {:.2f}, lowest {:.2f} ({})", what, geometric_mean(rows, value), value(*worst),
                     shape_text(worst->shape));
}

std::string means(Pass pass, const std::vector<Row>& rows) {
  std::string text = fmt::format("  {:<10} geometric means: ", pass_name(pass)) +
                     lowest("fraction", rows, [](const Row& row) { return row.roofline_fraction(); });
  if (all_against_onednn(rows)) {
    text += "; " + lowest("oneDNN", rows, [](const Row& row) { return *row.same_ratio(); });
    text += "; " + lowest("its best", rows, [](const Row& row) { return *row.best_ratio(); });
  }
  return text + "\n";
}

std::vector<Row> of_passes(const std::vector<Row>& rows, const std::vector<Pass>& passes) {
  std::vector<Row> chosen;
  for (const Row& row : rows) {
    if (std::ranges::find(passes, row.pass) != passes.end()) chosen.push_back(row);
  }
  return chosen;
}

std::string weighted_ms(const std::vector<Row>& rows, const std::function<double(const Row&)>& seconds) {
  double sum = 0;
  for (const Row& row : rows) sum += static_cast<double>(row.shape.count) * seconds(row);
  return ms_text(sum);
}

std::string step(const std::string& what, const std::vector<Row>& rows) {
  std::string text = fmt::format("  {}: {} ms here, {} ms at the roofline", what,
                                 weighted_ms(rows, [](const Row& row) { return row.ours.median; }),
                                 weighted_ms(rows, [](const Row& row) { return row.roofline.median; }));
  if (all_against_onednn(rows)) {
    text += fmt::format(", {} ms oneDNN, {} ms oneDNN in its best layouts",
                        weighted_ms(rows, [](const Row& row) { return row.onednn_same->median; }),
                        weighted_ms(rows, [](const Row& row) { return row.onednn_best->median; }));
  }
  return text + "\n";
}

}  // namespace

std::string totals(const std::vector<Row>& rows, const Suite& suite) {
  std::string text;
  for (const Group& group : groups_of(rows)) {
    text += "\n" + group_text(group) + "\n";
    for (const Pass pass : {Pass::forward, Pass::backward, Pass::inference}) {
      const std::vector<Row> of_pass = of_passes(group.rows, {pass});
      if (!of_pass.empty()) text += means(pass, of_pass);
    }
    const auto training = of_passes(group.rows, {Pass::forward, Pass::backward});
    if (training.size() == 2 * suite.shapes.size()) {
      text += step(fmt::format("one {} step (forward + backward)", suite.name), training);
    }
    const auto inference = of_passes(group.rows, {Pass::inference});
    if (inference.size() == suite.shapes.size()) text += step(fmt::format("one {} inference", suite.name), inference);
  }
  return text;
}

}  // namespace unitvar::bench
