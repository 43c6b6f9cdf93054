#pragma once
#include "cpu/phases/row_batch.hpp"
#include "ops/argument_checks.hpp"
#include "unitvar/row_extent.hpp"

namespace unitvar::ops {

/// The arguments of RMS normalization have no mean.
template <class Args>
inline constexpr cpu::Center center_of = requires(const Args& a) {
  a.mean;
}
? cpu::Center::mean : cpu::Center::zero;

/// Whether a residual is added to x first.
template <class Args>
inline constexpr bool kHasResidual = requires(const Args& a) {
  a.residual;
};

/// Of a tensor of T whose rows are normalized.
template <class T>
Lengths checked_lengths(const core::Arguments& check, const RowExtent& extent) {
  check_extent(check.operation(), extent, sizeof(T));
  return {{extent.size(), "rows*D"}, {extent.length, "D"}, {extent.rows, "rows"}};
}

/// y may be x; with a residual, each of y and h may be x or the residual.
template <class Args>
void check_row_forward(core::Arguments& check, const Args& a, const Lengths& n) {
  if constexpr (kHasResidual<Args>) {
    check.input("x", a.x, n.tensor);
    check.input("residual", a.residual, n.tensor);
    check_parameters(check, a, n.parameters);
    check.output("y", a.y, n.tensor);
    check.output("h", a.h, n.tensor);
    if constexpr (requires { a.mean; }) check.optional_output("mean", a.mean, n.statistics);
    check.optional_output("rstd", a.rstd, n.statistics);
    check.no_overlap({{"y", "x"}, {"y", "residual"}, {"h", "x"}, {"h", "residual"}});
  } else {
    check_forward_spans(check, a, n);
    check.no_overlap("y", "x");
  }
}

/// dx may be dy; behind a residual, it may be dh.
template <class Args>
void check_row_backward(core::Arguments& check, const Args& a, const Lengths& n) {
  if constexpr (requires { a.h; }) {
    check.input("h", a.h, n.tensor);
    check.input("dy", a.dy, n.tensor);
    check.optional_input("dh", a.dh, n.tensor);
    if constexpr (requires { a.mean; }) check.input("mean", a.mean, n.statistics);
    check.input("rstd", a.rstd, n.statistics);
    check.optional_input("gamma", a.gamma, n.parameters);
    check.optional_output("dx", a.dx, n.tensor);
    check.optional_output("dgamma", a.dgamma, n.parameters);
    check.optional_output("dbeta", a.dbeta, n.parameters);
    check.no_overlap({{"dx", "dy"}, {"dx", "dh"}});
  } else {
    check_backward_spans(check, a, n);
  }
}

}  // namespace unitvar::ops
