#pragma once
#include <span>

#include "unitvar/api.hpp"
#include "unitvar/dtype.hpp"
#include "unitvar/extent.hpp"
#include "unitvar/options.hpp"

/// Backward of batch_norm_inference: batch normalization whose statistics are constants, as in a layer that is frozen
/// while the rest of a network is trained.
///
///   unitvar::batch_norm_frozen_backward<float>(
///       {.extent = extent, .dy = dy, .mean = running_mean, .var = running_var, .gamma = gamma, .dx = dx});
///
/// The rules at the top of unitvar/batch_norm.hpp hold here too. A communicator is ignored.
namespace unitvar {

/// Arguments of batch_norm_frozen_backward.
template <class T>
struct BatchNormFrozenBackward {
  Extent extent;
  std::span<const T> x = {};               ///< the forward's input; may be empty unless dgamma is asked for
  std::span<const T> dy;                   ///< dL/dy
  std::span<const double> mean;            ///< running mean that the forward used, C
  std::span<const double> var;             ///< running variance that the forward used, C
  std::span<const param_t<T>> gamma = {};  ///< optional
  std::span<T> dx = {};                    ///< output, optional: dL/dx; may be exactly dy
  std::span<param_t<T>> dgamma = {};       ///< output, optional: dL/dgamma, C
  std::span<param_t<T>> dbeta = {};        ///< output, optional: dL/dbeta, C
  double eps = 1e-5;                       ///< the forward's
};

/// Backward by given (running) statistics, through which nothing flows.
///
///   dx     = gamma * rstd * dy,                      rstd = 1 / sqrt(var + eps)
///   dgamma = sum(dy * (x - mean) * rstd)
///   dbeta  = sum(dy)
///
/// (docs/derivation.md B42). dx alone is one pass: dy is read and dx written. x is read only if dgamma is asked for.
/// One value per channel is legal. An empty batch gives dgamma = dbeta = 0. Where dy or gamma is 0, dx is +0, whatever
/// the signs.
template <class T>
UNITVAR_API void batch_norm_frozen_backward(const BatchNormFrozenBackward<T>& args, const Options& options = {});

}  // namespace unitvar
