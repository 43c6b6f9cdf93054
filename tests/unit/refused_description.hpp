#pragma once
#include <cmath>
#include <limits>
#include <sstream>
#include <stdexcept>

#include "unit/refused_operations.hpp"
#include "unitvar/unitvar.hpp"

/// Describes an operation by a text that names its spans, and by the members that its argument struct has.
namespace unitvar::test {

inline constexpr double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
inline constexpr std::int64_t big = std::int64_t{1} << 40;

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

#define UNITVAR_TENSORS(of) \
  of(x) of(y) of(dy) of(dx) of(residual) of(dresidual) of(x_dot) of(y_dot) of(grad_x) of(grad_dx) of(grad_dy)
#define UNITVAR_PARAMETERS(of)                                                                                     \
  of(gamma) of(beta) of(dgamma) of(dbeta) of(grad_gamma) of(grad_dgamma) of(grad_dbeta) of(gamma_dot) of(beta_dot) \
      of(bias) of(folded_bias)
#define UNITVAR_STATISTICS(of)                                                                                        \
  of(mean) of(var) of(rstd) of(m2) of(dmean) of(dvar) of(mean_dot) of(var_dot) of(running_mean) of(running_var) of(r) \
      of(d) of(sum_dy) of(sum_dy_xmu) of(mean_a) of(m2_a) of(mean_b) of(m2_b) of(scale) of(shift) of(running.mean)    \
          of(running.var)

/// Calls visit(span, length) for the span of this name.
template <class Args, class Visit>
void visit_span(Args& a, const std::string& name, const Lengths& n, const Visit& visit) {
#define UNITVAR_VISIT(span, length)             \
  if constexpr (requires { a.span.data(); }) {  \
    if (name == #span) visit(a.span, n.length); \
  }
#define UNITVAR_VISIT_TENSOR(span) UNITVAR_VISIT(span, tensor)
#define UNITVAR_VISIT_PARAMETER(span) UNITVAR_VISIT(span, parameter)
#define UNITVAR_VISIT_STATISTIC(span) UNITVAR_VISIT(span, statistic)
  UNITVAR_TENSORS(UNITVAR_VISIT_TENSOR);
  UNITVAR_PARAMETERS(UNITVAR_VISIT_PARAMETER);
  UNITVAR_STATISTICS(UNITVAR_VISIT_STATISTIC);
  UNITVAR_VISIT(weight, weight);
  UNITVAR_VISIT(folded_weight, weight);
  UNITVAR_VISIT(mask, mask);
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
    if (op.find(name) == nullptr) throw std::logic_error(op.name + " has no span " + name);
    if (has('=')) op.same.push_back({name, word.substr(word.find('=') + 1)});
    op.first_tells = op.first_tells || has('~');
  }
}

void refuse_options(Operation& op);
/// `size` is that of an element in bytes.
void refuse_extents(Operation& op, Extent& extent, std::int64_t size);
void refuse_extents(Operation& op, RowExtent& extent, std::int64_t size);
/// Of instances, groups have one channel.
void refuse_groups(Operation& op, Groups& groups, bool instances);
/// eps beside variances that are given, or of x.
void refuse_eps(Operation& op, double& eps, const Flat& flat);
void refuse_weights(Operation& op);

/// What the arguments have beside spans and extents.
template <class Args>
void refuse_scalars(Operation& op, Args& a, const Flat& flat) {
  constexpr const char* count = "a finite number >= 0";
  const bool in_place = requires { a.max_lost_digits; };
  if constexpr (requires { a.eps; }) refuse_eps(op, a.eps, flat);
  if constexpr (requires { a.negative_slope; }) {
    op.wants("negative_slope", a.negative_slope, {nan, inf}, in_place ? "a finite number > 0" : "a finite number");
    if (in_place) op.wants("negative_slope", a.negative_slope, {0, -1}, "a finite number > 0");
  }
  if constexpr (requires { a.max_lost_digits; }) op.wants("max_lost_digits", a.max_lost_digits, {nan}, "a number");
  if constexpr (requires { a.r_max; }) op.wants("r_max", a.r_max, {0.5, -1, nan}, "1 or more");
  if constexpr (requires { a.d_max; }) op.wants("d_max", a.d_max, {-1, nan}, "0 or more");
  if constexpr (requires { a.ghost; }) op.wants("ghost", a.ghost, {0, -2}, "1 or more");
  if constexpr (requires { a.count; }) {
    if (op.name == "input_gradient") op.wants("count", a.count, {0}, "> 0 for an extent that is not empty");
    op.wants("count", a.count, {-2, nan, inf}, count);
    if (a.count == 0) a.count = 15;
  }
  if constexpr (requires { a.count_a; }) op.wants("count_a", a.count_a, {-2, nan, inf}, count);
  if constexpr (requires { a.count_b; }) op.wants("count_b", a.count_b, {-2, nan, inf}, count);
  if constexpr (requires { a.policy; }) op.wants("momentum", a.policy.momentum, {nan, inf, -inf}, "a finite number");
  if (op.name.find("weighted") != std::string::npos) refuse_weights(op);
}

/// Sets an extent that makes tensors of e.size() elements; gives the lengths that follow, and what can be made flat.
template <class Args>
std::pair<Lengths, Flat> set_extent(Operation& op, Args& a, const Extent& e, Layout layout, std::int64_t size) {
  const Length channels{"C", e.channels};
  const Length mask{"batch_norm_act_mask_bytes(extent)", batch_norm_act_mask_bytes(e)};
  Lengths n{{"N*C*S", e.size()}, channels, channels, {"N*S", e.count()}, mask};
  Flat flat{"channel 3", [](std::int64_t k) { return k / 5 % 4 == 3; }};
  if constexpr (requires { a.groups.extent; }) {
    const bool last = layout == Layout::channels_last, instances = op.name.starts_with("instance");
    const std::int64_t groups = instances ? 0 : 2;
    a.groups = last ? Groups{{e.outer * e.inner, e.channels, 1}, e.inner, groups} : Groups{e, 1, groups};
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
    refuse_extents(op, a.extent, size);
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
  if constexpr (requires { a.ghost; }) {
    a.ghost = 2;
    n.statistic = {"B*C", ghost_batches(e, 2) * e.channels};
    flat = {"channel 7", [](std::int64_t k) { return k >= 55; }};
  }
  return {n, flat};
}

/// Adds the description of a function with elements of `size` bytes in each layout. `few`: what is said of one value
/// per channel, if it is refused.
template <class Result, class Args, class... Rest>
void describe(OperationCase& to, std::int64_t size, Result (*function)(const Args&, Rest...), const std::string& spans,
              const std::string& few = "") {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    if (layout == Layout::channels_last && !requires(Args a) { a.groups.sample_rows; }) break;
    to.descriptions.push_back([=](Operation& op, const Extent& e) {
      Args& a = op.calls(function);
      op.few = few;
      // Of an accumulator, the constructor names itself in messages about extents and options.
      const std::string name = std::exchange(op.name, op.name.substr(0, op.name.find(':')));
      const auto [lengths, flat] = set_extent(op, a, e, layout, size);
      if (sizeof...(Rest) > 0) refuse_options(op);
      op.name = name;
      add_spans(op, a, lengths, spans);
      refuse_scalars(op, a, flat);
    });
  }
}

}  // namespace unitvar::test
