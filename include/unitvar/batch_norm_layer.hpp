#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "unitvar/api.hpp"
#include "unitvar/dtype.hpp"
#include "unitvar/extent.hpp"
#include "unitvar/options.hpp"
#include "unitvar/running_statistics.hpp"

namespace unitvar {

/// How a BatchNorm layer is made.
struct BatchNormConfig {
  double eps = 1e-5;
  bool affine = true;                    ///< hold gamma and beta (and their gradients)
  bool track_running_statistics = true;  ///< if not, eval mode uses the batch's statistics too, as PyTorch does
  RunningPolicy running = {};
  Options options = {};
};

/// Batch normalization as a layer: parameters, running statistics and the last forward's saved statistics, on top of
/// the free functions in batch_norm.hpp (whose formulas, layout, accuracy and errors hold here).
///
///   unitvar::BatchNorm<float> layer(64);
///   layer.forward(extent, x, y);
///   layer.backward(extent, x, dy, dx);  // then an optimizer's step with layer.dgamma() and layer.dbeta()
///   layer.eval();
///
/// The layer keeps no copy of x: backward takes the forward's x again. A new layer is in training mode, with
/// gamma = 1, beta = 0, running mean 0, running variance 1. Copyable; not safe for concurrent calls on one object.
///
/// With config.options.communicator it is a synchronized layer: one on each rank, whose forward by batch statistics,
/// and its backward, are collective calls (communicator.hpp). Running statistics are the same bits on all ranks.
template <class T>
class UNITVAR_API BatchNorm {
 public:
  /// Throws Error (bad_extent, overflow, bad_argument) for channels < 1, channels > 2^48, eps or momentum not finite,
  /// and for `options` that calls would refuse (bad_argument, unsupported_isa).
  explicit BatchNorm(std::int64_t channels, const BatchNormConfig& config = {});

  void train(bool on = true) noexcept { training_ = on; }
  void eval() noexcept { train(false); }
  [[nodiscard]] bool training() const noexcept { return training_; }

  /// Whether training moves the running statistics. Off while activations are recomputed (checkpointing), which would
  /// count a batch twice; the saved statistics are computed all the same. No effect without track_running_statistics.
  void track(bool on = true) noexcept { tracking_ = on; }
  [[nodiscard]] bool tracking() const noexcept { return tracking_; }

  /// Whether training takes the running statistics for constants: its forward is batch_norm_inference, its backward
  /// batch_norm_frozen_backward, and the running statistics stay. Throws Error (bad_state) without
  /// track_running_statistics.
  void freeze(bool on = true);
  [[nodiscard]] bool frozen() const noexcept { return frozen_; }

  /// Training: batch_norm_forward, then the running update (none for an empty batch). Eval, or training while frozen:
  /// batch_norm_inference. There y may be x, but not in frozen training with affine: backward needs x for dgamma. A
  /// call that throws has changed nothing; one that throws Error (communication), nothing but y. extent.channels must
  /// be channels(). Throws Error (bad_argument) if it is to count the batch and batches_tracked() is not 0 to 2^63 - 2.
  void forward(const Extent& extent, std::span<const T> x, std::span<T> y);

  /// batch_norm_inference by the running statistics, whatever the mode; y may be x. Safe for concurrent calls. Throws
  /// Error (bad_state) without track_running_statistics.
  void infer(const Extent& extent, std::span<const T> x, std::span<T> y) const;

  /// Gradients of the last training forward; overwrites dgamma() and dbeta(), and dx unless it is empty (dx may be
  /// exactly dy). Throws Error (bad_state) if no training forward (or other forward by batch statistics) came before,
  /// or if the last one had another extent.
  void backward(const Extent& extent, std::span<const T> x, std::span<const T> dy, std::span<T> dx);

  [[nodiscard]] std::int64_t channels() const noexcept { return channels_; }
  [[nodiscard]] const BatchNormConfig& config() const noexcept { return config_; }

  /// Parameters and their gradients, C each; empty without affine.
  [[nodiscard]] std::span<param_t<T>> gamma() noexcept { return gamma_; }
  [[nodiscard]] std::span<param_t<T>> beta() noexcept { return beta_; }
  [[nodiscard]] std::span<const param_t<T>> gamma() const noexcept { return gamma_; }
  [[nodiscard]] std::span<const param_t<T>> beta() const noexcept { return beta_; }
  [[nodiscard]] std::span<const param_t<T>> dgamma() const noexcept { return dgamma_; }
  [[nodiscard]] std::span<const param_t<T>> dbeta() const noexcept { return dbeta_; }

  /// Running statistics, C each, writable for loading a checkpoint; empty without track_running_statistics.
  [[nodiscard]] std::span<double> running_mean() noexcept { return running_mean_; }
  [[nodiscard]] std::span<double> running_var() noexcept { return running_var_; }
  [[nodiscard]] std::int64_t& batches_tracked() noexcept { return batches_tracked_; }
  [[nodiscard]] std::span<const double> running_mean() const noexcept { return running_mean_; }
  [[nodiscard]] std::span<const double> running_var() const noexcept { return running_var_; }
  [[nodiscard]] std::int64_t batches_tracked() const noexcept { return batches_tracked_; }
  /// Batches that config().running.skip_nonfinite kept out of the running statistics.
  [[nodiscard]] std::int64_t batches_skipped() const noexcept { return batches_skipped_; }

  /// The mean, biased variance and rstd of the last training forward, C each; empty before the first. Of a frozen one,
  /// the running statistics that it used.
  [[nodiscard]] std::span<const double> saved_mean() const noexcept { return saved(saved_mean_); }
  [[nodiscard]] std::span<const double> saved_var() const noexcept { return saved(saved_var_); }
  [[nodiscard]] std::span<const double> saved_rstd() const noexcept { return saved(saved_rstd_); }

 private:
  void check_channels(const char* operation, const Extent& extent) const;
  void check_backward(const Extent& extent) const;
  /// Whether a forward takes the batch's statistics.
  [[nodiscard]] bool exchanges() const noexcept { return training_ ? !frozen_ : !config_.track_running_statistics; }
  /// Whether such a forward moves the running statistics.
  [[nodiscard]] bool counts_batches() const noexcept {
    return training_ && !frozen_ && tracking_ && config_.track_running_statistics;
  }
  void forward_by_batch(const Extent& extent, std::span<const T> x, std::span<T> y);
  void save_running_statistics();
  [[nodiscard]] bool has_saved() const noexcept { return saved_extent_.channels > 0; }
  [[nodiscard]] std::span<const double> saved(const std::vector<double>& values) const noexcept {
    return has_saved() ? std::span<const double>(values) : std::span<const double>();
  }

  std::int64_t channels_;
  BatchNormConfig config_;
  bool training_ = true, tracking_ = true, frozen_ = false;
  std::vector<param_t<T>> gamma_, beta_, dgamma_, dbeta_;
  std::vector<double> running_mean_, running_var_;
  std::int64_t batches_tracked_ = 0, batches_skipped_ = 0;
  Extent saved_extent_ = {};
  bool saved_frozen_ = false;  ///< whether the saved statistics are running ones
  std::vector<double> saved_mean_, saved_var_, saved_rstd_;
};

}  // namespace unitvar
