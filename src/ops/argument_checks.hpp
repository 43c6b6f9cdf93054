#pragma once
#include <cstdint>

#include "core/arguments.hpp"

/// The checks that operations share, over argument structs that have spans of these names. What not all of them have is
/// looked at if it is there. The order is that of the documented structs, and so of the errors.
namespace unitvar::ops {

/// The lengths of a call's spans.
struct Lengths {
  core::Length tensor, parameters, statistics;

  static Lengths of(const Extent& e) noexcept { return {{e.size(), "N*C*S"}, {e.channels, "C"}, {e.channels, "C"}}; }
};

/// The same, of an extent that is looked at first.
template <class T>
Lengths checked_lengths(const core::Arguments& check, const Extent& extent) {
  check_extent(check.operation(), extent, sizeof(T));
  return Lengths::of(extent);
}

template <class Args>
void check_parameters(core::Arguments& check, const Args& a, const core::Length& length) {
  check.optional_input("gamma", a.gamma, length);
  check.optional_input("beta", a.beta, length);
}

template <class Args>
core::Length mask_length(const Args& a) {
  return {batch_norm_act_mask_bytes(a.extent, a.activation), "batch_norm_act_mask_bytes(extent, activation)"};
}

/// Of a forward that computes its statistics. Without y, x is normalized in place.
template <class Args>
void check_forward_spans(core::Arguments& check, const Args& a, const Lengths& n) {
  if constexpr (requires { a.y; }) {
    check.input("x", a.x, n.tensor);
  } else {
    check.output("x", a.x, n.tensor);
  }
  if constexpr (requires { a.weight; }) check.input("weight", a.weight, {a.extent.count(), "N*S"});
  if constexpr (requires { a.residual; }) check.optional_input("residual", a.residual, n.tensor);
  check_parameters(check, a, n.parameters);
  if constexpr (requires { a.running_mean; }) check.input("running_mean", a.running_mean, n.statistics);
  if constexpr (requires { a.running_var; }) check.input("running_var", a.running_var, n.statistics);
  if constexpr (requires { a.y; }) check.output("y", a.y, n.tensor);
  if constexpr (requires { a.mask; }) {
    check.optional_output("mask", a.mask, mask_length(a));
  }
  if constexpr (requires { a.mean; }) check.optional_output("mean", a.mean, n.statistics);
  if constexpr (requires { a.var; }) check.optional_output("var", a.var, n.statistics);
  check.optional_output("rstd", a.rstd, n.statistics);
  if constexpr (requires { a.r; }) check.optional_output("r", a.r, n.statistics);
  if constexpr (requires { a.d; }) check.optional_output("d", a.d, n.statistics);
}

/// Of a forward by given statistics. y may be x.
template <class Args>
void check_inference_spans(core::Arguments& check, const Args& a, const Lengths& n) {
  check.input("x", a.x, n.tensor);
  if constexpr (requires { a.residual; }) check.optional_input("residual", a.residual, n.tensor);
  check.input("mean", a.mean, n.statistics);
  if constexpr (requires { a.var; }) check.input("var", a.var, n.statistics);
  if constexpr (requires { a.rstd; }) check.input("rstd", a.rstd, n.statistics);
  check_parameters(check, a, n.parameters);
  check.output("y", a.y, n.tensor);
  check.no_overlap("y", "x");
}

/// Of a backward: what the forward has saved. Where that is y, there is no x; by a given var, x is for dgamma alone.
template <class Args>
void check_saved_spans(core::Arguments& check, const Args& a, const Lengths& n) {
  if constexpr (!requires { a.x; }) {
    check.input("y", a.y, n.tensor);
  } else if constexpr (requires { a.var; }) {
    if (!a.x.empty() || !a.dgamma.empty()) check.input("x", a.x, n.tensor);
  } else {
    check.input("x", a.x, n.tensor);
  }
  if constexpr (requires { a.dy; }) check.input("dy", a.dy, n.tensor);
  if constexpr (requires { a.mask; }) {
    check.input("mask", a.mask, mask_length(a));
  }
  if constexpr (requires { a.weight; }) check.input("weight", a.weight, {a.extent.count(), "N*S"});
  if constexpr (requires { a.mean; }) check.input("mean", a.mean, n.statistics);
  if constexpr (requires { a.var; }) check.input("var", a.var, n.statistics);
  if constexpr (requires { a.rstd; }) check.input("rstd", a.rstd, n.statistics);
  if constexpr (requires { a.r; }) check.input("r", a.r, n.statistics);
  if constexpr (requires { a.d; }) check.input("d", a.d, n.statistics);
  if constexpr (requires { a.residual; }) check.optional_input("residual", a.residual, n.tensor);
  check.optional_input("gamma", a.gamma, n.parameters);
  if constexpr (requires { a.beta; }) check.optional_input("beta", a.beta, n.parameters);
  if constexpr (requires { a.dmean; }) check.optional_input("dmean", a.dmean, n.statistics);
  if constexpr (requires { a.dvar; }) check.optional_input("dvar", a.dvar, n.statistics);
}

/// dx may be dy.
template <class Args>
void check_backward_spans(core::Arguments& check, const Args& a, const Lengths& n) {
  check_saved_spans(check, a, n);
  check.optional_output("dx", a.dx, n.tensor);
  if constexpr (requires { a.dresidual; }) check.optional_output("dresidual", a.dresidual, n.tensor);
  check.optional_output("dgamma", a.dgamma, n.parameters);
  check.optional_output("dbeta", a.dbeta, n.parameters);
  check.no_overlap("dx", "dy");
}

template <class Args>
void check_double_backward_spans(core::Arguments& check, const Args& a, const Lengths& n) {
  check_saved_spans(check, a, n);
  check.optional_input("grad_dx", a.grad_dx, n.tensor);
  if constexpr (requires { a.grad_dresidual; }) check.optional_input("grad_dresidual", a.grad_dresidual, n.tensor);
  check.optional_input("grad_dgamma", a.grad_dgamma, n.parameters);
  check.optional_input("grad_dbeta", a.grad_dbeta, n.parameters);
  check.optional_output("grad_x", a.grad_x, n.tensor);
  check.optional_output("grad_dy", a.grad_dy, n.tensor);
  if constexpr (requires { a.grad_residual; }) check.optional_output("grad_residual", a.grad_residual, n.tensor);
  check.optional_output("grad_gamma", a.grad_gamma, n.parameters);
  if constexpr (requires { a.grad_beta; }) check.optional_output("grad_beta", a.grad_beta, n.parameters);
  check.no_overlap();
}

inline void check_variances(const core::Arguments& check, std::span<const double> var, double eps,
                            const char* name = "var") {
  for (std::size_t c = 0; c < var.size(); ++c) check.positive_variance(var[c], eps, static_cast<std::int64_t>(c), name);
}

}  // namespace unitvar::ops
