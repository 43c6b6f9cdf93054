#include "unit/refused_operations.hpp"

#include <cmath>
#include <sstream>

#include "unitvar/unitvar.hpp"

namespace unitvar::test {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
constexpr std::int64_t big = std::int64_t{1} << 40;

enum class Layout { channels_first, channels_last };

struct Lengths {
  Length tensor, parameter, statistic, weight, mask;
};

/// Elements that become one constant, which leaves `where` without a variance.
struct Flat {
  std::string where;
  std::function<bool(std::int64_t k)> holds;
  double constant = 2.5;
};

/// Calls visit(span, length) for the span of this name.
template <class Args, class Visit>
void visit_span(Args& a, const std::string& name, const Lengths& n, const Visit& visit) {
#define UNITVAR_SPAN(span, length)           \
  if constexpr (requires { a.span.data(); }) \
    if (name == #span) visit(a.span, n.length);
#define UNITVAR_TENSOR(span) UNITVAR_SPAN(span, tensor)
#define UNITVAR_PARAMETER(span) UNITVAR_SPAN(span, parameter)
#define UNITVAR_STATISTIC(span) UNITVAR_SPAN(span, statistic)
  UNITVAR_TENSOR(x)
  UNITVAR_TENSOR(y) UNITVAR_TENSOR(dy) UNITVAR_TENSOR(dx) UNITVAR_TENSOR(residual) UNITVAR_TENSOR(dresidual)
      UNITVAR_TENSOR(x_dot) UNITVAR_TENSOR(y_dot) UNITVAR_TENSOR(grad_x) UNITVAR_TENSOR(grad_dx) UNITVAR_TENSOR(grad_dy)
          UNITVAR_PARAMETER(gamma) UNITVAR_PARAMETER(beta) UNITVAR_PARAMETER(dgamma) UNITVAR_PARAMETER(dbeta)
              UNITVAR_PARAMETER(grad_gamma) UNITVAR_PARAMETER(grad_dgamma) UNITVAR_PARAMETER(grad_dbeta)
                  UNITVAR_PARAMETER(gamma_dot) UNITVAR_PARAMETER(beta_dot) UNITVAR_PARAMETER(bias)
                      UNITVAR_PARAMETER(folded_bias) UNITVAR_STATISTIC(mean) UNITVAR_STATISTIC(var)
                          UNITVAR_STATISTIC(rstd) UNITVAR_STATISTIC(m2) UNITVAR_STATISTIC(dmean) UNITVAR_STATISTIC(dvar)
                              UNITVAR_STATISTIC(mean_dot) UNITVAR_STATISTIC(var_dot) UNITVAR_STATISTIC(running_mean)
                                  UNITVAR_STATISTIC(running_var) UNITVAR_STATISTIC(r) UNITVAR_STATISTIC(d)
                                      UNITVAR_STATISTIC(sum_dy) UNITVAR_STATISTIC(sum_dy_xmu) UNITVAR_STATISTIC(mean_a)
                                          UNITVAR_STATISTIC(m2_a) UNITVAR_STATISTIC(mean_b) UNITVAR_STATISTIC(m2_b)
                                              UNITVAR_STATISTIC(scale) UNITVAR_STATISTIC(shift)
                                                  UNITVAR_STATISTIC(running.mean) UNITVAR_STATISTIC(running.var)
                                                      UNITVAR_SPAN(weight, weight) UNITVAR_SPAN(folded_weight, weight)
                                                          UNITVAR_SPAN(mask, mask)
}

/// Adds the spans of a text such as "x! gamma? y=x var~": ! may be written over, ? is optional, y may be exactly x,
/// ~ is as long as the first span. What is const is an input.
template <class Args>
void add_spans(Operation& op, Args& a, const Lengths& n, const std::string& text) {
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const std::string name = word.substr(0, word.find_first_of("!?~="));
    const auto has = [&](char mark) { return word.find(mark) != std::string::npos; };
    visit_span(a, name, n, [&]<class E>(std::span<E>& span, Length length) {
      if (has('~')) length.meaning += ", the length of " + op.arguments.front().name;
      op.add(name, span, length, std::is_const_v<E> ? Role::input : has('!') ? Role::both : Role::output, has('?'));
    });
    if (op.arguments.empty() || op.arguments.back().name != name) throw std::logic_error("no span " + name);
    if (has('=')) op.same.push_back({name, word.substr(word.find('=') + 1)});
    op.first_tells = op.first_tells || has('~');
  }
}

void refuse_options(Operation& op) {
  const auto refused = [&](const std::string& message, const CpuOptions& cpu, ErrorCode code) {
    op.refuses(code, "options.cpu." + message, [] {}, {.cpu = cpu});
  };
  const auto bad = ErrorCode::bad_argument;
  refused("threads is -1, want 0 (the default) or more", {.threads = -1}, bad);
  refused("walk is -1, want a value of unitvar::Walk", {.walk = static_cast<Walk>(-1)}, bad);
  refused("walk is 3, want a value of unitvar::Walk", {.walk = static_cast<Walk>(3)}, bad);
  refused("isa is 77, want a value of unitvar::Isa", {.isa = static_cast<Isa>(77)}, bad);
  const auto isas = supported_isas();
  const Isa absent = isas.front() == Isa::neon ? Isa::avx2 : Isa::neon;
  std::string text = "isa is " + std::string(isa_name(absent)) + ", want one this machine and build have: ";
  for (const Isa isa : isas) text += (isa == isas.front() ? "" : ", ") + std::string(isa_name(isa));
  refused(text, {.isa = absent}, ErrorCode::unsupported_isa);
}

/// `size` is that of an element.
void refuse_extents(Operation& op, Extent& extent, std::int64_t size) {
  const auto refused = [&](ErrorCode code, const Extent& value, const std::string& message) {
    op.refuses(code, message, [&extent, value] { extent = value; });
  };
  const auto bad = ErrorCode::bad_extent;
  refused(bad, {-3, 4, 5}, "extent.outer is -3, want extent.outer >= 0");
  refused(bad, {-3, -4, 5}, "extent.outer is -3, want extent.outer >= 0");
  refused(bad, {3, 0, 5}, "extent.channels is 0, want extent.channels >= 1");
  refused(bad, {3, -4, -5}, "extent.channels is -4, want extent.channels >= 1");
  refused(bad, {3, 4, 0}, "extent.inner is 0, want extent.inner >= 1");
  refused(bad, {3, 4, -5}, "extent.inner is -5, want extent.inner >= 1");
  for (const Extent& e : {Extent{big, big, big}, {big >> 8, big >> 9, 2}, {big >> 10, big >> 10, 8 / size}}) {
    refused(ErrorCode::overflow, e,
            core::shape_text(e.outer, e.channels, e.inner) + " of " + std::to_string(size) +
                "-byte elements exceeds 64 bits, want at most 9223372036854775807 bytes");
  }
}

void refuse_row_extents(Operation& op, RowExtent& extent, std::int64_t size) {
  const auto refused = [&](ErrorCode code, const RowExtent& value, const std::string& message) {
    op.refuses(code, message, [&extent, value] { extent = value; });
  };
  refused(ErrorCode::bad_extent, {-1, 20}, "extent.rows is -1, want >= 0");
  refused(ErrorCode::bad_extent, {3, 0}, "extent.length is 0, want >= 1");
  refused(ErrorCode::bad_extent, {3, -20}, "extent.length is -20, want >= 1");
  refused(ErrorCode::overflow, {big, big},
          "RowExtent{1099511627776, 1099511627776} of " + std::to_string(size) +
              "-byte elements exceeds 64 bits, want at most 9223372036854775807 bytes");
}

void refuse_groups(Operation& op, Groups& groups, bool instances) {
  const auto bad = ErrorCode::bad_extent;
  const std::string rows = std::to_string(groups.extent.outer);
  op.wants("sample_rows", groups.sample_rows, {2, 0, -3}, "a divisor of extent.outer = " + rows, bad);
  if (instances) {
    op.wants("groups", groups.groups, {2, 3}, "0 or extent.channels = 4", bad);
  } else {
    op.wants("groups", groups.groups, {3, 8, -1}, "a divisor of extent.channels = 4", bad);
  }
}

void refuse_eps(Operation& op, double& eps, const std::string& span, const Flat& flat, double bad,
                const std::string& message, const Options& options) {
  const Argument& values = *op.find(span);
  const auto spoil = [flat, set = values.set, n = values.length.elements, &eps, bad] {
    for (std::int64_t k = 0; k < n; ++k) {
      if (flat.holds(k)) set(k, flat.constant);
    }
    eps = bad;
  };
  op.refuses(ErrorCode::bad_epsilon, message + core::number(bad) + " in " + flat.where + ", want > 0", spoil, options);
}

/// eps beside variances that are given, or of x; then all are looked at before the first write, in every walk.
void refuse_all_eps(Operation& op, double& eps, const Flat& flat) {
  op.wants("eps", eps, {nan, inf, -inf}, "a finite number", ErrorCode::bad_epsilon);
  for (const char* given : {"var", "running_var", "m2"}) {
    if (!op.reads(given)) continue;
    for (const auto& [var, bad] : {std::pair{0.0, 0.0}, {-1.0, 1e-5}, {0.01, -0.01}}) {
      const Flat one{"channel 2", [](std::int64_t k) { return k == 2; }, var};
      refuse_eps(op, eps, given, one, bad, "var + eps is " + core::number(var) + " + ", {});
    }
  }
  if (op.find("x") == nullptr || op.reads("var")) return;
  const std::string what = op.name.starts_with("rms") ? "mean(x^2)" : "var";
  for (const Walk walk : {Walk::automatic, Walk::resident, Walk::streamed}) {
    for (const double bad : {0.0, -1e-3}) {
      refuse_eps(op, eps, "x", flat, bad, what + " + eps is 0 + ", {.cpu = {.walk = walk}});
    }
  }
}

/// Whatever the arguments have beside spans and extents.
template <class Args>
void refuse_scalars(Operation& op, Args& a, const Flat& flat) {
  if constexpr (requires { a.eps; }) refuse_all_eps(op, a.eps, flat);
  const bool in_place = requires { a.max_lost_digits; };
  if constexpr (requires { a.negative_slope; }) {
    op.wants("negative_slope", a.negative_slope, {nan, inf}, in_place ? "a finite number > 0" : "a finite number");
    if (in_place) op.wants("negative_slope", a.negative_slope, {0, -1}, "a finite number > 0");
  }
  if constexpr (requires { a.max_lost_digits; }) op.wants("max_lost_digits", a.max_lost_digits, {nan}, "a number");
  if constexpr (requires { a.r_max; }) op.wants("r_max", a.r_max, {0.5, -1, nan}, "1 or more");
  if constexpr (requires { a.d_max; }) op.wants("d_max", a.d_max, {-1, nan}, "0 or more");
  if constexpr (requires { a.ghost; }) op.wants("ghost", a.ghost, {0, -2}, "1 or more");
  constexpr const char* count = "a finite number >= 0";
  if constexpr (requires { a.count; }) op.wants("count", a.count, {-2, nan, inf}, count);
  if constexpr (requires { a.count_a; }) op.wants("count_a", a.count_a, {-2, nan, inf}, count);
  if constexpr (requires { a.count_b; }) op.wants("count_b", a.count_b, {-2, nan, inf}, count);
  if constexpr (requires {
                  a.count;
                  a.dx;
                })
    op.wants("count", a.count, {0}, "> 0 for an extent that is not empty");
  if constexpr (requires { a.policy; }) op.wants("momentum", a.policy.momentum, {nan, inf, -inf}, "a finite number");
  if (op.reads("weight") && op.few.starts_with("a single weight")) {
    for (const double bad : {-1.0, nan, inf}) {
      op.refuses(ErrorCode::bad_argument, "weight[3] is " + core::number(bad) + ", want a finite number >= 0",
                 [set = op.find("weight")->set, bad] { set(3, bad); });
    }
  }
}

/// Sets an extent that makes tensors of e.size() elements; tells the lengths that follow, and what can be made flat.
template <class Args>
std::pair<Lengths, Flat> set_extent(Operation& op, Args& a, const Extent& e, Layout layout, std::int64_t size) {
  const Length channels{"C", e.channels};
  Lengths n{{"N*C*S", e.size()},
            channels,
            channels,
            {"N*S", e.count()},
            {"batch_norm_act_mask_bytes(extent)", batch_norm_act_mask_bytes(e)}};
  Flat flat{"channel 3", [](std::int64_t k) { return k / 5 % 4 == 3; }};
  if constexpr (requires { a.groups.extent; }) {
    const bool last = layout == Layout::channels_last, instances = op.name.starts_with("instance");
    const Extent flattened{e.outer * e.inner, e.channels, 1};
    a.groups = last ? Groups{flattened, e.inner, 2} : Groups{e, 1, 2};
    if (instances) a.groups.groups = 0;
    n.statistic = {"N*G", a.groups.size()};
    flat = {instances ? "channel 11" : "channel 5", [last, first = instances ? 3 : 2](std::int64_t k) {
              return k >= 40 && (last ? k % 4 : k / 5 % 4) >= first;
            }};
    refuse_extents(op, a.groups.extent, size);
    refuse_groups(op, a.groups, instances);
  } else if constexpr (requires { a.extent.rows; }) {
    a.extent = {e.outer, e.channels * e.inner};
    n = {{"rows*D", e.size()}, {"D", a.extent.length}, {"rows", e.outer}, {}, {}};
    flat = {"row 1", [](std::int64_t k) { return k / 20 == 1; }, op.name.starts_with("rms") ? 0 : 2.5};
    refuse_row_extents(op, a.extent, size);
  } else if constexpr (requires { a.extent.block; }) {
    a.extent = {2, {e.outer, e.channels / 2, e.inner}};
    n.weight = {"the size of extent", e.size()};
    refuse_extents(op, a.extent.block, size);
    op.wants("extent.groups", a.extent.groups, {0, -1}, "1 or more", ErrorCode::bad_extent);
    op.refuses(ErrorCode::overflow, "extent of 1152921504606846976 groups exceeds 64 bits, want fewer",
               [&a] { a.extent.groups = big << 20; });
  } else if constexpr (requires { a.extent; }) {
    a.extent = e;
    refuse_extents(op, a.extent, size);
  }
  if constexpr (requires {
                  a.count;
                  a.dx;
                })
    a.count = 15;
  if constexpr (requires { a.ghost; }) {
    a.ghost = 2;
    n.statistic = {"B*C", ghost_batches(e, 2) * e.channels};
    flat = {"channel 7", [](std::int64_t k) { return k >= 55; }};
  }
  return {n, flat};
}

/// `few`: what is said of one value per channel, if it is refused.
template <class Result, class Args, class... MoreArgs>
void describe(Operation& op, const Extent& e, Layout layout, std::int64_t size,
              Result (*function)(const Args&, MoreArgs...), const std::string& spans, const std::string& few) {
  Args& a = op.calls(function);
  op.few = few;
  // An accumulator's constructor takes extents and options.
  const std::string name = std::exchange(op.name, op.name.substr(0, op.name.find(':')));
  const auto [lengths, flat] = set_extent(op, a, e, layout, size);
  if (sizeof...(MoreArgs) > 0) refuse_options(op);
  op.name = name;
  add_spans(op, a, lengths, spans);
  refuse_scalars(op, a, flat);
}

template <class Result, class Args, class... MoreArgs>
void add_description(OperationCase& to, std::int64_t size, Result (*function)(const Args&, MoreArgs...),
                     const std::string& spans, const std::string& few) {
  const auto add = [&](Layout layout) {
    to.descriptions.push_back(
        [=](Operation& op, const Extent& e) { describe(op, e, layout, size, function, spans, few); });
  };
  add(Layout::channels_first);
  if constexpr (requires(Args a) { a.groups.sample_rows; }) add(Layout::channels_last);
}

/// function_of(T()) is the function for storage type T.
template <class FunctionOf>
OperationCase every_dtype(const char* name, const FunctionOf& function_of, const char* spans, const char* few = "") {
  OperationCase result{name, {}};
  add_description(result, sizeof(float), function_of(float()), spans, few);
  add_description(result, sizeof(double), function_of(double()), spans, few);
  add_description(result, sizeof(bf16), function_of(bf16()), spans, few);
  add_description(result, sizeof(f16), function_of(f16()), spans, few);
  return result;
}

template <class... Functions>
OperationCase one_by_one(const char* name, const char* spans, Functions... functions) {
  OperationCase result{name, {}};
  (add_description(result, 0, functions, spans, ""), ...);
  return result;
}

/// Structs for the arguments of what has none.
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

/// Each call of an accumulator is on an object of its own, with all tiles or none.
template <class T>
struct AddMoments {
  Extent extent;
  std::span<const T> x;
};
template <class T>
MomentsAccumulator<T> add_moments(const AddMoments<T>& a, const Options& options) {
  MomentsAccumulator<T> accumulator(a.extent, options);
  for (std::int64_t t = 0; t < accumulator.tiles(); ++t) accumulator.add(t, 0, a.extent.channels, a.x);
  return accumulator;
}
template <class T>
struct AccumulatedMoments {
  Extent extent;
  std::span<double> mean, m2;
};
template <class T>
void accumulate_moments(const AccumulatedMoments<T>& a, const Options& options) {
  static const std::vector<T> zeros(60);
  const auto size = static_cast<std::size_t>(MomentsAccumulator<T>(a.extent, options).extent().size());
  add_moments<T>({a.extent, std::span(zeros).first(size)}, options).finish(a.mean, a.m2);
}
template <class T>
struct StartSums {
  Extent extent;
  std::span<const double> mean;
};
template <class T>
GradientSumsAccumulator<T> start_sums(const StartSums<T>& a, const Options& options) {
  return {a.extent, a.mean, options};
}
template <class T>
struct AddSums {
  Extent extent;
  std::span<const T> x, dy;
};
template <class T>
GradientSumsAccumulator<T> add_sums(const AddSums<T>& a, const Options& options) {
  static const std::vector<double> zeros(60);
  const auto channels = static_cast<std::size_t>(std::clamp<std::int64_t>(a.extent.channels, 0, 60));
  auto accumulator = start_sums<T>({a.extent, std::span(zeros).first(channels)}, options);
  for (std::int64_t t = 0; t < accumulator.tiles(); ++t) accumulator.add(t, 0, a.extent.channels, a.x, a.dy);
  return accumulator;
}
template <class T>
struct AccumulatedSums {
  Extent extent;
  std::span<double> sum_dy, sum_dy_xmu;
};
template <class T>
void accumulate_sums(const AccumulatedSums<T>& a, const Options& options) {
  static const std::vector<T> zeros(60);
  const auto of = std::span(zeros).first(std::min<std::size_t>(60, static_cast<std::size_t>(a.extent.size())));
  add_sums<T>({a.extent, of, of}, options).finish(a.sum_dy, a.sum_dy_xmu);
}

constexpr const char* of_batch = "extent has 1 value per channel, want 2 or more (or an empty batch)";
constexpr const char* of_ghosts = "the first ghost batch has 1 value per channel, want 2 or more";
constexpr const char* of_weights = "a single weight is > 0, want 2 or more (or none)";
constexpr const char* backward = "x dy mean rstd gamma? dx?=dy dgamma? dbeta?";
constexpr const char* double_backward =
    "x dy mean rstd gamma? grad_dx? grad_dgamma? grad_dbeta? grad_x? grad_dy? grad_gamma?";
constexpr const char* jvp = "x mean rstd gamma? x_dot? gamma_dot? beta_dot? y_dot? mean_dot? var_dot?";

#define UNITVAR_OPERATION(function, ...) \
  every_dtype(                           \
      #function, []<class T>(T) { return function<T>; }, __VA_ARGS__)

}  // namespace

std::vector<OperationCase> all_operations() {
  return {
      UNITVAR_OPERATION(batch_norm_forward, "x gamma? beta? y mean? var? rstd?", of_batch),
      UNITVAR_OPERATION(batch_norm_inference, "x mean var gamma? beta? y=x"),
      UNITVAR_OPERATION(batch_norm_backward, backward, of_batch),
      UNITVAR_OPERATION(batch_norm_act_forward, "x residual? gamma? beta? y=residual mask? mean? var? rstd?", of_batch),
      UNITVAR_OPERATION(batch_norm_act_inference, "x residual? mean var gamma? beta? y=x"),
      UNITVAR_OPERATION(batch_norm_act_backward, "x dy mask mean rstd gamma? dx?=dy dresidual? dgamma? dbeta?",
                        of_batch),
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
      one_by_one("batch_norm_scale_and_shift", "mean var gamma? beta? scale~ shift~",
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
      one_by_one("merge_moments", "mean_a! m2_a~! mean_b~ m2_b~", merge),
      one_by_one("finish_moments", "m2 var?~=m2 rstd~", finish),
      one_by_one("update_running_statistics", "mean var~ running.mean~! running.var~!", update),
      every_dtype(
          "MomentsAccumulator::add", []<class T>(T) { return add_moments<T>; }, "x"),
      every_dtype(
          "MomentsAccumulator::finish", []<class T>(T) { return accumulate_moments<T>; }, "mean m2"),
      every_dtype(
          "GradientSumsAccumulator", []<class T>(T) { return start_sums<T>; }, "mean"),
      every_dtype(
          "GradientSumsAccumulator::add", []<class T>(T) { return add_sums<T>; }, "x dy"),
      every_dtype(
          "GradientSumsAccumulator::finish", []<class T>(T) { return accumulate_sums<T>; }, "sum_dy sum_dy_xmu"),
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
      UNITVAR_OPERATION(rms_norm_double_backward,
                        "x dy rstd gamma? grad_dx? grad_dgamma? grad_dbeta? grad_x? grad_dy? grad_gamma?"),
  };
}

}  // namespace unitvar::test
