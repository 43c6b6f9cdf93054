#pragma once
#include <span>
#include <vector>

#include "unitvar/api.hpp"
#include "unitvar/reference/closed_forms.hpp"
#include "unitvar/reference/forward.hpp"

/// Batch normalization as a computational graph of nine steps, forward and back (Kratzert 2016). Every step is a value
/// with a name. The analytic forms are measured against it. The rules at the top of unitvar/reference.hpp hold.
namespace unitvar::reference {

/// The graph forward, (B32). Members stand in the order of the steps.
template <class R>
struct StagedForward {
  Extent extent;
  std::vector<R> gamma;    ///< input, C
  std::vector<R> mean;     ///< step 1: sum(x) / N, C
  std::vector<R> xmu;      ///< step 2: x - mean
  std::vector<R> sq;       ///< step 3: xmu^2
  std::vector<R> var;      ///< step 4: sum(sq) / N, biased, C
  std::vector<R> sqrtvar;  ///< step 5: sqrt(var + eps), C
  std::vector<R> rstd;     ///< step 6: 1 / sqrtvar, C
  std::vector<R> x_hat;    ///< step 7: xmu * rstd
  std::vector<R> gammax;   ///< step 8: gamma * x_hat
  std::vector<R> y;        ///< step 9: gammax + beta
};

/// The graph backward, (B33). Members stand in the order in which the gradient flows, from step 9 to step 1.
template <class R>
struct StagedBackward {
  std::vector<R> dbeta;     ///< step 9: sum(dy), C
  std::vector<R> dgammax;   ///< step 9: dy
  std::vector<R> dgamma;    ///< step 8: sum(dgammax * x_hat), C
  std::vector<R> dx_hat;    ///< step 8: gamma * dgammax
  std::vector<R> drstd;     ///< step 7: sum(dx_hat * xmu), C
  std::vector<R> dxmu1;     ///< step 7: dx_hat * rstd
  std::vector<R> dsqrtvar;  ///< step 6: -drstd / sqrtvar^2, C
  std::vector<R> dvar;      ///< step 5: dsqrtvar / (2 sqrt(var + eps)), C
  std::vector<R> dsq;       ///< step 4: dvar / N, for every element
  std::vector<R> dxmu2;     ///< step 3: 2 xmu * dsq
  std::vector<R> dmean;     ///< step 2: -sum(dxmu1 + dxmu2), C
  std::vector<R> dx1;       ///< step 2: dxmu1 + dxmu2
  std::vector<R> dx2;       ///< step 1: dmean / N, for every element
  std::vector<R> dx;        ///< dx1 + dx2
};

/// Runs the nine steps forward (B32).
template <class R>
UNITVAR_API StagedForward<R> staged_forward(const Extent& extent, std::span<const R> x, std::span<const R> gamma,
                                            std::span<const R> beta, R eps);

/// Runs the nine steps back (B33).
template <class R>
UNITVAR_API StagedBackward<R> staged_backward(const StagedForward<R>& stages, std::span<const R> dy);

}  // namespace unitvar::reference
