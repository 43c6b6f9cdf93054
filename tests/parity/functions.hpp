#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "support/isas.hpp"
#include "support/oracle.hpp"
#include "support/problem.hpp"
#include "unitvar/activation.hpp"

/// Forward and backward with an activation, and those activations that are no leaky ReLU.
namespace unitvar::test::functions {

struct Named {
  const char* name;
  Activation activation;
};
inline constexpr Named all_functions[] = {{"identity", Activation::identity()},
                                          {"clip", Activation::clip(-0.5, 1.25)},
                                          {"hard-swish", Activation::hard_swish()},
                                          {"silu", Activation::silu()}};

/// The last is written past the caches, by rows that share lines of memory.
inline std::vector<Extent> function_extents() {
  auto extents = few_extents();
  extents.push_back({7, 401, 196});
  return extents;
}

template <class T>
std::vector<T> residual_of(const Problem<T>& p) {
  return make_problem<T>(ProblemSpec{.extent = p.extent, .seed = 99}).x;
}

template <class T>
struct Forward {
  std::vector<T> y;
  std::vector<std::uint8_t> mask;
  std::vector<double> mean, var, rstd;
};

template <class T>
Forward<T> run_forward(const Problem<T>& p, const std::vector<T>& residual, const Activation& activation,
                       const Options& options = {}) {
  const std::vector<double> c(to_size(p.extent.channels));
  Forward<T> f{std::vector<T>(p.x.size()),
               std::vector<std::uint8_t>(to_size(batch_norm_act_mask_bytes(p.extent, activation))), c, c, c};
  batch_norm_act_forward<T>({.extent = p.extent,
                             .x = p.x,
                             .residual = residual,
                             .gamma = p.gamma,
                             .beta = p.beta,
                             .y = f.y,
                             .mask = f.mask,
                             .mean = f.mean,
                             .var = f.var,
                             .rstd = f.rstd,
                             .eps = p.eps,
                             .activation = activation},
                            options);
  return f;
}

template <class T>
struct Backward {
  std::vector<T> dx, dresidual;
  std::vector<param_t<T>> dgamma, dbeta;
};

template <class T>
BatchNormActBackward<T> arguments(const Problem<T>& p, const std::vector<T>& residual, const Forward<T>& f,
                                  const Activation& activation) {
  return {.extent = p.extent,
          .x = p.x,
          .dy = p.dy,
          .mask = f.mask,
          .residual = residual,
          .mean = f.mean,
          .rstd = f.rstd,
          .gamma = p.gamma,
          .beta = p.beta,
          .activation = activation};
}

template <class T>
Backward<T> run_backward(const Problem<T>& p, const std::vector<T>& residual, const Forward<T>& f,
                         const Activation& activation, const Options& options = {}) {
  const std::vector<param_t<T>> c(to_size(p.extent.channels));
  Backward<T> b{std::vector<T>(p.x.size()), std::vector<T>(p.x.size()), c, c};
  auto args = arguments(p, residual, f, activation);
  args.dx = b.dx, args.dresidual = b.dresidual, args.dgamma = b.dgamma, args.dbeta = b.dbeta;
  batch_norm_act_backward<T>(args, options);
  return b;
}

/// Where the activation has a kink, an element that is there but for rounding may fall on either side: its g is taken
/// from the library.
template <class T>
void expect_reference(const Problem<T>& p, bool with_residual, const Activation& activation) {
  using R = oracle_t<T>;
  const auto residual = with_residual ? residual_of(p) : std::vector<T>();
  const auto x = as<R>(p.x), gamma = as<R>(p.gamma), beta = as<R>(p.beta), z = as<R>(residual);
  const auto want = reference::act_forward<R>(p.extent, x, gamma, beta, static_cast<R>(p.eps), z, activation);
  const auto gradients = reference::act_backward<R>(want.cache, want.v, activation, as<R>(p.dy));
  const auto e = expected(p);
  const R y_scale = e.y_scale + l2_norm(z), dy_scale = l2_norm(as<R>(p.dy));
  // v is known to its own rounding, and so is a'(v): its slope is at most 1/2.
  const R dz_scale = dy_scale * (1 + y_scale / std::sqrt(static_cast<R>(p.x.size())));
  for_each_isa([&](Isa isa) {
    for (const Walk walk : all_walks) {
      const Options options{.cpu = {.threads = 2, .isa = isa, .walk = walk}};
      const auto f = run_forward(p, residual, activation, options);
      expect_within<T>(Quantity::y, relative_l2(f.y, want.y, y_scale), e.mean_over_std);
      const auto b = run_backward(p, residual, f, activation, options);
      expect_within<T>(Quantity::dx, relative_l2(b.dresidual, gradients.dz, dz_scale), e.mean_over_std);
      const auto plain = reference::backward<R>(want.cache, as<R>(b.dresidual));
      expect_within<T>(Quantity::dx, relative_l2(b.dx, plain.dx, e.dx_scale), e.mean_over_std);
      expect_within<T>(Quantity::dgamma, relative_l2(b.dgamma, plain.dgamma, e.dgamma_scale), e.mean_over_std);
      expect_within<T>(Quantity::dbeta, relative_l2(b.dbeta, plain.dbeta, e.dbeta_scale), e.mean_over_std);
    }
  });
}

}  // namespace unitvar::test::functions
