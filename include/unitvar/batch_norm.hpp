#pragma once
#include <span>

#include "unitvar/api.hpp"
#include "unitvar/dtype.hpp"
#include "unitvar/extent.hpp"
#include "unitvar/options.hpp"

/// Batch normalization as free functions on the caller's memory.
///
///   const auto extent = unitvar::Extent::nchw(8, 3, 32, 32);
///   unitvar::batch_norm_forward<float>({.extent = extent, .x = x, .y = y, .mean = mean, .rstd = rstd});
///   unitvar::batch_norm_backward<float>({.extent = extent, .x = x, .dy = dy, .mean = mean, .rstd = rstd, .dx = dx});
///
/// T is the storage type: float, double, bf16 or f16. Sums end in double and statistics are saved in double, whatever T
/// is. Parameters and their gradients are param_t<T>, float for the 16-bit types. Single elements are computed in
/// double for double, and in float for all else. Where float would lose digits, a channel is computed in double
/// (docs/numerics.md).
///
/// Common to all three functions:
/// - Tensors are contiguous and aligned for their type, of extent.size() elements in the order of Extent. Parameters
/// have C elements.
/// - A span marked "optional" may be empty: an absent gamma is 1, an absent beta is 0, and an absent output is not
///   computed.
/// - Errors are thrown as Error before anything is written: null_data, wrong_length, bad_extent, overflow,
///   too_few_values, bad_epsilon, overlap, bad_argument, unsupported_isa.
/// - Outputs may not overlap any other argument, except where a function says so. Inputs may overlap one another.
/// - Re-entrant; no global state. Up to options.cpu.threads OpenMP threads work inside a call.
/// - The result has the same bits for every thread count, instruction set and walk, and for all floating-point settings
///   of the caller. The sign and payload of a NaN are not part of that (options.hpp).
/// - Ranks: with options.communicator, forward and backward take the sums of all ranks (communicator.hpp). Inference
///   ignores it.
/// - NaN and Inf in one channel reach that channel's results alone.
/// - Of doubles, gamma * rstd may exceed the largest one. Then y is gamma * ((x - mean) * rstd) + beta, and dx is
///   computed likewise: y is beta where x is the mean. y and dx are infinite only where their own values exceed the
///   largest double.
///
/// Accuracy, as relative L2 error against the double formula on the same inputs (tests/parity), for |mean|/std <= 1e6:
/// - float: <= 3e-7. double: <= max(1e-14, 1e-15 |mean|/std).
/// - bf16 and f16: each y and dx is a step of the type at most from the double formula's, rounded once. Where the terms
///   of a result all but cancel, it is off by 2^-22 of these terms at most. dgamma and dbeta: <= 1e-6. dgamma's error
///   grows with rms(dy) / std(dy) where dy has a mean beyond its standard deviation.
/// - The mean is saved in double. So where dy has a mean, dgamma is off by another
///   1.1e-16 sqrt(N) |mean|/std |mean(dy)|/std(dy), of N values a channel (docs/numerics.md).
namespace unitvar {

/// Arguments of batch_norm_forward.
template <class T>
struct BatchNormForward {
  Extent extent;
  std::span<const T> x;                    ///< input
  std::span<const param_t<T>> gamma = {};  ///< scale, optional
  std::span<const param_t<T>> beta = {};   ///< shift, optional
  std::span<T> y;                          ///< output; may not overlap x (backward needs x)
  std::span<double> mean = {};             ///< output, optional: batch mean, C
  std::span<double> var = {};              ///< output, optional: biased batch variance, C
  std::span<double> rstd = {};             ///< output, optional: 1 / sqrt(var + eps) with the biased var, C
  double eps = 1e-5;                       ///< finite; var + eps must be > 0
};

/// Training forward: normalizes each channel by its own batch mean and biased variance.
///
///   mean = sum(x) / N,  var = sum((x - mean)^2) / N,  y = gamma * (x - mean) / sqrt(var + eps) + beta
///
/// with N = extent.count() values per channel (Ioffe & Szegedy 2015, algorithm 1; docs/derivation.md B1 to B5).
/// N = 1 is refused (too_few_values): the output would not depend on x. An empty batch (outer = 0) is legal: y is
/// empty, and mean, var = 0, rstd = 1 / sqrt(eps). With eps <= 0 all variances are checked before the first write.
/// Returns N, over all ranks that share the batch.
template <class T>
UNITVAR_API double batch_norm_forward(const BatchNormForward<T>& args, const Options& options = {});

/// Arguments of batch_norm_inference.
template <class T>
struct BatchNormInference {
  Extent extent;
  std::span<const T> x;                    ///< input
  std::span<const double> mean;            ///< running mean, C
  std::span<const double> var;             ///< running variance, C; the caller's choice of biased or unbiased
  std::span<const param_t<T>> gamma = {};  ///< optional
  std::span<const param_t<T>> beta = {};   ///< optional
  std::span<T> y;                          ///< output; may be exactly x
  double eps = 1e-5;                       ///< finite; var + eps must be > 0
};

/// Inference: normalizes by given (running) statistics.
///
///   y = gamma * (x - mean) / sqrt(var + eps) + beta
///
/// (Ioffe & Szegedy 2015, algorithm 2, line 11; docs/derivation.md B6). One value per channel is legal here.
template <class T>
UNITVAR_API void batch_norm_inference(const BatchNormInference<T>& args, const Options& options = {});

/// Arguments of batch_norm_backward.
template <class T>
struct BatchNormBackward {
  Extent extent;
  std::span<const T> x;                    ///< the forward's input
  std::span<const T> dy;                   ///< dL/dy
  std::span<const double> mean;            ///< saved by the forward, C
  std::span<const double> rstd;            ///< saved by the forward, C
  std::span<const param_t<T>> gamma = {};  ///< optional
  std::span<T> dx = {};                    ///< output, optional: dL/dx; may be exactly dy
  std::span<param_t<T>> dgamma = {};       ///< output, optional: dL/dgamma, C
  std::span<param_t<T>> dbeta = {};        ///< output, optional: dL/dbeta, C
};

/// Backward of the training forward: the analytic gradients.
///
///   dbeta  = sum(dy)
///   dgamma = sum(dy * x_hat),                      x_hat = (x - mean) * rstd
///   dx     = gamma * rstd * (dy - dbeta / N - x_hat * dgamma / N)
///
/// (docs/derivation.md B14, B15, B27). dx is written only if asked for. If only dbeta is asked for, x is checked but
/// not read. An empty batch gives dgamma = dbeta = 0. N = 1 is refused (too_few_values).
template <class T>
UNITVAR_API void batch_norm_backward(const BatchNormBackward<T>& args, const Options& options = {});

}  // namespace unitvar
