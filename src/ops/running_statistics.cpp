#include "unitvar/running_statistics.hpp"

#include <algorithm>
#include <cmath>

#include "core/arguments.hpp"
#include "core/standard_arithmetic.hpp"
#include "core/text.hpp"

namespace unitvar {
namespace {

double weight_of_batch(const RunningPolicy& policy, std::int64_t batches) noexcept {
  if (policy.average == RunningAverage::cumulative) return 1.0 / static_cast<double>(batches);
  return policy.sense == MomentumSense::weight_of_new ? policy.momentum : 1 - policy.momentum;
}

std::span<std::int64_t> counter(std::int64_t* at) noexcept {
  return at == nullptr ? std::span<std::int64_t>() : std::span(at, 1);
}

void check_arguments(const RunningStatistics& running, double count, std::span<const double> mean,
                     std::span<const double> var, const RunningPolicy& policy) {
  core::Arguments check("update_running_statistics");
  const auto C = static_cast<std::int64_t>(mean.size());
  check.input("mean", mean, {C, "C"});
  check.input("var", var, {C, "C, the length of mean"});
  check.output("running.mean", running.mean, {C, "C, the length of mean"});
  check.output("running.var", running.var, {C, "C, the length of mean"});
  check.optional_output("running.batches_tracked", counter(running.batches_tracked), {1, "1"});
  check.optional_output("running.batches_skipped", counter(running.batches_skipped), {1, "1"});
  check.no_overlap();
  if (running.batches_tracked != nullptr) check.may_be_incremented("running.batches_tracked", *running.batches_tracked);
  if (running.batches_skipped != nullptr) check.may_be_incremented("running.batches_skipped", *running.batches_skipped);
  check.not_negative("count", count);
  if (policy.average == RunningAverage::exponential) check.finite("momentum", policy.momentum);
  if (policy.average == RunningAverage::cumulative && running.batches_tracked == nullptr) {
    check.fail(ErrorCode::bad_argument, "running.batches_tracked is null, want a counter for the cumulative average");
  }
  if (policy.variance == VarianceKind::unbiased && count > 0 && count <= 1) {
    check.fail(ErrorCode::too_few_values,
               "count is " + core::number(count) + ", want more than 1 for an unbiased variance");
  }
}

bool all_finite(std::span<const double> values) noexcept {
  return std::ranges::all_of(values, [](double v) { return std::isfinite(v); });
}

}  // namespace

RunningUpdate update_running_statistics(const RunningStatistics& running, double count, std::span<const double> mean,
                                        std::span<const double> var, const RunningPolicy& policy) {
  const core::StandardArithmetic arithmetic;
  check_arguments(running, count, mean, var, policy);
  if (count == 0) return RunningUpdate::empty;
  if (policy.skip_nonfinite && !(all_finite(mean) && all_finite(var))) {
    if (running.batches_skipped != nullptr) ++*running.batches_skipped;
    return RunningUpdate::skipped;
  }

  const std::int64_t batches = running.batches_tracked == nullptr ? 0 : ++*running.batches_tracked;
  const double weight = weight_of_batch(policy, batches);
  const double bessel = policy.variance == VarianceKind::unbiased ? count / (count - 1) : 1;
  for (std::size_t c = 0; c < mean.size(); ++c) {
    running.mean[c] += weight * (mean[c] - running.mean[c]);
    running.var[c] += weight * (var[c] * bessel - running.var[c]);
  }
  return RunningUpdate::updated;
}

}  // namespace unitvar
