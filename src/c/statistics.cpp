#include "unitvar/c/statistics.h"

#include <span>
#include <string>

#include "c/memory.hpp"

namespace unitvar::c {
namespace {

using std::int64_t;

std::size_t checked_channels(const char* operation, int64_t channels) {
  if (channels >= 1) return static_cast<std::size_t>(channels);
  throw Error(ErrorCode::bad_extent,
              std::string(operation) + ": channels is " + std::to_string(channels) + ", want channels >= 1");
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
  return guarded([&] {
    const std::size_t n = c::checked_channels("merge_moments", channels);
    const double count = merge_moments(count_a, {mean_a, n}, {m2_a, n}, count_b, {mean_b, n}, {m2_b, n});
    if (merged != nullptr) *merged = count;
  });
}

unitvar_status unitvar_finish_moments(int64_t channels, double count, const double* m2, double eps, double* var,
                                      double* rstd) noexcept {
  return guarded([&] {
    const std::size_t n = c::checked_channels("finish_moments", channels);
    finish_moments(count, {m2, n}, eps, {var, n}, {rstd, n});
  });
}

unitvar_status unitvar_update_running_statistics(int64_t channels, double* running_mean, double* running_var,
                                                 int64_t* batches_tracked, int64_t* batches_skipped, double count,
                                                 const double* mean, const double* var,
                                                 const unitvar_running_policy* policy, int32_t* outcome) noexcept {
  return guarded([&] {
    const std::size_t n = c::checked_channels("update_running_statistics", channels);
    c::need("update_running_statistics", "the policy", policy);
    const RunningUpdate update = update_running_statistics({.mean = {running_mean, n},
                                                            .var = {running_var, n},
                                                            .batches_tracked = batches_tracked,
                                                            .batches_skipped = batches_skipped},
                                                           count, {mean, n}, {var, n}, c::policy_of(*policy));
    if (outcome != nullptr) *outcome = static_cast<int32_t>(update);
  });
}

unitvar_status unitvar_batch_norm_scale_and_shift(unitvar_dtype dtype, int64_t channels, const double* mean,
                                                  const double* var, const void* gamma, const void* beta, double eps,
                                                  void* scale, void* shift) noexcept {
  return guarded([&] {
    const std::size_t n = c::checked_channels("batch_norm_scale_and_shift", channels);
    c::with_dtype("batch_norm_scale_and_shift", dtype, [&](auto type) {
      c::scale_and_shift<param_t<typename decltype(type)::type>>(n, mean, var, gamma, beta, eps, scale, shift);
    });
  });
}
