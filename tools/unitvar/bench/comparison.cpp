#include "bench/comparison.hpp"

#include <fmt/ranges.h>

#include <algorithm>

#include "bench/geometric_mean.hpp"
#include "bench/groups.hpp"

namespace unitvar::bench {
namespace {

// A fraction is below 1, of which small tensors reach little.
std::string cell(const std::optional<double>& value, Quantity quantity) {
  return value ? fmt::format("{:.{}f}", *value, quantity == Quantity::fraction ? 3 : 2) : "-";
}

bool with_onednn(const Plan& plan, const Baseline& before) { return plan.against_onednn || before.onednn; }

std::string cells_of(const Row& row, const OldRow* old, Quantity quantity) {
  const auto now = figure_of(row, quantity);
  const auto then = old == nullptr ? std::nullopt : figure_of(*old, quantity);
  const auto value = now ? std::optional(now->value) : std::nullopt;
  return fmt::format(" {:>9} {:>7}", cell(value, quantity), cell(then, quantity));
}

// Rows that differ in shape alone.
std::string group_of(const RowKey& key) {
  return fmt::format("{} {} {} {}, {}", op_name(key.op), layout_name(key.layout), key.dtype, pass_name(key.pass),
                     threads_text(key.threads));
}

// "batch_norm 50x64x56x56 channels_first f32 forward, 1 thread".
std::string key_text(const RowKey& key) {
  return fmt::format("{} {} {} {} {}, {}", op_name(key.op), shape_text(key.shape), layout_name(key.layout), key.dtype,
                     pass_name(key.pass), threads_text(key.threads));
}

/// Grouped in the order in which they come, and what belongs to each.
template <class Value>
class Grouped {
 public:
  void add(const RowKey& key, const Value& value) {
    const std::string name = group_of(key);
    const auto found = std::ranges::find(all_, name, &std::pair<std::string, std::vector<Value>>::first);
    if (found != all_.end()) return found->second.push_back(value);
    all_.push_back({name, {value}});
  }
  [[nodiscard]] const auto& all() const { return all_; }

 private:
  std::vector<std::pair<std::string, std::vector<Value>>> all_;
};

std::string mean_changes(const std::vector<Row>& rows, const Baseline& before) {
  Grouped<double> changes;
  for (const Row& row : rows) {
    const OldRow* const old = before.find(key_of(row));
    if (old != nullptr && old->fraction > 0) changes.add(key_of(row), row.roofline_fraction() / old->fraction);
  }
  std::string text = changes.all().empty() ? "" : "\nfraction of the roofline, now over then, geometric means:\n";
  for (const auto& [name, values] : changes.all()) {
    text += fmt::format("  {}: {:.2f}, lowest {:.2f}\n", name, geometric_mean(values), std::ranges::min(values));
  }
  return text;
}

std::string listed(const std::string& where, const Grouped<std::string>& groups) {
  constexpr std::size_t longest = 6;
  std::string text;
  for (const auto& [name, shapes] : groups.all()) {
    const auto shown = std::min(shapes.size(), longest);
    const std::vector<std::string> first(shapes.begin(), shapes.begin() + static_cast<std::ptrdiff_t>(shown));
    text += fmt::format("only {}: {}: {}", where, name, fmt::join(first, ", "));
    if (shown < shapes.size()) text += fmt::format(" and {} more", shapes.size() - shown);
    text += "\n";
  }
  return text;
}

std::string one_sided(const std::vector<Row>& rows, const Baseline& before) {
  Grouped<std::string> here, there;
  std::set<RowKey> measured;
  for (const Row& row : rows) {
    const RowKey key = key_of(row);
    if (measured.insert(key).second && before.find(key) == nullptr) here.add(key, shape_text(row.shape));
  }
  for (const OldRow& old : before.rows) {
    if (measured.insert(old.key).second) there.add(old.key, shape_text(old.key.shape));
  }
  const std::string text = listed("here", here) + listed("in " + before.path, there);
  return text.empty() ? text : "\n" + text;
}

}  // namespace

std::string comparison_title(const Baseline& before) {
  return fmt::format("beside {} of {}, {}; fraction of the roofline, oneDNN's time over ours; \"was\": in that file\n",
                     before.path, before.date, before.machine.processor);
}

std::string comparison_header(const Plan& plan, const Baseline& before) {
  std::string text = fmt::format("{:<18} {:<14} {:<5} {:<9} {:>3} {:>9} {:>7}", "shape", "layout", "dtype", "pass",
                                 "thr", "fraction", "was");
  if (with_onednn(plan, before)) text += fmt::format(" {:>9} {:>7} {:>9} {:>7}", "oneDNN", "was", "its best", "was");
  return text + "\n";
}

std::string comparison_line(const Row& row, const Plan& plan, const Baseline& before) {
  const OldRow* const old = before.find(key_of(row));
  std::string text = fmt::format("{:<18} {:<14} {:<5} {:<9} {:>3}", shape_text(row.shape), layout_name(row.layout),
                                 row.dtype, pass_name(row.pass), row.threads);
  for (const Quantity quantity : quantities) {
    if (quantity == Quantity::fraction || with_onednn(plan, before)) text += cells_of(row, old, quantity);
  }
  return text + "\n";
}

std::string comparison_totals(const std::vector<Row>& rows, const Baseline& before) {
  return mean_changes(rows, before) + one_sided(rows, before);
}

std::string fall_text(const Fall& fall) {
  return fmt::format("{}: {} is {:.3g}, was {:.3g}", key_text(fall.key), quantity_name(fall.quantity),
                     fmt::join(fall.now, ", "), fall.before);
}

}  // namespace unitvar::bench
