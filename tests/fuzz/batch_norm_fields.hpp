#pragma once
#include "fuzz/fields.hpp"
#include "unitvar/unitvar.h"

/// Batch normalization, its variants and phases: see fields.hpp.
namespace unitvar::fuzz {

template <class F>
void visit(unitvar_batch_norm_forward_args& a, F& f) {
  f.extent(a.extent);
  f.in(a.x, Kind::tensor, Need::always);
  f.in(a.gamma, Kind::parameter, Need::optional);
  f.in(a.beta, Kind::parameter, Need::optional);
  f.out(a.y, Kind::tensor, Need::always);
  f.out(a.mean, Kind::statistic, Need::optional);
  f.out(a.var, Kind::statistic, Need::optional);
  f.out(a.rstd, Kind::statistic, Need::optional);
  f.number(a.eps, 1e-5);
  f.count(a.count);
}

template <class F>
void visit(unitvar_batch_norm_inference_args& a, F& f) {
  f.extent(a.extent);
  f.in(a.x, Kind::tensor, Need::always);
  f.in(a.mean, Kind::statistic, Need::always);
  f.in(a.var, Kind::statistic, Need::always);
  f.in(a.gamma, Kind::parameter, Need::optional);
  f.in(a.beta, Kind::parameter, Need::optional);
  f.out(a.y, Kind::tensor, Need::always);
  f.number(a.eps, 1e-5);
}

template <class F>
void visit(unitvar_batch_norm_backward_args& a, F& f) {
  f.extent(a.extent);
  f.in(a.x, Kind::tensor, Need::always);
  f.in(a.dy, Kind::tensor, Need::always);
  f.in(a.mean, Kind::statistic, Need::always);
  f.in(a.rstd, Kind::statistic, Need::always);
  f.in(a.gamma, Kind::parameter, Need::optional);
  f.out(a.dx, Kind::tensor, Need::optional);
  f.out(a.dgamma, Kind::parameter, Need::optional);
  f.out(a.dbeta, Kind::parameter, Need::optional);
}

template <class F>
void visit(unitvar_batch_norm_frozen_backward_args& a, F& f) {
  f.extent(a.extent);
  f.in(a.x, Kind::tensor, Need::optional);
  f.in(a.dy, Kind::tensor, Need::always);
  f.in(a.mean, Kind::statistic, Need::always);
  f.in(a.var, Kind::statistic, Need::always);
  f.in(a.gamma, Kind::parameter, Need::optional);
  f.out(a.dx, Kind::tensor, Need::optional);
  f.out(a.dgamma, Kind::parameter, Need::optional);
  f.out(a.dbeta, Kind::parameter, Need::optional);
  f.number(a.eps, 1e-5);
}

template <class F>
void visit(unitvar_batch_norm_act_forward_args& a, F& f) {
  f.extent(a.extent);
  f.in(a.x, Kind::tensor, Need::always);
  f.in(a.residual, Kind::tensor, Need::optional);
  f.in(a.gamma, Kind::parameter, Need::optional);
  f.in(a.beta, Kind::parameter, Need::optional);
  f.out(a.y, Kind::tensor, Need::always);
  f.out(a.mask, Kind::mask, Need::optional);
  f.out(a.mean, Kind::statistic, Need::optional);
  f.out(a.var, Kind::statistic, Need::optional);
  f.out(a.rstd, Kind::statistic, Need::optional);
  f.number(a.eps, 1e-5);
  f.activation(a.activation);
}

template <class F>
void visit(unitvar_batch_norm_act_inference_args& a, F& f) {
  f.extent(a.extent);
  f.in(a.x, Kind::tensor, Need::always);
  f.in(a.residual, Kind::tensor, Need::optional);
  f.in(a.mean, Kind::statistic, Need::always);
  f.in(a.var, Kind::statistic, Need::always);
  f.in(a.gamma, Kind::parameter, Need::optional);
  f.in(a.beta, Kind::parameter, Need::optional);
  f.out(a.y, Kind::tensor, Need::always);
  f.number(a.eps, 1e-5);
  f.activation(a.activation);
}

template <class F>
void visit(unitvar_batch_norm_act_backward_args& a, F& f) {
  f.extent(a.extent);
  f.in(a.x, Kind::tensor, Need::always);
  f.in(a.dy, Kind::tensor, Need::always);
  f.in(a.mask, Kind::mask, Need::optional);
  f.in(a.residual, Kind::tensor, Need::optional);
  f.in(a.mean, Kind::statistic, Need::always);
  f.in(a.rstd, Kind::statistic, Need::always);
  f.in(a.gamma, Kind::parameter, Need::optional);
  f.in(a.beta, Kind::parameter, Need::optional);
  f.out(a.dx, Kind::tensor, Need::optional);
  f.out(a.dresidual, Kind::tensor, Need::optional);
  f.out(a.dgamma, Kind::parameter, Need::optional);
  f.out(a.dbeta, Kind::parameter, Need::optional);
  f.activation(a.activation);
}

template <class F>
void visit(unitvar_batch_norm_act_double_backward_args& a, F& f) {
  f.extent(a.extent);
  f.in(a.x, Kind::tensor, Need::always);
  f.in(a.dy, Kind::tensor, Need::always);
  f.in(a.residual, Kind::tensor, Need::optional);
  f.in(a.mean, Kind::statistic, Need::always);
  f.in(a.rstd, Kind::statistic, Need::always);
  f.in(a.gamma, Kind::parameter, Need::optional);
  f.in(a.beta, Kind::parameter, Need::optional);
  f.in(a.grad_dx, Kind::tensor, Need::optional);
  f.in(a.grad_dresidual, Kind::tensor, Need::optional);
  f.in(a.grad_dgamma, Kind::parameter, Need::optional);
  f.in(a.grad_dbeta, Kind::parameter, Need::optional);
  f.out(a.grad_x, Kind::tensor, Need::optional);
  f.out(a.grad_dy, Kind::tensor, Need::optional);
  f.out(a.grad_residual, Kind::tensor, Need::optional);
  f.out(a.grad_gamma, Kind::parameter, Need::optional);
  f.out(a.grad_beta, Kind::parameter, Need::optional);
  f.activation(a.activation);
}

template <class F>
void visit(unitvar_batch_norm_statistics_backward_args& a, F& f) {
  f.extent(a.extent);
  f.in(a.x, Kind::tensor, Need::always);
  f.in(a.dy, Kind::tensor, Need::always);
  f.in(a.mean, Kind::statistic, Need::always);
  f.in(a.rstd, Kind::statistic, Need::always);
  f.in(a.gamma, Kind::parameter, Need::optional);
  f.in(a.dmean, Kind::statistic, Need::optional);
  f.in(a.dvar, Kind::statistic, Need::optional);
  f.out(a.dx, Kind::tensor, Need::optional);
  f.out(a.dgamma, Kind::parameter, Need::optional);
  f.out(a.dbeta, Kind::parameter, Need::optional);
}

template <class F>
void visit(unitvar_batch_norm_double_backward_args& a, F& f) {
  f.extent(a.extent);
  f.in(a.x, Kind::tensor, Need::always);
  f.in(a.dy, Kind::tensor, Need::always);
  f.in(a.mean, Kind::statistic, Need::always);
  f.in(a.rstd, Kind::statistic, Need::always);
  f.in(a.gamma, Kind::parameter, Need::optional);
  f.in(a.grad_dx, Kind::tensor, Need::optional);
  f.in(a.grad_dgamma, Kind::parameter, Need::optional);
  f.in(a.grad_dbeta, Kind::parameter, Need::optional);
  f.out(a.grad_x, Kind::tensor, Need::optional);
  f.out(a.grad_dy, Kind::tensor, Need::optional);
  f.out(a.grad_gamma, Kind::parameter, Need::optional);
}

template <class F>
void visit(unitvar_batch_norm_jvp_args& a, F& f) {
  f.extent(a.extent);
  f.in(a.x, Kind::tensor, Need::always);
  f.in(a.mean, Kind::statistic, Need::always);
  f.in(a.rstd, Kind::statistic, Need::always);
  f.in(a.gamma, Kind::parameter, Need::optional);
  f.in(a.x_dot, Kind::tensor, Need::optional);
  f.in(a.gamma_dot, Kind::parameter, Need::optional);
  f.in(a.beta_dot, Kind::parameter, Need::optional);
  f.out(a.y_dot, Kind::tensor, Need::optional);
  f.out(a.mean_dot, Kind::statistic, Need::optional);
  f.out(a.var_dot, Kind::statistic, Need::optional);
}

template <class F>
void visit(unitvar_batch_norm_ghost_forward_args& a, F& f) {
  f.extent(a.extent);
  f.number(a.ghost, 1);
  f.in(a.x, Kind::tensor, Need::always);
  f.in(a.gamma, Kind::parameter, Need::optional);
  f.in(a.beta, Kind::parameter, Need::optional);
  f.out(a.y, Kind::tensor, Need::always);
  f.out(a.mean, Kind::statistic, Need::optional);
  f.out(a.var, Kind::statistic, Need::optional);
  f.out(a.rstd, Kind::statistic, Need::optional);
  f.number(a.eps, 1e-5);
}

template <class F>
void visit(unitvar_batch_norm_ghost_backward_args& a, F& f) {
  f.extent(a.extent);
  f.number(a.ghost, 1);
  f.in(a.x, Kind::tensor, Need::always);
  f.in(a.dy, Kind::tensor, Need::always);
  f.in(a.mean, Kind::statistic, Need::always);
  f.in(a.rstd, Kind::statistic, Need::always);
  f.in(a.gamma, Kind::parameter, Need::optional);
  f.out(a.dx, Kind::tensor, Need::optional);
  f.out(a.dgamma, Kind::parameter, Need::optional);
  f.out(a.dbeta, Kind::parameter, Need::optional);
}

template <class F>
void visit(unitvar_batch_norm_in_place_forward_args& a, F& f) {
  f.extent(a.extent);
  f.out(a.x, Kind::tensor, Need::always);
  f.in(a.gamma, Kind::parameter, Need::optional);
  f.in(a.beta, Kind::parameter, Need::optional);
  f.out(a.mean, Kind::statistic, Need::optional);
  f.out(a.var, Kind::statistic, Need::optional);
  f.out(a.rstd, Kind::statistic, Need::optional);
  f.number(a.eps, 1e-5);
  f.number(a.negative_slope, 1);
  f.number(a.max_lost_digits, 1);
}

template <class F>
void visit(unitvar_batch_norm_in_place_backward_args& a, F& f) {
  f.extent(a.extent);
  f.in(a.y, Kind::tensor, Need::always);
  f.in(a.dy, Kind::tensor, Need::always);
  f.in(a.rstd, Kind::statistic, Need::always);
  f.in(a.gamma, Kind::parameter, Need::optional);
  f.in(a.beta, Kind::parameter, Need::optional);
  f.out(a.dx, Kind::tensor, Need::optional);
  f.out(a.dgamma, Kind::parameter, Need::optional);
  f.out(a.dbeta, Kind::parameter, Need::optional);
  f.number(a.negative_slope, 1);
  f.number(a.max_lost_digits, 1);
}

template <class F>
void visit(unitvar_batch_norm_renorm_forward_args& a, F& f) {
  f.extent(a.extent);
  f.in(a.x, Kind::tensor, Need::always);
  f.in(a.gamma, Kind::parameter, Need::optional);
  f.in(a.beta, Kind::parameter, Need::optional);
  f.in(a.running_mean, Kind::statistic, Need::always);
  f.in(a.running_var, Kind::statistic, Need::always);
  f.out(a.y, Kind::tensor, Need::always);
  f.out(a.mean, Kind::statistic, Need::optional);
  f.out(a.var, Kind::statistic, Need::optional);
  f.out(a.rstd, Kind::statistic, Need::optional);
  f.out(a.r, Kind::statistic, Need::optional);
  f.out(a.d, Kind::statistic, Need::optional);
  f.number(a.r_max, 1.5);
  f.number(a.d_max, 0.5);
  f.number(a.eps, 1e-5);
}

template <class F>
void visit(unitvar_batch_norm_renorm_backward_args& a, F& f) {
  f.extent(a.extent);
  f.in(a.x, Kind::tensor, Need::always);
  f.in(a.dy, Kind::tensor, Need::always);
  f.in(a.mean, Kind::statistic, Need::always);
  f.in(a.rstd, Kind::statistic, Need::always);
  f.in(a.r, Kind::statistic, Need::always);
  f.in(a.d, Kind::statistic, Need::always);
  f.in(a.gamma, Kind::parameter, Need::optional);
  f.out(a.dx, Kind::tensor, Need::optional);
  f.out(a.dgamma, Kind::parameter, Need::optional);
  f.out(a.dbeta, Kind::parameter, Need::optional);
}

template <class F>
void visit(unitvar_batch_norm_weighted_forward_args& a, F& f) {
  f.extent(a.extent);
  f.in(a.x, Kind::tensor, Need::always);
  f.in(a.weight, Kind::weight, Need::always);
  f.in(a.gamma, Kind::parameter, Need::optional);
  f.in(a.beta, Kind::parameter, Need::optional);
  f.out(a.y, Kind::tensor, Need::always);
  f.out(a.mean, Kind::statistic, Need::optional);
  f.out(a.var, Kind::statistic, Need::optional);
  f.out(a.rstd, Kind::statistic, Need::optional);
  f.number(a.eps, 1e-5);
  f.number(a.zero_unweighted, 0);
  f.count(a.count);
}

template <class F>
void visit(unitvar_batch_norm_weighted_backward_args& a, F& f) {
  f.extent(a.extent);
  f.in(a.x, Kind::tensor, Need::always);
  f.in(a.dy, Kind::tensor, Need::always);
  f.in(a.weight, Kind::weight, Need::always);
  f.in(a.mean, Kind::statistic, Need::always);
  f.in(a.rstd, Kind::statistic, Need::always);
  f.in(a.gamma, Kind::parameter, Need::optional);
  f.out(a.dx, Kind::tensor, Need::optional);
  f.out(a.dgamma, Kind::parameter, Need::optional);
  f.out(a.dbeta, Kind::parameter, Need::optional);
}

template <class F>
void visit(unitvar_moments_args& a, F& f) {
  f.extent(a.extent);
  f.in(a.x, Kind::tensor, Need::always);
  f.out(a.mean, Kind::statistic, Need::always);
  f.out(a.m2, Kind::statistic, Need::always);
}

template <class F>
void visit(unitvar_normalize_args& a, F& f) {
  f.extent(a.extent);
  f.in(a.x, Kind::tensor, Need::always);
  f.in(a.mean, Kind::statistic, Need::always);
  f.in(a.rstd, Kind::statistic, Need::always);
  f.in(a.gamma, Kind::parameter, Need::optional);
  f.in(a.beta, Kind::parameter, Need::optional);
  f.out(a.y, Kind::tensor, Need::always);
}

template <class F>
void visit(unitvar_gradient_sums_args& a, F& f) {
  f.extent(a.extent);
  f.in(a.x, Kind::tensor, Need::always);
  f.in(a.dy, Kind::tensor, Need::always);
  f.in(a.mean, Kind::statistic, Need::always);
  f.out(a.sum_dy, Kind::statistic, Need::always);
  f.out(a.sum_dy_xmu, Kind::statistic, Need::always);
}

template <class F>
void visit(unitvar_input_gradient_args& a, F& f) {
  f.extent(a.extent);
  f.in(a.x, Kind::tensor, Need::always);
  f.in(a.dy, Kind::tensor, Need::always);
  f.in(a.mean, Kind::statistic, Need::always);
  f.in(a.rstd, Kind::statistic, Need::always);
  f.in(a.gamma, Kind::parameter, Need::optional);
  f.in(a.sum_dy, Kind::statistic, Need::always);
  f.in(a.sum_dy_xmu, Kind::statistic, Need::always);
  f.number(a.count, 1);
  f.out(a.dx, Kind::tensor, Need::always);
}

template <class F>
void visit(unitvar_batch_norm_fold_args& a, F& f) {
  f.extent(a.extent);
  f.in(a.weight, Kind::tensor, Need::always);
  f.in(a.bias, Kind::parameter, Need::optional);
  f.in(a.mean, Kind::statistic, Need::always);
  f.in(a.var, Kind::statistic, Need::always);
  f.in(a.gamma, Kind::parameter, Need::optional);
  f.in(a.beta, Kind::parameter, Need::optional);
  f.out(a.folded_weight, Kind::tensor, Need::always);
  f.out(a.folded_bias, Kind::parameter, Need::always);
  f.number(a.eps, 1e-5);
}

}  // namespace unitvar::fuzz
