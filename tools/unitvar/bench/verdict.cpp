#include "bench/verdict.hpp"

#include <algorithm>

namespace unitvar::bench {
namespace {

// Ratios of one program move by a tenth from one hour to the next.
constexpr double most_fall = 0.15;
constexpr int more_measurements = 2;

const std::optional<Spread>& rival_of(const Row& row, Quantity quantity) {
  return quantity == Quantity::onednn_same ? row.onednn_same : row.onednn_best;
}

std::set<RowKey> keys_of(const std::vector<Fall>& falls) {
  std::set<RowKey> keys;
  for (const Fall& fall : falls) keys.insert(fall.key);
  return keys;
}

void replace(std::vector<Row>& rows, const std::vector<Row>& again) {
  for (const Row& row : again) {
    const auto place = std::ranges::find_if(rows, [&](const Row& old) { return key_of(old) == key_of(row); });
    if (place != rows.end()) *place = row;
  }
}

// Those of `falls` that fell again.
std::vector<Fall> still_falling(const std::vector<Fall>& falls, const std::vector<Row>& again) {
  std::vector<Fall> left;
  for (Fall fall : falls) {
    const auto row = std::ranges::find_if(again, [&](const Row& one) { return key_of(one) == fall.key; });
    const auto now = row == again.end() ? std::nullopt : figure_of(*row, fall.quantity);
    if (!now || !fell(fall.before, *now)) continue;
    fall.now.push_back(now->value);
    left.push_back(std::move(fall));
  }
  return left;
}

}  // namespace

std::string_view quantity_name(Quantity quantity) {
  switch (quantity) {
    case Quantity::fraction:
      return "fraction";
    case Quantity::onednn_same:
      return "oneDNN";
    case Quantity::onednn_best:
      return "its best";
  }
  return "";
}

std::optional<Figure> figure_of(const Row& row, Quantity quantity) {
  if (quantity == Quantity::fraction) return Figure{row.roofline_fraction(), row.roofline.median / row.ours.low};
  const auto& rival = rival_of(row, quantity);
  if (!rival) return std::nullopt;
  return Figure{rival->median / row.ours.median, rival->median / row.ours.low};
}

std::optional<double> figure_of(const OldRow& row, Quantity quantity) {
  switch (quantity) {
    case Quantity::fraction:
      return row.fraction;
    case Quantity::onednn_same:
      return row.onednn_same;
    case Quantity::onednn_best:
      return row.onednn_best;
  }
  return std::nullopt;
}

bool fell(double before, const Figure& now) { return now.value < (1 - most_fall) * before && now.high < before; }

std::vector<Fall> falls_of(const std::vector<Row>& rows, const Baseline& before, Peers peers) {
  std::vector<Fall> falls;
  for (const Row& row : rows) {
    const OldRow* const old = before.find(key_of(row));
    for (const Quantity quantity : quantities) {
      if (old == nullptr || (quantity != Quantity::fraction && peers == Peers::do_not_count)) continue;
      const auto then = figure_of(*old, quantity);
      const auto now = figure_of(row, quantity);
      if (then && now && fell(*then, *now)) falls.push_back({old->key, quantity, *then, {now->value}});
    }
  }
  return falls;
}

std::vector<Fall> confirmed_falls(std::vector<Row>& rows, const Baseline& before, Peers peers,
                                  const Remeasure& measure_again) {
  std::vector<Fall> falls = falls_of(rows, before, peers);
  for (int k = 0; k < more_measurements && !falls.empty(); ++k) {
    const std::vector<Row> again = measure_again(keys_of(falls));
    replace(rows, again);
    falls = still_falling(falls, again);
  }
  return falls;
}

}  // namespace unitvar::bench
