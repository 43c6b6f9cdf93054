#include "unit/refused_operations.hpp"

#include "unit/refused_description.hpp"

namespace unitvar::test {
namespace {

/// Of an extent that may be none, whose size() would overflow.
std::size_t elements_up_to_60(const Extent& e) {
  const double elements = static_cast<double>(e.outer) * static_cast<double>(e.channels) * static_cast<double>(e.inner);
  return static_cast<std::size_t>(std::clamp(elements, 0.0, 60.0));
}

/// function_of(T()) is the function for storage type T.
template <class FunctionOf>
OperationCase every_dtype(const char* name, const FunctionOf& function_of, const char* spans, const char* few = "") {
  OperationCase result{name, {}};
  describe(result, sizeof(float), function_of(float()), spans, few);
  describe(result, sizeof(double), function_of(double()), spans, few);
  describe(result, sizeof(bf16), function_of(bf16()), spans, few);
  describe(result, sizeof(f16), function_of(f16()), spans, few);
  return result;
}
#define UNITVAR_OPERATION(function, ...) \
  every_dtype(                           \
      #function, []<class T>(T) { return function<T>; }, __VA_ARGS__)

/// Functions without a storage type.
template <class... Functions>
OperationCase these(const char* name, const char* spans, Functions... functions) {
  OperationCase result{name, {}};
  (describe(result, 0, functions, spans), ...);
  return result;
}

/// Arguments of what has no struct for them.
struct Merge {
  double count_a = 2, count_b = 3;
  std::span<double> mean_a, m2_a;
  std::span<const double> mean_b, m2_b;
};
void merge(const Merge& a) { merge_moments(a.count_a, a.mean_a, a.m2_a, a.count_b, a.mean_b, a.m2_b); }

struct Finish {
  double count = 1, eps = 1e-5;
  std::span<const double> m2;
  std::span<double> var, rstd;
};
void finish(const Finish& a) { finish_moments(a.count, a.m2, a.eps, a.var, a.rstd); }

struct Update {
  double count = 15;
  std::span<const double> mean, var;
  RunningStatistics running;
  RunningPolicy policy;
};
void update(const Update& a) { update_running_statistics(a.running, a.count, a.mean, a.var, a.policy); }

/// What accumulators do, each call on an object of its own. To finish, all tiles are added.
template <class T>
struct MomentTiles {
  Extent extent;
  std::span<const T> x;
  std::span<double> mean, m2;
};
template <class T>
MomentsAccumulator<T> add_moments(const MomentTiles<T>& a, const Options& options) {
  MomentsAccumulator<T> accumulator(a.extent, options);
  for (std::int64_t t = 0; t < accumulator.tiles(); ++t) accumulator.add(t, 0, a.extent.channels, a.x);
  return accumulator;
}
template <class T>
void finish_moments(const MomentTiles<T>& a, const Options& options) {
  const MomentsAccumulator<T> checked(a.extent, options);
  const std::vector<T> zeros(static_cast<std::size_t>(a.extent.size()));
  add_moments<T>({a.extent, zeros, {}, {}}, options).finish(a.mean, a.m2);
}

template <class T>
struct SumsStart {
  Extent extent;
  std::span<const double> mean;
};
template <class T>
GradientSumsAccumulator<T> start_sums(const SumsStart<T>& a, const Options& options) {
  return {a.extent, a.mean, options};
}
template <class T>
struct SumTiles {
  Extent extent;
  std::span<const T> x, dy;
  std::span<double> sum_dy, sum_dy_xmu;
};
template <class T>
GradientSumsAccumulator<T> add_sums(const SumTiles<T>& a, const Options& options) {
  static const std::vector<double> zeros(60);
  const auto channels = static_cast<std::size_t>(std::clamp<std::int64_t>(a.extent.channels, 0, 60));
  auto accumulator = start_sums<T>({a.extent, std::span(zeros).first(channels)}, options);
  for (std::int64_t t = 0; t < accumulator.tiles(); ++t) accumulator.add(t, 0, a.extent.channels, a.x, a.dy);
  return accumulator;
}
template <class T>
void finish_sums(const SumTiles<T>& a, const Options& options) {
  const std::vector<T> zeros(60);
  const auto of = std::span(zeros).first(elements_up_to_60(a.extent));
  add_sums<T>({a.extent, of, of, {}, {}}, options).finish(a.sum_dy, a.sum_dy_xmu);
}

constexpr const char* of_batch = "extent has 1 value per channel, want 2 or more (or an empty batch)";
constexpr const char* of_ghosts = "the first ghost batch has 1 value per channel, want 2 or more";
constexpr const char* of_weights = "a single weight is > 0, want 2 or more (or none)";
constexpr const char* backward = "x dy mean rstd gamma? dx?=dy dgamma? dbeta?";
constexpr const char* double_backward =
    "x dy mean rstd gamma? grad_dx? grad_dgamma? grad_dbeta? grad_x? grad_dy? grad_gamma?";
constexpr const char* act_double_backward =
    "x dy mean rstd residual? gamma? beta? grad_dx? grad_dresidual? grad_dgamma? grad_dbeta? grad_x? grad_dy? "
    "grad_residual? grad_gamma? grad_beta?";
constexpr const char* jvp = "x mean rstd gamma? x_dot? gamma_dot? beta_dot? y_dot? mean_dot? var_dot?";

}  // namespace

std::vector<OperationCase> all_operations() {
  return {
      UNITVAR_OPERATION(batch_norm_forward, "x gamma? beta? y mean? var? rstd?", of_batch),
      UNITVAR_OPERATION(batch_norm_inference, "x mean var gamma? beta? y=x"),
      UNITVAR_OPERATION(batch_norm_backward, backward, of_batch),
      UNITVAR_OPERATION(batch_norm_act_forward, "x residual? gamma? beta? y=residual mask? mean? var? rstd?", of_batch),
      UNITVAR_OPERATION(batch_norm_act_inference, "x residual? mean var gamma? beta? y=x"),
      UNITVAR_OPERATION(batch_norm_act_backward,
                        "x dy mask mean rstd residual? gamma? beta? dx?=dy dresidual? dgamma? dbeta?", of_batch),
      UNITVAR_OPERATION(batch_norm_act_double_backward, act_double_backward, of_batch),
      UNITVAR_OPERATION(batch_norm_act_frozen_double_backward, act_double_backward),
      UNITVAR_OPERATION(batch_norm_in_place_forward, "x! gamma? beta? mean? var? rstd?", of_batch),
      UNITVAR_OPERATION(batch_norm_in_place_backward, "y dy rstd gamma? beta? dx?=dy dgamma? dbeta?", of_batch),
      UNITVAR_OPERATION(batch_norm_weighted_forward, "x weight gamma? beta? y mean? var? rstd?", of_weights),
      UNITVAR_OPERATION(batch_norm_weighted_backward, "x dy weight mean rstd gamma? dx?=dy dgamma? dbeta?", of_weights),
      UNITVAR_OPERATION(batch_norm_frozen_backward, "x dy mean var gamma? dx?=dy dgamma? dbeta?"),
      UNITVAR_OPERATION(batch_norm_renorm_forward, "x gamma? beta? running_mean running_var y mean? var? rstd? r? d?",
                        of_batch),
      UNITVAR_OPERATION(batch_norm_renorm_backward, "x dy mean rstd r d gamma? dx?=dy dgamma? dbeta?", of_batch),
      UNITVAR_OPERATION(batch_norm_ghost_forward, "x gamma? beta? y mean? var? rstd?", of_ghosts),
      UNITVAR_OPERATION(batch_norm_ghost_backward, backward, of_ghosts),
      UNITVAR_OPERATION(batch_norm_fold, "weight bias? mean var gamma? beta? folded_weight=weight folded_bias=bias"),
      these("batch_norm_scale_and_shift", "mean var gamma? beta? scale~ shift~",
            batch_norm_scale_and_shift<float, float>, batch_norm_scale_and_shift<float, double>,
            batch_norm_scale_and_shift<double, double>),
      UNITVAR_OPERATION(batch_norm_statistics_backward, "x dy mean rstd gamma? dmean? dvar? dx?=dy dgamma? dbeta?",
                        of_batch),
      UNITVAR_OPERATION(batch_norm_double_backward, double_backward, of_batch),
      UNITVAR_OPERATION(batch_norm_frozen_double_backward, double_backward),
      UNITVAR_OPERATION(batch_norm_jvp, jvp, of_batch),
      UNITVAR_OPERATION(batch_norm_frozen_jvp, jvp),
      UNITVAR_OPERATION(moments, "x mean m2"),
      UNITVAR_OPERATION(normalize, "x mean rstd gamma? beta? y=x"),
      UNITVAR_OPERATION(gradient_sums, "x dy mean sum_dy sum_dy_xmu"),
      UNITVAR_OPERATION(input_gradient, "x dy mean rstd gamma? sum_dy sum_dy_xmu dx=dy"),
      these("merge_moments", "mean_a! m2_a~! mean_b~ m2_b~", merge),
      these("finish_moments", "m2 var?~=m2 rstd~", finish),
      these("update_running_statistics", "mean var~ running.mean~! running.var~!", update),
      every_dtype(
          "MomentsAccumulator::add", []<class T>(T) { return add_moments<T>; }, "x"),
      every_dtype(
          "MomentsAccumulator::finish", []<class T>(T) { return finish_moments<T>; }, "mean m2"),
      every_dtype(
          "GradientSumsAccumulator", []<class T>(T) { return start_sums<T>; }, "mean"),
      every_dtype(
          "GradientSumsAccumulator::add", []<class T>(T) { return add_sums<T>; }, "x dy"),
      every_dtype(
          "GradientSumsAccumulator::finish", []<class T>(T) { return finish_sums<T>; }, "sum_dy sum_dy_xmu"),
      UNITVAR_OPERATION(group_norm_forward, "x gamma? beta? y mean? rstd?"),
      UNITVAR_OPERATION(group_norm_backward, backward),
      UNITVAR_OPERATION(group_norm_double_backward, double_backward),
      UNITVAR_OPERATION(instance_norm_forward, "x gamma? beta? y mean? rstd?"),
      UNITVAR_OPERATION(instance_norm_backward, backward),
      UNITVAR_OPERATION(instance_norm_double_backward, double_backward),
      UNITVAR_OPERATION(layer_norm_forward, "x gamma? beta? y=x mean? rstd?"),
      UNITVAR_OPERATION(layer_norm_backward, backward),
      UNITVAR_OPERATION(layer_norm_double_backward, double_backward),
      UNITVAR_OPERATION(rms_norm_forward, "x gamma? beta? y=x rstd?"),
      UNITVAR_OPERATION(rms_norm_backward, "x dy rstd gamma? dx?=dy dgamma? dbeta?"),
      UNITVAR_OPERATION(layer_norm_add_forward, "x residual gamma? beta? y=x=residual h=x=residual mean? rstd?"),
      UNITVAR_OPERATION(layer_norm_add_backward, "h dy dh? mean rstd gamma? dx?=dy=dh dgamma? dbeta?"),
      UNITVAR_OPERATION(rms_norm_add_forward, "x residual gamma? beta? y=x=residual h=x=residual rstd?"),
      UNITVAR_OPERATION(rms_norm_add_backward, "h dy dh? rstd gamma? dx?=dy=dh dgamma? dbeta?"),
      UNITVAR_OPERATION(rms_norm_double_backward,
                        "x dy rstd gamma? grad_dx? grad_dgamma? grad_dbeta? grad_x? grad_dy? grad_gamma?"),
  };
}

}  // namespace unitvar::test
