#pragma once
#include <cstdint>
#include <span>

#include "unitvar/api.hpp"
#include "unitvar/dtype.hpp"
#include "unitvar/extent.hpp"
#include "unitvar/options.hpp"

/// Group and instance normalization as free functions on the caller's memory. Each sample's channels are normalized by
/// themselves: in groups of C/G (Wu & He 2018), or one by one, G = C (Ulyanov et al. 2016). Training and inference give
/// the same results, whatever the batch. T is the storage type: float, double, bf16 or f16.
///
///   const std::vector<std::int64_t> shape = {8, 64, 56, 56};
///   const auto groups = unitvar::Groups::channels_first(shape, 32);
///   unitvar::group_norm_forward<float>({.groups = groups, .x = x, .y = y, .mean = mean, .rstd = rstd});
///
/// ONNX GroupNormalization-21 and InstanceNormalization-22 are these formulas; the sums end in double here, whatever
/// `stash_type` asks for. PyTorch's group_norm and instance_norm (use_input_stats) are the same, but refuse one value
/// per instance.
///
/// Common to all functions here:
/// - Tensors are contiguous, of groups.extent.size() elements in the order of Extent. Parameters have C elements, one
///   for each channel. Statistics are double and have groups.size() = N*G elements; sample n's group g is at n * G + g.
/// - A span marked "optional" may be empty: an absent gamma is 1, an absent beta is 0, and an absent output is not
///   computed.
/// - A group of one value (one channel of one element) is legal: x_hat = 0, y = beta, dx = 0. So is an empty batch:
///   nothing is written but dgamma = dbeta = 0.
/// - Errors are thrown as Error before anything is written: null_data, wrong_length, bad_extent, overflow, bad_epsilon,
///   overlap, bad_argument, unsupported_isa.
/// - Outputs may not overlap any other argument, except where a function says so. Inputs may overlap one another.
/// - Re-entrant; no global state. Up to options.cpu.threads OpenMP threads work inside a call. The result has the same
///   bits for every thread count, instruction set and walk.
/// - Ranks: statistics are of one sample, so a communicator is ignored. dgamma and dbeta are of the rank's samples.
/// - NaN and Inf in one group reach that group's results alone, and dgamma and dbeta of its channels.
///
/// Accuracy, as relative L2 error against the double formula on the same inputs (tests/parity), while |mean|/std <= 1e6
/// in every group:
/// - float: <= 3e-7. double: <= max(1e-14, 1e-15 |mean|/std).
/// - bf16 and f16: each y and dx is a step of the type at most from the double formula's, rounded once. dgamma and
///   dbeta: <= 1e-6.
/// - The mean is saved in double. So where dy has a mean, dgamma is also off as batch_norm.hpp says.
namespace unitvar {

/// A tensor as group normalization sees it. A sample is `sample_rows` consecutive outer rows of the extent: 1 if
/// channels come first, the spatial size if they come last. A group is C / groups consecutive channels of a sample.
struct UNITVAR_API Groups {
  Extent extent;
  std::int64_t sample_rows = 1;  ///< divides extent.outer
  std::int64_t groups = 0;       ///< G per sample; divides extent.channels. 0: as many as there are channels

  /// From the shape of a tensor of rank 2 to 5. Axis 0 is N. Axis 1 (channels first) or the last axis (channels last)
  /// is C. Both throw Error (bad_extent, overflow).
  static Groups channels_first(std::span<const std::int64_t> shape, std::int64_t groups = 0);
  static Groups channels_last(std::span<const std::int64_t> shape, std::int64_t groups = 0);

  /// These need a checked extent (see check_groups).
  [[nodiscard]] constexpr std::int64_t samples() const noexcept { return extent.outer / sample_rows; }
  [[nodiscard]] constexpr std::int64_t per_sample() const noexcept { return groups == 0 ? extent.channels : groups; }
  [[nodiscard]] constexpr std::int64_t group_channels() const noexcept { return extent.channels / per_sample(); }
  /// Groups of all samples, N*G.
  [[nodiscard]] constexpr std::int64_t size() const noexcept { return samples() * per_sample(); }
  /// Values of a group: the M of the formulas.
  [[nodiscard]] constexpr std::int64_t count() const noexcept { return sample_rows * extent.inner * group_channels(); }

