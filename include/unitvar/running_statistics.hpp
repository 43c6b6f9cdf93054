#pragma once
#include <cstdint>
#include <span>

#include "unitvar/api.hpp"

namespace unitvar {

/// Which way a momentum runs.
enum class MomentumSense {
  weight_of_new,  ///< PyTorch, cuDNN: running = (1 - momentum) * running + momentum * batch; usual value 0.1
  weight_of_old   ///< ONNX, Keras, CS231n: running = momentum * running + (1 - momentum) * batch; usual value 0.9
};

/// Which batch variance enters the running variance. (Normalization itself always uses the biased one.)
enum class VarianceKind {
  unbiased,  ///< M2 / (N - 1): PyTorch, cuDNN
  biased     ///< M2 / N: ONNX, MLX, CS231n
};

/// How running statistics follow the batches.
enum class RunningAverage {
  exponential,  ///< by momentum and its sense
  cumulative    ///< plain average over all batches: factor 1 / batches_tracked (PyTorch's momentum=None)
};

struct RunningPolicy {
  RunningAverage average = RunningAverage::exponential;
  double momentum = 0.1;  ///< any finite number; ignored by the cumulative average
  MomentumSense sense = MomentumSense::weight_of_new;
  VarianceKind variance = VarianceKind::unbiased;
  bool skip_nonfinite = false;  ///< a batch with NaN or Inf in its statistics, of any channel, changes nothing
};

/// Running statistics in the caller's memory.
struct RunningStatistics {
  std::span<double> mean;  ///< C
  std::span<double> var;   ///< C; biased or unbiased as the policy says
  /// Incremented by each update; required by the cumulative average. Before an update it is 0 to 2^63 - 2.
  std::int64_t* batches_tracked = nullptr;
  std::int64_t* batches_skipped = nullptr;  ///< incremented by each batch that skip_nonfinite skips; the same range
};

/// What became of a batch.
enum class RunningUpdate {
  updated,
  empty,   ///< count = 0: nothing changed
  skipped  ///< not finite, and the policy skips such batches: batches_skipped alone changed
};

/// Moves running statistics by one batch:
///
///   running += w * (batch - running)
///
/// where w is the weight of the new batch: momentum, 1 - momentum, or 1 / batches_tracked counted after the increment
/// (docs/derivation.md B7).
///
///   const double n = unitvar::batch_norm_forward<float>({.extent = extent, .x = x, .y = y, .mean = mean, .var = var});
///   unitvar::update_running_statistics({.mean = running_mean, .var = running_var}, n, mean, var);
///
/// `mean` and `var` are the batch's, C doubles each; var is the *biased* one. `count` is the number of values per
/// channel. count = 0 (empty batch) changes nothing. With skip_nonfinite, a batch whose mean or var holds NaN or Inf
/// changes batches_skipped alone. Without it, such a batch spoils the running statistics of its channels for good.
/// All arithmetic is in double, in the calling thread.
///
/// Throws Error before anything is written: null_data, wrong_length, overlap, bad_argument (momentum not finite, count
/// negative, no counter for the cumulative average, a counter that is negative or 2^63 - 1), too_few_values (unbiased
/// variance with a count of 1 or less).
UNITVAR_API RunningUpdate update_running_statistics(const RunningStatistics& running, double count,
                                                    std::span<const double> mean, std::span<const double> var,
                                                    const RunningPolicy& policy = {});

}  // namespace unitvar
