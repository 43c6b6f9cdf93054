#include "bench/row.hpp"

#include "bench/contest.hpp"

namespace unitvar::bench {
namespace {

std::optional<Spread> seconds_of(const Result* result) {
  if (result == nullptr) return std::nullopt;
  return result->seconds;
}

}  // namespace

std::optional<double> share_in_double(const PrecisionCounts& counts, const std::string& dtype) {
  if (dtype == "f64") return std::nullopt;
  const std::int64_t all = counts.sums + counts.maps;
  return all == 0 ? 0 : static_cast<double>(counts.sums_again + counts.maps_in_double) / static_cast<double>(all);
}

void take_results(Row& row, const Results& results) {
  const Result& ours = *results.best(Role::ours);
  const Result& roofline = *results.best(Role::roofline);
  row.rounds = results.rounds;
  row.disturbed = ours.disturbed;
  row.ours = ours.seconds;
  row.roofline = roofline.seconds;
  row.roofline_kernel = roofline.name;
  row.bare_loop = seconds_of(results.best(Role::bare_loop));
  row.onednn_same = seconds_of(results.best(Role::onednn_same));
  for (const Role role : {Role::onednn_same, Role::onednn_other}) {
    const Result* result = results.best(role);
    if (result == nullptr || (row.onednn_best && row.onednn_best->median <= result->seconds.median)) continue;
    row.onednn_best = result->seconds;
    row.onednn_best_format = result->name;
  }
}

}  // namespace unitvar::bench
