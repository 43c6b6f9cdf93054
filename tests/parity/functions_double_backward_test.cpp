// The backward of the backward behind the activations that are no leaky ReLU.
#include <gtest/gtest.h>

#include <vector>

#include "parity/functions.hpp"
#include "support/oracle.hpp"
#include "unitvar/activation.hpp"
#include "unitvar/frozen.hpp"
#include "unitvar/gradcheck.hpp"

namespace unitvar::test {
namespace {

using namespace functions;

template <class T>
struct Second {
  std::vector<T> x, dy, residual;
  std::vector<param_t<T>> gamma, beta;
};

template <class T>
Second<T> run_second(const Problem<T>& p, const Problem<T>& of, const std::vector<T>& residual, const Forward<T>& f,
                     const Activation& activation, bool frozen) {
  const std::vector<T> t(p.x.size());
  const std::vector<param_t<T>> c(to_size(p.extent.channels));
  Second<T> s{t, t, t, c, c};
  const BatchNormActDoubleBackward<T> args{.extent = p.extent,
                                           .x = p.x,
                                           .dy = p.dy,
                                           .residual = residual,
                                           .mean = f.mean,
                                           .rstd = f.rstd,
                                           .gamma = p.gamma,
                                           .beta = p.beta,
                                           .grad_dx = of.x,
                                           .grad_dresidual = of.dy,
                                           .grad_dgamma = of.gamma,
                                           .grad_dbeta = of.beta,
                                           .grad_x = s.x,
                                           .grad_dy = s.dy,
                                           .grad_residual = s.residual,
                                           .grad_gamma = s.gamma,
                                           .grad_beta = s.beta,
                                           .activation = activation};
  frozen ? batch_norm_act_frozen_double_backward<T>(args) : batch_norm_act_double_backward<T>(args);
  return s;
}

TEST(FunctionsOfDoubles, B92DoubleBackwardMatchesTheReference) {
  for (const Extent& extent : few_extents()) {
    const auto p = make_problem<double>(extent);
    const auto of = make_problem<double>(ProblemSpec{.extent = extent, .seed = 7});
    const auto residual = residual_of(p);
    for (const auto& [name, activation] : all_functions) {
      SCOPED_TRACE(describe(extent) + " " + name);
      using R = long double;
      const auto forward = reference::act_forward<R>(extent, as<R>(p.x), as<R>(p.gamma), as<R>(p.beta),
                                                     static_cast<R>(p.eps), as<R>(residual), activation);
      const auto u = as<R>(of.gamma), w = as<R>(of.beta), v = as<R>(of.x), z = as<R>(of.dy);
      const auto want = reference::act_double_backward<R>(forward.cache, forward.v, activation, as<R>(p.dy),
                                                          {.dx = v, .dz = z, .dgamma = u, .dbeta = w});
      const auto got = run_second(p, of, residual, run_forward(p, residual, activation), activation, false);
      EXPECT_LE(relative_l2(got.x, want.grad_x, R(0)), 1e-12L);
      EXPECT_LE(relative_l2(got.dy, want.grad_dy, R(0)), 1e-12L);
      EXPECT_LE(relative_l2(got.residual, want.grad_z, R(1e-9)), 1e-12L);
      EXPECT_LE(relative_l2(got.gamma, want.grad_gamma, R(0)), 1e-12L);
      EXPECT_LE(relative_l2(got.beta, want.grad_beta, R(1e-9)), 1e-12L);
    }
  }
}

/// The cotangents' product with the gradients, as a function of one input of the frozen backward.
TEST(FunctionsOfDoubles, B92FrozenDoubleBackwardMatchesNumericDifferentiation) {
  const Extent extent{3, 2, 5};
  auto p = make_problem<double>(extent);
  const auto of = make_problem<double>(ProblemSpec{.extent = extent, .seed = 7});
  const auto residual = residual_of(p);
  const Activation silu = Activation::silu();
  Forward<double> f;
  f.mean = {0.25, -0.5}, f.rstd = {0.75, 1.5};
  const std::vector<double> var = {1 / (0.75 * 0.75), 1 / (1.5 * 1.5)};
  const auto loss = [&](std::span<const double>) {
    std::vector<double> g(p.x.size()), dx(g), dgamma(2), dbeta(2);
    auto args = arguments(p, residual, f, silu);
    args.dresidual = g;
    batch_norm_act_backward<double>(args);
    batch_norm_frozen_backward<double>({.extent = extent,
                                        .x = p.x,
                                        .dy = g,
                                        .mean = f.mean,
                                        .var = var,
                                        .gamma = p.gamma,
                                        .dx = dx,
                                        .dgamma = dgamma,
                                        .dbeta = dbeta,
                                        .eps = 0});
    double sum = 0;
    for (std::size_t k = 0; k < g.size(); ++k) sum += of.x[k] * dx[k] + of.dy[k] * g[k];
    for (std::size_t c = 0; c < 2; ++c) sum += of.gamma[c] * dgamma[c] + of.beta[c] * dbeta[c];
    return sum;
  };
  const auto got = run_second(p, of, residual, f, silu, true);
  EXPECT_LE(gradcheck(loss, p.x, got.x).l2_error, 1e-8);
  EXPECT_LE(gradcheck(loss, p.dy, got.dy).l2_error, 1e-8);
  EXPECT_LE(gradcheck(loss, p.gamma, got.gamma).l2_error, 1e-8);
  EXPECT_LE(gradcheck(loss, p.beta, got.beta).l2_error, 1e-8);
}

}  // namespace
}  // namespace unitvar::test
