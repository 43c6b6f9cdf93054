#pragma once
#include <cstdint>

#include "core/arguments.hpp"

/// The checks that operations share, over argument structs that have spans of these names. What not all of them have is
/// looked at if it is there. The order is that of the documented structs, and so of the errors.
namespace unitvar::ops {

/// How many elements a span has, and what that is called.
struct Length {
  std::int64_t elements;
  const char* meaning;
};

/// Those of a call.
struct Lengths {
  Length tensor, parameters, statistics;

  static Lengths of(const Extent& e) noexcept { return {{e.size(), "N*C*S"}, {e.channels, "C"}, {e.channels, "C"}}; }
};

/// The same, of an extent that is looked at first.
template <class T>
Lengths checked_lengths(const core::Arguments& check, const Extent& extent) {
  check_extent(check.operation(), extent, sizeof(T));
  return Lengths::of(extent);
}

template <class T>
void input(core::Arguments& check, const char* name, std::span<T> span, const Length& length) {
  check.input(name, span, length.elements, length.meaning);
}
template <class T>
void optional_input(core::Arguments& check, const char* name, std::span<T> span, const Length& length) {
  check.optional_input(name, span, length.elements, length.meaning);
}
template <class T>
void output(core::Arguments& check, const char* name, std::span<T> span, const Length& length) {
  check.output(name, span, length.elements, length.meaning);
}
template <class T>
void optional_output(core::Arguments& check, const char* name, std::span<T> span, const Length& length) {
  check.optional_output(name, span, length.elements, length.meaning);
}

template <class Args>
void check_parameters(core::Arguments& check, const Args& a, const Length& length) {
  optional_input(check, "gamma", a.gamma, length);
  optional_input(check, "beta", a.beta, length);
}

/// Of a forward that computes its statistics. Without y, x is normalized in place.
template <class Args>
void check_forward_spans(core::Arguments& check, const Args& a, const Lengths& n) {
  if constexpr (requires { a.y; }) {
    input(check, "x", a.x, n.tensor);
  } else {
    output(check, "x", a.x, n.tensor);
  }
  if constexpr (requires { a.weight; }) check.input("weight", a.weight, a.extent.count(), "N*S");
  if constexpr (requires { a.residual; }) optional_input(check, "residual", a.residual, n.tensor);
  check_parameters(check, a, n.parameters);
  if constexpr (requires { a.running_mean; }) input(check, "running_mean", a.running_mean, n.statistics);
  if constexpr (requires { a.running_var; }) input(check, "running_var", a.running_var, n.statistics);
  if constexpr (requires { a.y; }) output(check, "y", a.y, n.tensor);
  if constexpr (requires { a.mask; }) {
    check.optional_output("mask", a.mask, batch_norm_act_mask_bytes(a.extent), "batch_norm_act_mask_bytes(extent)");
  }
  if constexpr (requires { a.mean; }) optional_output(check, "mean", a.mean, n.statistics);
  if constexpr (requires { a.var; }) optional_output(check, "var", a.var, n.statistics);
  optional_output(check, "rstd", a.rstd, n.statistics);
  if constexpr (requires { a.r; }) optional_output(check, "r", a.r, n.statistics);
  if constexpr (requires { a.d; }) optional_output(check, "d", a.d, n.statistics);
}

/// Of a forward by given statistics. y may be x.
template <class Args>
void check_inference_spans(core::Arguments& check, const Args& a, const Lengths& n) {
  input(check, "x", a.x, n.tensor);
  if constexpr (requires { a.residual; }) optional_input(check, "residual", a.residual, n.tensor);
  input(check, "mean", a.mean, n.statistics);
  if constexpr (requires { a.var; }) input(check, "var", a.var, n.statistics);
  if constexpr (requires { a.rstd; }) input(check, "rstd", a.rstd, n.statistics);
  check_parameters(check, a, n.parameters);
  output(check, "y", a.y, n.tensor);
  check.no_overlap("y", "x");
}

/// Of a backward: what the forward has saved. Where that is y, there is no x; by a given var, x is for dgamma alone.
template <class Args>
void check_saved_spans(core::Arguments& check, const Args& a, const Lengths& n) {
  if constexpr (!requires { a.x; }) {
    input(check, "y", a.y, n.tensor);
  } else if constexpr (requires { a.var; }) {
    if (!a.x.empty() || !a.dgamma.empty()) input(check, "x", a.x, n.tensor);
  } else {
    input(check, "x", a.x, n.tensor);
  }
  if constexpr (requires { a.dy; }) input(check, "dy", a.dy, n.tensor);
  if constexpr (requires { a.mask; }) {
    check.input("mask", a.mask, batch_norm_act_mask_bytes(a.extent), "batch_norm_act_mask_bytes(extent)");
  }
  if constexpr (requires { a.weight; }) check.input("weight", a.weight, a.extent.count(), "N*S");
  if constexpr (requires { a.mean; }) input(check, "mean", a.mean, n.statistics);
  if constexpr (requires { a.var; }) input(check, "var", a.var, n.statistics);
  if constexpr (requires { a.rstd; }) input(check, "rstd", a.rstd, n.statistics);
  if constexpr (requires { a.r; }) input(check, "r", a.r, n.statistics);
  if constexpr (requires { a.d; }) input(check, "d", a.d, n.statistics);
  optional_input(check, "gamma", a.gamma, n.parameters);
  if constexpr (requires { a.beta; }) optional_input(check, "beta", a.beta, n.parameters);
  if constexpr (requires { a.dmean; }) optional_input(check, "dmean", a.dmean, n.statistics);
  if constexpr (requires { a.dvar; }) optional_input(check, "dvar", a.dvar, n.statistics);
}

/// dx may be dy.
template <class Args>
void check_backward_spans(core::Arguments& check, const Args& a, const Lengths& n) {
  check_saved_spans(check, a, n);
  optional_output(check, "dx", a.dx, n.tensor);
  if constexpr (requires { a.dresidual; }) optional_output(check, "dresidual", a.dresidual, n.tensor);
  optional_output(check, "dgamma", a.dgamma, n.parameters);
  optional_output(check, "dbeta", a.dbeta, n.parameters);
  check.no_overlap("dx", "dy");
}

template <class Args>
void check_double_backward_spans(core::Arguments& check, const Args& a, const Lengths& n) {
  check_saved_spans(check, a, n);
  optional_input(check, "grad_dx", a.grad_dx, n.tensor);
  optional_input(check, "grad_dgamma", a.grad_dgamma, n.parameters);
  optional_input(check, "grad_dbeta", a.grad_dbeta, n.parameters);
  optional_output(check, "grad_x", a.grad_x, n.tensor);
  optional_output(check, "grad_dy", a.grad_dy, n.tensor);
  optional_output(check, "grad_gamma", a.grad_gamma, n.parameters);
  check.no_overlap();
}

inline void check_variances(const core::Arguments& check, std::span<const double> var, double eps) {
  for (std::size_t c = 0; c < var.size(); ++c) check.positive_variance(var[c], eps, static_cast<std::int64_t>(c));
}

}  // namespace unitvar::ops
