#pragma once
#include <utility>
#include <vector>

#include "support/rows.hpp"
#include "unitvar/layer_norm_add.hpp"

/// Layer and RMS normalization behind a residual.
namespace unitvar::test {

/// `norm` is what follows the addition: its x is h, the sum rounded to T once.
template <class T>
struct RowAddProblem {
  RowProblem<T> norm;
  std::vector<T> x, residual, dh;
  bool one_plus_gamma = false;
};

/// A double has more than twice T's digits, so this is the exact sum, rounded once.
template <class T>
std::vector<T> rounded_sum(const std::vector<T>& a, const std::vector<T>& b) {
  std::vector<T> sum(a.size());
  for (std::size_t k = 0; k < a.size(); ++k) {
    sum[k] = static_cast<T>(static_cast<double>(a[k]) + static_cast<double>(b[k]));
  }
  return sum;
}

template <class T>
RowAddProblem<T> make_row_add_problem(RowNorm norm, const RowExtent& e, double mean_over_std = 0, double scale = 1) {
  Random random(20230717);
  RowAddProblem<T> p{make_row_problem<T>(norm, e, mean_over_std, scale),
                     {},
                     normal_values<T>(e.size(), random),
                     normal_values<T>(e.size(), random)};
  for (T& v : p.residual) v = static_cast<T>(scale * static_cast<double>(v));
  p.x = p.norm.x;
  p.norm.x = rounded_sum(p.x, p.residual);
  return p;
}

/// The forward on given memory. Without a mean, RMS normalization.
template <class T>
void run_add_into(const RowAddProblem<T>& p, std::span<const T> x, std::span<const T> residual, std::span<T> y,
                  std::span<T> h, RowForwardResult<T>& f, const Options& options = {}) {
  const auto call = [&](auto args, auto operation) {
    args.extent = p.norm.extent, args.x = x, args.residual = residual, args.y = y, args.h = h;
    args.gamma = p.norm.gamma, args.beta = p.norm.beta, args.rstd = f.rstd, args.eps = p.norm.eps;
    args.one_plus_gamma = p.one_plus_gamma;
    if constexpr (requires { args.mean; }) args.mean = f.mean;
    operation(args, options);
  };
  f.rstd.resize(to_size(p.norm.extent.rows));
  if (p.norm.norm == RowNorm::layer) {
    f.mean.resize(f.rstd.size());
    call(LayerNormAddForward<T>{}, layer_norm_add_forward<T>);
  } else {
    call(RmsNormAddForward<T>{}, rms_norm_add_forward<T>);
  }
}

template <class T>
struct RowAddResult {
  RowForwardResult<T> norm;
  std::vector<T> h;
};

template <class T>
RowAddResult<T> run_add_forward(const RowAddProblem<T>& p, const Options& options = {}) {
  RowAddResult<T> r{{std::vector<T>(p.x.size()), {}, {}}, std::vector<T>(p.x.size())};
  run_add_into<T>(p, p.x, p.residual, r.norm.y, r.h, r.norm, options);
  return r;
}

/// The backward into given memory, from the statistics that `f` holds. An empty dh is an absent one.
template <class T>
void run_add_backward_into(const RowAddProblem<T>& p, std::span<const T> dy, std::span<const T> dh,
                           const RowForwardResult<T>& f, std::span<T> dx, std::span<param_t<T>> dgamma,
                           std::span<param_t<T>> dbeta, const Options& options = {}) {
  const auto call = [&](auto args, auto operation) {
    args.extent = p.norm.extent, args.h = p.norm.x, args.dy = dy, args.dh = dh, args.rstd = f.rstd;
    args.gamma = p.norm.gamma, args.dx = dx, args.dgamma = dgamma, args.dbeta = dbeta;
    args.one_plus_gamma = p.one_plus_gamma;
    if constexpr (requires { args.mean; }) args.mean = f.mean;
    operation(args, options);
  };
  if (p.norm.norm == RowNorm::layer) {
    call(LayerNormAddBackward<T>{}, layer_norm_add_backward<T>);
  } else {
    call(RmsNormAddBackward<T>{}, rms_norm_add_backward<T>);
  }
}

template <class T>
BackwardResult<T> run_add_backward(const RowAddProblem<T>& p, const RowForwardResult<T>& f,
                                   const Options& options = {}) {
  const std::size_t columns = to_size(p.norm.extent.length);
  BackwardResult<T> r{std::vector<T>(p.x.size()), std::vector<param_t<T>>(columns), std::vector<param_t<T>>(columns)};
  run_add_backward_into<T>(p, p.norm.dy, p.dh, f, r.dx, r.dgamma, r.dbeta, options);
  return r;
}

}  // namespace unitvar::test
