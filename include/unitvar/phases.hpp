#pragma once
#include <span>

#include "unitvar/api.hpp"
#include "unitvar/dtype.hpp"
#include "unitvar/extent.hpp"
#include "unitvar/options.hpp"

/// The four phases of a normalization and the merge between them. batch_norm_forward and batch_norm_backward are
/// these, composed; call them yourself to put a communicator (MPI, NCCL, ...) in the middle:
///
///   moments -> [merge_moments over ranks] -> finish_moments -> normalize
///   gradient_sums -> [add over ranks] -> input_gradient; dgamma = rstd * sum_dy_xmu, dbeta = sum_dy
///
/// The rules at the top of batch_norm.hpp hold here too, but a communicator in the options is ignored. Counts are
/// double: exact up to 2^53 values per channel, and able to carry sums of weights. examples/03_phases.cpp is the whole
/// of it on two ranks.
namespace unitvar {

/// Arguments of moments.
template <class T>
struct Moments {
  Extent extent;
  std::span<const T> x;
  std::span<double> mean;  ///< output, C
  std::span<double> m2;    ///< output, C: sum of squared deviations from mean
};

/// Phase 1. Per channel: mean = sum(x) / N and M2 = sum((x - mean)^2), N = extent.count() (B1, B2).
/// One value per channel is legal (M2 = 0); an empty batch gives mean = M2 = 0.
template <class T>
UNITVAR_API void moments(const Moments<T>& args, const Options& options = {});

/// The merge. Adds batch b to batch a, per channel, in place:
///
///   n = count_a + count_b,  d = mean_b - mean_a
///   mean_a += d * count_b / n,  m2_a += m2_b + d^2 * count_a * count_b / n
///
/// (Chan, Golub, LeVeque 1983, equation 2.1; docs/derivation.md B8). Returns n. A count of 0 changes nothing.
/// All spans have the same length; b may not overlap a. Throws Error (wrong_length, null_data, overlap, bad_argument
/// for a negative or NaN count).
UNITVAR_API double merge_moments(double count_a, std::span<double> mean_a, std::span<double> m2_a, double count_b,
                                 std::span<const double> mean_b, std::span<const double> m2_b);

/// From merged moments to what normalize and input_gradient take: biased var = m2 / count (0 if count is 0), and
/// rstd = 1 / sqrt(var + eps) (B3). `var` may be empty, or exactly m2. Throws bad_epsilon before anything is
/// written.
UNITVAR_API void finish_moments(double count, std::span<const double> m2, double eps, std::span<double> var,
                                std::span<double> rstd);

/// Arguments of normalize.
template <class T>
struct Normalize {
  Extent extent;
  std::span<const T> x;
  std::span<const double> mean;            ///< C
  std::span<const double> rstd;            ///< C
  std::span<const param_t<T>> gamma = {};  ///< optional, C
  std::span<const param_t<T>> beta = {};   ///< optional, C
  std::span<T> y;                          ///< output; may be exactly x
};

/// Phase 2. y = gamma * (x - mean) * rstd + beta (B4, B5).
template <class T>
UNITVAR_API void normalize(const Normalize<T>& args, const Options& options = {});

/// Arguments of gradient_sums.
template <class T>
struct GradientSums {
  Extent extent;
  std::span<const T> x;
  std::span<const T> dy;
  std::span<const double> mean;  ///< C: the mean over the whole batch, all ranks
  std::span<double> sum_dy;      ///< output, C
  std::span<double> sum_dy_xmu;  ///< output, C
};

/// Phase 3. Per channel: sum_dy = sum(dy) and sum_dy_xmu = sum(dy * (x - mean)). Both are plain sums: over ranks
/// they add. dbeta = sum_dy, dgamma = rstd * sum_dy_xmu (B31). An empty batch gives zeros.
template <class T>
UNITVAR_API void gradient_sums(const GradientSums<T>& args, const Options& options = {});

/// Arguments of input_gradient.
template <class T>
struct InputGradient {
  Extent extent;
  std::span<const T> x;
  std::span<const T> dy;
  std::span<const double> mean;            ///< C
  std::span<const double> rstd;            ///< C
  std::span<const param_t<T>> gamma = {};  ///< optional, C
  std::span<const double> sum_dy;          ///< C, over all ranks
  std::span<const double> sum_dy_xmu;      ///< C, over all ranks
  double count = 0;                        ///< values per channel over all ranks; > 0 unless the extent is empty
  std::span<T> dx;                         ///< output; may be exactly dy
};

/// Phase 4. dx = gamma * rstd * (dy - sum_dy / count - (x - mean) * rstd^2 * sum_dy_xmu / count) (B31).
template <class T>
UNITVAR_API void input_gradient(const InputGradient<T>& args, const Options& options = {});

}  // namespace unitvar
