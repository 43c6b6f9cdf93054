#pragma once
#include <cstdint>
#include <span>

#include "unitvar/api.hpp"
#include "unitvar/dtype.hpp"
#include "unitvar/extent.hpp"
#include "unitvar/options.hpp"

/// Batch normalization by ghost batches (Hoffer, Hubara, Soudry 2017). The batch is cut into consecutive parts of
/// `ghost` outer rows each. Every part is normalized as a batch of its own. What is common to the
/// functions of unitvar/batch_norm.hpp holds here too: layout, optional spans, errors, threads, bits, accuracy. A
/// communicator is ignored.
///
/// `ghost` counts outer rows of the extent: samples if channels come first. A sample of a channels-last tensor is H*W
/// outer rows: ghost batches of 16 images are ghost = 16 * H * W. The last ghost batch has what is left and may be
/// shorter. There are B = ceil(outer / ghost) of them. Statistics have B*C elements; ghost batch b's channel c is at
/// b * C + c.
///
///   std::vector<double> mean(B * C), var(B * C), rstd(B * C);
///   unitvar::batch_norm_ghost_forward<float>(
///       {.extent = extent, .ghost = ghost, .x = x, .y = y, .mean = mean, .var = var, .rstd = rstd});
///
/// Running statistics take one update for each ghost batch, in order:
///
///   for (std::int64_t b = 0; b < B; ++b) {
///     const auto rows = std::min(ghost, extent.outer - b * ghost);
///     update_running_statistics(running, double(rows * extent.inner), mean.subspan(b * C, C), var.subspan(b * C, C));
///   }
namespace unitvar {

/// Ghost batches of an extent, ceil(outer / ghost). Needs ghost >= 1.
constexpr std::int64_t ghost_batches(const Extent& extent, std::int64_t ghost) noexcept {
  return extent.outer / ghost + (extent.outer % ghost > 0 ? 1 : 0);
}

/// Arguments of batch_norm_ghost_forward.
template <class T>
struct BatchNormGhostForward {
  Extent extent;
  std::int64_t ghost;                      ///< outer rows of a ghost batch, >= 1
  std::span<const T> x;                    ///< input
  std::span<const param_t<T>> gamma = {};  ///< scale, optional, C
  std::span<const param_t<T>> beta = {};   ///< shift, optional, C
  std::span<T> y;                          ///< output; may not overlap x (backward needs x)
  std::span<double> mean = {};             ///< output, optional: B*C
  std::span<double> var = {};              ///< output, optional: biased variance, B*C
  std::span<double> rstd = {};             ///< output, optional: 1 / sqrt(var + eps) with the biased var, B*C
  double eps = 1e-5;                       ///< finite; var + eps must be > 0
};

/// Training forward: batch_norm_forward of each ghost batch (docs/derivation.md B67), with the same bits.
/// A ghost batch of one value per channel is refused (too_few_values), the last one too.
template <class T>
UNITVAR_API void batch_norm_ghost_forward(const BatchNormGhostForward<T>& args, const Options& options = {});

/// Arguments of batch_norm_ghost_backward.
template <class T>
struct BatchNormGhostBackward {
  Extent extent;
  std::int64_t ghost;                      ///< as in the forward
  std::span<const T> x;                    ///< the forward's input
  std::span<const T> dy;                   ///< dL/dy
  std::span<const double> mean;            ///< saved by the forward, B*C
  std::span<const double> rstd;            ///< saved by the forward, B*C
  std::span<const param_t<T>> gamma = {};  ///< optional, C
  std::span<T> dx = {};                    ///< output, optional: dL/dx; may be exactly dy
  std::span<param_t<T>> dgamma = {};       ///< output, optional: dL/dgamma, C
  std::span<param_t<T>> dbeta = {};        ///< output, optional: dL/dbeta, C
};

/// Backward: dx is that of batch_norm_backward of each ghost batch, with the same bits. dgamma and dbeta are the sums
/// of theirs, added in order, in double (docs/derivation.md B67).
template <class T>
UNITVAR_API void batch_norm_ghost_backward(const BatchNormGhostBackward<T>& args, const Options& options = {});

}  // namespace unitvar
