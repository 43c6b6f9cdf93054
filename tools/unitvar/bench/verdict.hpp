#pragma once
#include <array>
#include <functional>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "bench/baseline.hpp"
#include "bench/row.hpp"

/// Which rows are slower than they were: decided on ratios, never on times, because a clock changes from hour to hour.
namespace unitvar::bench {

/// What is compared. Of each, more is better.
enum class Quantity { fraction, onednn_same, onednn_best };
inline constexpr std::array quantities = {Quantity::fraction, Quantity::onednn_same, Quantity::onednn_best};
[[nodiscard]] std::string_view quantity_name(Quantity quantity);

/// A median, and what it would be at the faster quartile of our time.
struct Figure {
  double value, high;
};
[[nodiscard]] std::optional<Figure> figure_of(const Row& row, Quantity quantity);
[[nodiscard]] std::optional<double> figure_of(const OldRow& row, Quantity quantity);

/// Whether a quantity fell by more than 15 % and by more than its own quartiles.
[[nodiscard]] bool fell(double before, const Figure& now);

/// A quantity of a row that fell in each of the measurements `now`.
struct Fall {
  RowKey key;
  Quantity quantity;
  double before;
  std::vector<double> now;
};

/// Whether ratios to oneDNN count: they do if it is of the same version.
enum class Peers { count, do_not_count };

/// What fell in one measurement.
[[nodiscard]] std::vector<Fall> falls_of(const std::vector<Row>& rows, const Baseline& before, Peers peers);

/// Measures rows again.
using Remeasure = std::function<std::vector<Row>(const std::set<RowKey>&)>;

/// What fell in `rows` and in two more measurements of those that fell. Each row that is measured again takes the place
/// of the one before.
[[nodiscard]] std::vector<Fall> confirmed_falls(std::vector<Row>& rows, const Baseline& before, Peers peers,
                                                const Remeasure& measure_again);

}  // namespace unitvar::bench