  friend constexpr bool operator==(const Groups&, const Groups&) = default;
};

/// Checks groups. Throws Error (bad_extent, overflow) unless the extent is legal (check_extent), sample_rows >= 1
/// divides outer, and groups >= 0 divides channels. `operation` begins the message.
UNITVAR_API void check_groups(const char* operation, const Groups& groups, std::int64_t bytes_per_element);

/// Arguments of group_norm_forward and instance_norm_forward.
template <class T>
struct GroupNormForward {
  Groups groups;
  std::span<const T> x;                    ///< input
  std::span<const param_t<T>> gamma = {};  ///< scale, optional, C
  std::span<const param_t<T>> beta = {};   ///< shift, optional, C
  std::span<T> y;                          ///< output; may not overlap x (backward needs x)
  std::span<double> mean = {};             ///< output, optional, N*G
  std::span<double> rstd = {};             ///< output, optional: 1 / sqrt(var + eps) with the biased var, N*G
  double eps = 1e-5;                       ///< finite; var + eps must be > 0
};

/// Forward: normalizes each group by its own mean and biased variance.
///
///   mean = sum(x) / M,  var = sum((x - mean)^2) / M,  y = gamma_c * (x - mean) / sqrt(var + eps) + beta_c
///
/// with M = groups.count() values per group (Wu & He 2018; docs/derivation.md B73, B74). With eps <= 0 all variances
/// are checked before the first write.
template <class T>
UNITVAR_API void group_norm_forward(const GroupNormForward<T>& args, const Options& options = {});

/// group_norm_forward with one channel per group: groups.groups is 0 or C, else bad_extent (Ulyanov et al. 2016).
template <class T>
UNITVAR_API void instance_norm_forward(const GroupNormForward<T>& args, const Options& options = {});

/// Arguments of group_norm_backward and instance_norm_backward.
template <class T>
struct GroupNormBackward {
  Groups groups;
  std::span<const T> x;                    ///< the forward's input
  std::span<const T> dy;                   ///< dL/dy
  std::span<const double> mean;            ///< saved by the forward, N*G
  std::span<const double> rstd;            ///< saved by the forward, N*G
  std::span<const param_t<T>> gamma = {};  ///< optional, C
  std::span<T> dx = {};                    ///< output, optional: dL/dx; may be exactly dy
  std::span<param_t<T>> dgamma = {};       ///< output, optional: dL/dgamma, C
  std::span<param_t<T>> dbeta = {};        ///< output, optional: dL/dbeta, C
};

/// Backward: the analytic gradients.
///
///   dbeta_c  = sum over samples of sum(dy)
///   dgamma_c = sum over samples of sum(dy * x_hat),   x_hat = (x - mean) * rstd
///   dx       = rstd * (gamma_c dy - mean(gamma dy) - x_hat * mean(gamma dy * x_hat)),   means over the group
///
/// (docs/derivation.md B75). Samples are added in order, in double. If only dbeta is asked for, x is checked but not
/// read.
template <class T>
UNITVAR_API void group_norm_backward(const GroupNormBackward<T>& args, const Options& options = {});

/// group_norm_backward with one channel per group: groups.groups is 0 or C, else bad_extent.
template <class T>
UNITVAR_API void instance_norm_backward(const GroupNormBackward<T>& args, const Options& options = {});

/// Arguments of group_norm_double_backward and instance_norm_double_backward. grad_ names the gradient of a second
/// loss. Gradients for the backward's outputs are inputs here; gradients for its inputs are outputs.
template <class T>
struct GroupNormDoubleBackward {
  Groups groups;
  std::span<const T> x;                          ///< the forward's input
  std::span<const T> dy;                         ///< the backward's input
  std::span<const double> mean;                  ///< saved by the forward, N*G
  std::span<const double> rstd;                  ///< saved by the forward, N*G
  std::span<const param_t<T>> gamma = {};        ///< optional, C
  std::span<const T> grad_dx = {};               ///< v, optional: absent is 0
  std::span<const param_t<T>> grad_dgamma = {};  ///< u, optional, C: absent is 0
  std::span<const param_t<T>> grad_dbeta = {};   ///< w, optional, C: absent is 0
  std::span<T> grad_x = {};                      ///< output, optional
  std::span<T> grad_dy = {};                     ///< output, optional
  std::span<param_t<T>> grad_gamma = {};         ///< output, optional, C
};

/// Backward of the backward. With means over the group, P a = a - mean(a) - x_hat * mean(a * x_hat), gy = gamma_c dy:
///
///   grad_dy      = gamma_c rstd P v + u_c x_hat + w_c
///   grad_gamma_c = sum over samples of rstd * sum(dy * P v)
///   grad_x       = rstd P(u dy) - rstd^2 (x_hat (A - p q) + q P v + p P gy)
///
/// with p = mean(v x_hat), q = mean(gy x_hat), A = mean(v gy) - mean(v) mean(gy) (docs/derivation.md B79). dx does not
/// depend on beta, which therefore has no gradient. Results are sums of terms that may cancel. The errors promised
/// above are relative to the largest of these terms. gamma * rstd must be finite, of doubles too: what it enters is NaN
/// or infinite otherwise.
template <class T>
UNITVAR_API void group_norm_double_backward(const GroupNormDoubleBackward<T>& args, const Options& options = {});

/// group_norm_double_backward with one channel per group: groups.groups is 0 or C, else bad_extent.
template <class T>
UNITVAR_API void instance_norm_double_backward(const GroupNormDoubleBackward<T>& args, const Options& options = {});

}  // namespace unitvar
