#pragma once
#include <span>
#include <vector>

#include "unitvar/extent.hpp"

/// The mathematics of batch normalization, executable: scalar, readable, beside docs/derivation.md.
/// R is the type of the arithmetic: double, or long double where double itself is to be judged.
namespace unitvar::reference {

/// What the forward keeps for the backward; mean, var (biased), rstd have C elements, x_hat extent.size().
template <class R>
struct Cache {
  Extent extent;
  std::vector<R> mean, var, rstd, x_hat, gamma;
};

template <class R>
struct Forward {
  std::vector<R> y;
  Cache<R> cache;
};

/// An empty gamma is 1, an empty beta is 0.
template <class R>
Forward<R> forward(const Extent& extent, std::span<const R> x, std::span<const R> gamma, std::span<const R> beta,
                   R eps);

template <class R>
struct Gradients {
  std::vector<R> dx, dgamma, dbeta;
};

/// One of the closed forms (the compact one); the others follow in this header.
template <class R>
Gradients<R> backward(const Cache<R>& cache, std::span<const R> dy);

}  // namespace unitvar::reference
