#pragma once
#include "fuzz/fields.hpp"
#include "unitvar/unitvar.h"

/// Group, instance, layer and RMS normalization: see fields.hpp.
namespace unitvar::fuzz {

template <class F>
void visit(unitvar_group_norm_forward_args& a, F& f) {
  f.extent(a.groups);
  f.in(a.x, Kind::tensor, Need::always);
  f.in(a.gamma, Kind::parameter, Need::optional);
  f.in(a.beta, Kind::parameter, Need::optional);
  f.out(a.y, Kind::tensor, Need::always);
  f.out(a.mean, Kind::statistic, Need::optional);
  f.out(a.rstd, Kind::statistic, Need::optional);
  f.number(a.eps, 1e-5);
}

template <class F>
void visit(unitvar_group_norm_backward_args& a, F& f) {
  f.extent(a.groups);
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
void visit(unitvar_group_norm_double_backward_args& a, F& f) {
  f.extent(a.groups);
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
void visit(unitvar_layer_norm_forward_args& a, F& f) {
  f.extent(a.extent);
  f.in(a.x, Kind::tensor, Need::always);
  f.in(a.gamma, Kind::parameter, Need::optional);
  f.in(a.beta, Kind::parameter, Need::optional);
  f.out(a.y, Kind::tensor, Need::always);
  f.out(a.mean, Kind::statistic, Need::optional);
  f.out(a.rstd, Kind::statistic, Need::optional);
  f.number(a.eps, 1e-5);
  f.number(a.one_plus_gamma, 0);
}

template <class F>
void visit(unitvar_layer_norm_backward_args& a, F& f) {
  f.extent(a.extent);
  f.in(a.x, Kind::tensor, Need::always);
  f.in(a.dy, Kind::tensor, Need::always);
  f.in(a.mean, Kind::statistic, Need::always);
  f.in(a.rstd, Kind::statistic, Need::always);
  f.in(a.gamma, Kind::parameter, Need::optional);
  f.out(a.dx, Kind::tensor, Need::optional);
  f.out(a.dgamma, Kind::parameter, Need::optional);
  f.out(a.dbeta, Kind::parameter, Need::optional);
  f.number(a.one_plus_gamma, 0);
}

template <class F>
void visit(unitvar_layer_norm_double_backward_args& a, F& f) {
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
  f.number(a.one_plus_gamma, 0);
}

template <class F>
void visit(unitvar_rms_norm_forward_args& a, F& f) {
  f.extent(a.extent);
  f.in(a.x, Kind::tensor, Need::always);
  f.in(a.gamma, Kind::parameter, Need::optional);
  f.in(a.beta, Kind::parameter, Need::optional);
  f.out(a.y, Kind::tensor, Need::always);
  f.out(a.rstd, Kind::statistic, Need::optional);
  f.number(a.eps, 1e-5);
  f.number(a.one_plus_gamma, 0);
}

template <class F>
void visit(unitvar_rms_norm_backward_args& a, F& f) {
  f.extent(a.extent);
  f.in(a.x, Kind::tensor, Need::always);
  f.in(a.dy, Kind::tensor, Need::always);
  f.in(a.rstd, Kind::statistic, Need::always);
  f.in(a.gamma, Kind::parameter, Need::optional);
  f.out(a.dx, Kind::tensor, Need::optional);
  f.out(a.dgamma, Kind::parameter, Need::optional);
  f.out(a.dbeta, Kind::parameter, Need::optional);
  f.number(a.one_plus_gamma, 0);
}

template <class F>
void visit(unitvar_rms_norm_double_backward_args& a, F& f) {
  f.extent(a.extent);
  f.in(a.x, Kind::tensor, Need::always);
  f.in(a.dy, Kind::tensor, Need::always);
  f.in(a.rstd, Kind::statistic, Need::always);
  f.in(a.gamma, Kind::parameter, Need::optional);
  f.in(a.grad_dx, Kind::tensor, Need::optional);
  f.in(a.grad_dgamma, Kind::parameter, Need::optional);
  f.in(a.grad_dbeta, Kind::parameter, Need::optional);
  f.out(a.grad_x, Kind::tensor, Need::optional);
  f.out(a.grad_dy, Kind::tensor, Need::optional);
  f.out(a.grad_gamma, Kind::parameter, Need::optional);
  f.number(a.one_plus_gamma, 0);
}

template <class F>
void visit(unitvar_layer_norm_add_forward_args& a, F& f) {
  f.extent(a.extent);
  f.in(a.x, Kind::tensor, Need::always);
  f.in(a.residual, Kind::tensor, Need::always);
  f.in(a.gamma, Kind::parameter, Need::optional);
  f.in(a.beta, Kind::parameter, Need::optional);
  f.out(a.y, Kind::tensor, Need::always);
  f.out(a.h, Kind::tensor, Need::always);
  f.out(a.mean, Kind::statistic, Need::optional);
  f.out(a.rstd, Kind::statistic, Need::optional);
  f.number(a.eps, 1e-5);
  f.number(a.one_plus_gamma, 0);
}

template <class F>
void visit(unitvar_layer_norm_add_backward_args& a, F& f) {
  f.extent(a.extent);
  f.in(a.h, Kind::tensor, Need::always);
  f.in(a.dy, Kind::tensor, Need::always);
  f.in(a.dh, Kind::tensor, Need::optional);
  f.in(a.mean, Kind::statistic, Need::always);
  f.in(a.rstd, Kind::statistic, Need::always);
  f.in(a.gamma, Kind::parameter, Need::optional);
  f.out(a.dx, Kind::tensor, Need::optional);
  f.out(a.dgamma, Kind::parameter, Need::optional);
  f.out(a.dbeta, Kind::parameter, Need::optional);
  f.number(a.one_plus_gamma, 0);
}

template <class F>
void visit(unitvar_rms_norm_add_forward_args& a, F& f) {
  f.extent(a.extent);
  f.in(a.x, Kind::tensor, Need::always);
  f.in(a.residual, Kind::tensor, Need::always);
  f.in(a.gamma, Kind::parameter, Need::optional);
  f.in(a.beta, Kind::parameter, Need::optional);
  f.out(a.y, Kind::tensor, Need::always);
  f.out(a.h, Kind::tensor, Need::always);
  f.out(a.rstd, Kind::statistic, Need::optional);
  f.number(a.eps, 1e-5);
  f.number(a.one_plus_gamma, 0);
}

template <class F>
void visit(unitvar_rms_norm_add_backward_args& a, F& f) {
  f.extent(a.extent);
  f.in(a.h, Kind::tensor, Need::always);
  f.in(a.dy, Kind::tensor, Need::always);
  f.in(a.dh, Kind::tensor, Need::optional);
  f.in(a.rstd, Kind::statistic, Need::always);
  f.in(a.gamma, Kind::parameter, Need::optional);
  f.out(a.dx, Kind::tensor, Need::optional);
  f.out(a.dgamma, Kind::parameter, Need::optional);
  f.out(a.dbeta, Kind::parameter, Need::optional);
  f.number(a.one_plus_gamma, 0);
}

}  // namespace unitvar::fuzz
