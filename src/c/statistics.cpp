#include "unitvar/c/statistics.h"

#include <span>
#include <string>

#include "c/memory.hpp"
#include "core/limits.hpp"

namespace unitvar::c {
namespace {

using std::int64_t;

std::size_t checked_channels(const char* operation, int64_t channels) {
  if (channels < 1) {
    throw Error(ErrorCode::bad_extent,
                std::string(operation) + ": channels is " + std::to_string(channels) + ", want channels >= 1");
  }
  core::check_sizes(operation, "channels", channels, sizeof(double));
  return static_cast<std::size_t>(channels);
}

template <class P>
void scale_and_shift(std::size_t n, const double* mean, const double* var, const void* gamma, const void* beta,
                     double eps, void* scale, void* shift) {
  batch_norm_scale_and_shift<P>({.mean = {mean, n},
                                 .var = {var, n},
                                 .gamma = maybe(std::span(static_cast<const P*>(gamma), n)),
                                 .beta = maybe(std::span(static_cast<const P*>(beta), n)),
                                 .scale = {static_cast<P*>(scale), n},
                                 .shift = {static_cast<P*>(shift), n},
                                 .eps = eps});
}

}  // namespace

RunningPolicy policy_of(const unitvar_running_policy& p) noexcept {
  return {.average = p.cumulative != 0 ? RunningAverage::cumulative : RunningAverage::exponential,
          .momentum = p.momentum,
          .sense = p.weight_of_old != 0 ? MomentumSense::weight_of_old : MomentumSense::weight_of_new,
          .variance = p.biased != 0 ? VarianceKind::biased : VarianceKind::unbiased,
          .skip_nonfinite = p.skip_nonfinite != 0};
}

}  // namespace unitvar::c

using namespace unitvar;
using std::int32_t;
using std::int64_t;
using unitvar::c::guarded;

unitvar_status unitvar_merge_moments(int64_t channels, double count_a, double* mean_a, double* m2_a, double count_b,
                                     const double* mean_b, const double* m2_b, double* merged) noexcept {
  constexpr const char* kName = "merge_moments";
  return guarded(kName, [&] {
    const std::size_t n = c::checked_channels(kName, channels);
    const std::span mean(mean_a, n), m2(m2_a, n);
    const std::span from_mean(mean_b, n), from_m2(m2_b, n);
    c::need_apart(kName, "merged", merged, mean, m2, from_mean, from_m2);
    const double count = merge_moments(count_a, mean, m2, count_b, from_mean, from_m2);
    if (merged != nullptr) *merged = count;
  });
}

unitvar_status unitvar_finish_moments(int64_t channels, double count, const double* m2, double eps, double* var,
                                      double* rstd) noexcept {
  constexpr const char* kName = "finish_moments";
  return guarded(kName, [&] {
    const std::size_t n = c::checked_channels(kName, channels);
    finish_moments(count, {m2, n}, eps, {var, n}, {rstd, n});
  });
}

unitvar_status unitvar_update_running_statistics(int64_t channels, double* running_mean, double* running_var,
                                                 int64_t* batches_tracked, int64_t* batches_skipped, double count,
                                                 const double* mean, const double* var,
                                                 const unitvar_running_policy* policy, int32_t* outcome) noexcept {
  constexpr const char* kName = "update_running_statistics";
  return guarded(kName, [&] {
    const std::size_t n = c::checked_channels(kName, channels);
    c::need(kName, "the policy", policy);
    const RunningStatistics running{.mean = {running_mean, n},
                                    .var = {running_var, n},
                                    .batches_tracked = batches_tracked,
                                    .batches_skipped = batches_skipped};
    const std::span of_mean(mean, n), of_var(var, n);
    const std::span tracked(batches_tracked, 1), skipped(batches_skipped, 1);
    c::need_apart(kName, "outcome", outcome, running.mean, running.var, tracked, skipped, of_mean, of_var);
    c::need_apart(kName, "the policy", policy, running.mean, running.var, tracked, skipped, std::span(outcome, 1));
    const RunningUpdate update = update_running_statistics(running, count, of_mean, of_var, c::policy_of(*policy));
    if (outcome != nullptr) *outcome = static_cast<int32_t>(update);
  });
}

unitvar_status unitvar_batch_norm_scale_and_shift(unitvar_dtype dtype, int64_t channels, const double* mean,
                                                  const double* var, const void* gamma, const void* beta, double eps,
                                                  void* scale, void* shift) noexcept {
  constexpr const char* kName = "batch_norm_scale_and_shift";
  return guarded(kName, [&] {
    const std::size_t n = c::checked_channels(kName, channels);
    c::with_dtype(kName, dtype, [&](auto type) {
      c::scale_and_shift<param_t<typename decltype(type)::type>>(n, mean, var, gamma, beta, eps, scale, shift);
    });
  });
}
