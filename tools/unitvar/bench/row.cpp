#include "bench/row.hpp"

#include "bench/contest.hpp"

namespace unitvar::bench {
namespace {

std::optional<Spread> seconds_of(const Result* result) {
  if (result == nullptr) return std::nullopt;
  return result->seconds;
}

}  // namespace

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
