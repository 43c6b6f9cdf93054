#pragma once
#include <cmath>
#include <limits>
#include <utility>

#include "unit/refused_operations.hpp"
#include "unitvar/unitvar.hpp"

/// Describes an operation by a text that names its spans, and by the members that its argument struct has.
namespace unitvar::test {

inline constexpr double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
inline constexpr std::int64_t big = std::int64_t{1} << 40;

struct Lengths {
  Length tensor, parameter, statistic, weight, mask;
};

/// Elements that become one constant, which leaves `where` without a variance.
struct Flat {
  std::string where;
  std::function<bool(std::int64_t k)> holds;
  double constant = 2.5;
};

#define UNITVAR_TENSORS(of)                                                                                        \
  of(x) of(y) of(dy) of(dx) of(h) of(dh) of(residual) of(dresidual) of(grad_residual) of(grad_dresidual) of(x_dot) \
      of(y_dot) of(grad_x) of(grad_dx) of(grad_dy)
#define UNITVAR_PARAMETERS(of)                                                                                      \
  of(gamma) of(beta) of(dgamma) of(dbeta) of(grad_gamma) of(grad_beta) of(grad_dgamma) of(grad_dbeta) of(gamma_dot) \
      of(beta_dot) of(bias) of(folded_bias)
#define UNITVAR_STATISTICS(of)                                                                                        \
  of(mean) of(var) of(rstd) of(m2) of(dmean) of(dvar) of(mean_dot) of(var_dot) of(running_mean) of(running_var) of(r) \
      of(d) of(sum_dy) of(sum_dy_xmu) of(mean_a) of(m2_a) of(mean_b) of(m2_b) of(scale) of(shift) of(running.mean)    \
          of(running.var)

struct NamedSpan {
  const char* name;
  AnySpan span;
  Length Lengths::*length;
};

/// What an argument struct has. Descriptions are made of this, and know no type of arguments.
struct Members {
  std::vector<NamedSpan> spans;
  std::vector<std::pair<const char*, double*>> numbers;
  Extent* extent = nullptr;
  RowExtent* rows = nullptr;
  Groups* groups = nullptr;
  WeightExtent* weight = nullptr;
  std::int64_t* ghost = nullptr;

  void add(const char* name, const AnySpan& span, Length Lengths::*length) { spans.push_back({name, span, length}); }
  void add(const char* name, double& number) { numbers.emplace_back(name, &number); }
  void add(Extent& of) { extent = &of; }
  void add(RowExtent& of) { rows = &of; }
  void add(WeightExtent& of) { weight = &of; }
};

template <class Args>
Members members_of(Args& a) {
  Members to;
#define UNITVAR_SPAN(span, length) \
  if constexpr (requires { a.span.data(); }) to.add(#span, AnySpan::of(a.span), &Lengths::length);
#define UNITVAR_TENSOR(span) UNITVAR_SPAN(span, tensor)
#define UNITVAR_PARAMETER(span) UNITVAR_SPAN(span, parameter)
#define UNITVAR_STATISTIC(span) UNITVAR_SPAN(span, statistic)
#define UNITVAR_NUMBER(name, number) \
  if constexpr (requires { a.number; }) to.add(name, a.number);
  UNITVAR_TENSORS(UNITVAR_TENSOR)
  UNITVAR_PARAMETERS(UNITVAR_PARAMETER)
  UNITVAR_STATISTICS(UNITVAR_STATISTIC)
  UNITVAR_SPAN(weight, weight)
  UNITVAR_SPAN(folded_weight, weight)
  UNITVAR_SPAN(mask, mask)
  UNITVAR_NUMBER("eps", eps)
  UNITVAR_NUMBER("negative_slope", negative_slope)
  UNITVAR_NUMBER("activation.negative_slope", activation.negative_slope)
  UNITVAR_NUMBER("max_lost_digits", max_lost_digits)
  UNITVAR_NUMBER("r_max", r_max)
  UNITVAR_NUMBER("d_max", d_max)
  UNITVAR_NUMBER("count", count)
  UNITVAR_NUMBER("count_a", count_a)
  UNITVAR_NUMBER("count_b", count_b)
  UNITVAR_NUMBER("momentum", policy.momentum)
  if constexpr (requires { a.groups.extent; }) to.groups = &a.groups;
  if constexpr (requires { a.extent; }) to.add(a.extent);
  if constexpr (requires { a.ghost; }) to.ghost = &a.ghost;
  return to;
}

/// Describes a call of a function with elements of `size` bytes, on tensors of e.size() elements.
void describe(Operation& op, const Description& d, const Members& members, const Extent& e);

/// Adds the description of a function with elements of `size` bytes in each layout. `few`: what is said of one value
/// per channel, if it is refused.
template <class Result, class Args, class... Rest>
void describe(OperationCase& to, std::int64_t size, Result (*function)(const Args&, Rest...), const std::string& spans,
              const std::string& few = "") {
  const auto fill = [](Operation& op, const Description& d, const Extent& e) {
    Args& a = op.calls(reinterpret_cast<Result (*)(const Args&, Rest...)>(d.function));
    describe(op, d, members_of(a), e);
  };
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    if (layout == Layout::channels_last && !requires(Args a) { a.groups.sample_rows; }) break;
    to.descriptions.push_back(
        {reinterpret_cast<void (*)()>(function), fill, size, layout, sizeof...(Rest) > 0, spans, few});
  }
}

}  // namespace unitvar::test
