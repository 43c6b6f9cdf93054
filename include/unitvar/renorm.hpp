#pragma once
#include <span>

#include "unitvar/api.hpp"
#include "unitvar/dtype.hpp"
#include "unitvar/extent.hpp"
#include "unitvar/options.hpp"

/// Batch renormalization (Ioffe 2017): training by the batch's statistics, corrected towards the running ones that
/// inference uses. For batches that are small or not drawn independently.
///
///   unitvar::batch_norm_renorm_forward<float>({.extent = extent, .x = x, .running_mean = running_mean,
///                                              .running_var = running_var, .y = y, .mean = mean, .var = var,
///                                              .rstd = rstd, .r = r, .d = d, .r_max = 3, .d_max = 5});
///
/// The rules at the top of unitvar/batch_norm.hpp hold here too, and memory is passed over as often.
namespace unitvar {

/// Arguments of batch_norm_renorm_forward.
template <class T>
struct BatchNormRenormForward {
  Extent extent;
  std::span<const T> x;
  std::span<const param_t<T>> gamma = {};  ///< optional, C
  std::span<const param_t<T>> beta = {};   ///< optional, C
  std::span<const double> running_mean;    ///< C
  std::span<const double> running_var;     ///< C; running_var + eps must be > 0
  std::span<T> y;                          ///< output; may not overlap x
  std::span<double> mean = {};             ///< output, optional: batch mean, C
  std::span<double> var = {};              ///< output, optional: biased batch variance, C
  std::span<double> rstd = {};             ///< output, optional: 1 / sqrt(var + eps) with the biased var, C
  std::span<double> r = {};                ///< output, optional: C
  std::span<double> d = {};                ///< output, optional: C
  double r_max = 1;                        ///< >= 1, may be infinite
  double d_max = 0;                        ///< >= 0, may be infinite
  double eps = 1e-5;
};

/// Training forward. With std = sqrt(var + eps), of the batch and of the running statistics:
///
///   r = clip(std / running_std, 1 / r_max, r_max),  d = clip((mean - running_mean) / running_std, -d_max, d_max)
///   y = gamma * (x_hat * r + d) + beta,             x_hat = (x - mean) / std
///
/// (Ioffe 2017, algorithm 1; docs/derivation.md B68, B69). r_max = 1 and d_max = 0, the defaults, are batch
/// normalization, to the bit for finite parameters; without bounds y is inference's. The running statistics are only
/// read: update_running_statistics moves them afterwards. Errors and accuracy are batch_norm_forward's, and
/// bad_argument for r_max or d_max out of range. Of an empty batch, r and d are those of mean = var = 0.
template <class T>
UNITVAR_API void batch_norm_renorm_forward(const BatchNormRenormForward<T>& args, const Options& options = {});

/// Arguments of batch_norm_renorm_backward.
template <class T>
struct BatchNormRenormBackward {
  Extent extent;
  std::span<const T> x;                    ///< the forward's input
  std::span<const T> dy;                   ///< dL/dy
  std::span<const double> mean;            ///< saved by the forward, C
  std::span<const double> rstd;            ///< saved by the forward, C
  std::span<const double> r;               ///< saved by the forward, C
  std::span<const double> d;               ///< saved by the forward, C
  std::span<const param_t<T>> gamma = {};  ///< optional, C
  std::span<T> dx = {};                    ///< output, optional: dL/dx; may be exactly dy
  std::span<param_t<T>> dgamma = {};       ///< output, optional: dL/dgamma, C
  std::span<param_t<T>> dbeta = {};        ///< output, optional: dL/dbeta, C
};

/// Backward. r and d are constants: no gradient flows through them.
///
///   dbeta  = sum(dy)
///   dgamma = sum(dy * (x_hat * r + d))
///   dx     = gamma * r * rstd * (dy - sum(dy) / N - x_hat * sum(dy * x_hat) / N)
///
/// (Ioffe 2017, section 3; docs/derivation.md B70). Outputs, errors and accuracy are as in batch_norm_backward.
template <class T>
UNITVAR_API void batch_norm_renorm_backward(const BatchNormRenormBackward<T>& args, const Options& options = {});

}  // namespace unitvar
