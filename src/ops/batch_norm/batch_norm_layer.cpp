#include "unitvar/batch_norm_layer.hpp"

#include "core/arguments.hpp"
#include "core/limits.hpp"
#include "core/standard_arithmetic.hpp"
#include "core/text.hpp"
#include "cpu/runtime/check_options.hpp"
#include "math/channel_math.hpp"
#include "sync/exchange.hpp"
#include "unitvar/batch_norm.hpp"
#include "unitvar/frozen.hpp"

namespace unitvar {
namespace {

void check_config(std::int64_t channels, const BatchNormConfig& config) {
  const core::Arguments check("BatchNorm");
  if (channels < 1) {
    check.fail(ErrorCode::bad_extent, "channels is " + std::to_string(channels) + ", want 1 or more");
  }
  core::check_sizes(check.operation(), "channels", channels, sizeof(double));
  check.finite("eps", config.eps);
  check.finite("momentum", config.running.momentum);
  cpu::check_options(check, config.options);
}

}  // namespace

template <class T>
BatchNorm<T>::BatchNorm(std::int64_t channels, const BatchNormConfig& config) : channels_(channels), config_(config) {
  check_config(channels, config);
  const auto C = static_cast<std::size_t>(channels);
  if (config.affine) {
    gamma_.assign(C, 1);
    beta_.assign(C, 0);
    dgamma_.assign(C, 0);
    dbeta_.assign(C, 0);
  }
  if (config.track_running_statistics) {
    running_mean_.assign(C, 0);
    running_var_.assign(C, 1);
  }
  saved_mean_.assign(C, 0);
  saved_var_.assign(C, 0);
  saved_rstd_.assign(C, 0);
}

template <class T>
void BatchNorm<T>::check_channels(const char* operation, const Extent& extent) const {
  if (extent.channels != channels_) {
    core::Arguments(operation).fail(ErrorCode::bad_extent, "extent.channels is " + std::to_string(extent.channels) +
                                                               ", want " + std::to_string(channels_));
  }
}

template <class T>
void BatchNorm<T>::check_backward(const Extent& extent) const {
  check_channels("BatchNorm::backward", extent);
  const core::Arguments check("BatchNorm::backward");
  if (!has_saved()) check.fail(ErrorCode::bad_state, "no training forward came before, want one");
  if (extent == saved_extent_) return;
  const Extent& s = saved_extent_;
  check.fail(ErrorCode::bad_state, "extent is " + core::shape_text(extent.outer, extent.channels, extent.inner) +
                                       ", want the forward's " + core::shape_text(s.outer, s.channels, s.inner));
}

template <class T>
void BatchNorm<T>::infer(const Extent& extent, std::span<const T> x, std::span<T> y) const {
  check_channels("BatchNorm::infer", extent);
  if (!config_.track_running_statistics) {
    core::Arguments("BatchNorm::infer")
        .fail(ErrorCode::bad_state, "track_running_statistics is false, want running statistics to normalize by");
  }
  batch_norm_inference<T>({.extent = extent,
                           .x = x,
                           .mean = running_mean_,
                           .var = running_var_,
                           .gamma = gamma_,
                           .beta = beta_,
                           .y = y,
                           .eps = config_.eps},
                          config_.options);
}

template <class T>
void BatchNorm<T>::freeze(bool on) {
  if (on && !config_.track_running_statistics) {
    core::Arguments("BatchNorm::freeze")
        .fail(ErrorCode::bad_state, "track_running_statistics is false, want running statistics to normalize by");
  }
  frozen_ = on;
}

template <class T>
void BatchNorm<T>::save_running_statistics() {
  saved_mean_ = running_mean_;
  saved_var_ = running_var_;
  for (std::size_t c = 0; c < saved_rstd_.size(); ++c) saved_rstd_[c] = math::rstd_of(saved_var_[c], config_.eps);
}

template <class T>
void BatchNorm<T>::forward_by_batch(const Extent& extent, std::span<const T> x, std::span<T> y) {
  const double count = batch_norm_forward<T>({.extent = extent,
                                              .x = x,
                                              .gamma = gamma_,
                                              .beta = beta_,
                                              .y = y,
                                              .mean = saved_mean_,
                                              .var = saved_var_,
                                              .rstd = saved_rstd_,
                                              .eps = config_.eps},
                                             config_.options);
  if (!counts_batches()) return;
  update_running_statistics({running_mean_, running_var_, &batches_tracked_, &batches_skipped_}, count, saved_mean_,
                            saved_var_, config_.running);
}

template <class T>
void BatchNorm<T>::forward(const Extent& extent, std::span<const T> x, std::span<T> y) {
  const core::StandardArithmetic arithmetic;
  sync::prepare_together(exchanges() ? config_.options : Options(), [&] {
    check_channels("BatchNorm::forward", extent);
    if (counts_batches()) core::Arguments("BatchNorm::forward").may_be_incremented("batches_tracked", batches_tracked_);
  });
  if (!training_ && config_.track_running_statistics) {
    infer(extent, x, y);
    return;
  }
  if (frozen_) {
    infer(extent, x, y);
    save_running_statistics();
  } else {
    forward_by_batch(extent, x, y);
  }
  saved_extent_ = extent;
  saved_frozen_ = frozen_;
}

template <class T>
void BatchNorm<T>::backward(const Extent& extent, std::span<const T> x, std::span<const T> dy, std::span<T> dx) {
  const core::StandardArithmetic arithmetic;
  sync::prepare_together(saved_frozen_ ? Options() : config_.options, [&] { check_backward(extent); });
  if (saved_frozen_) {
    batch_norm_frozen_backward<T>({.extent = extent,
                                   .x = x,
                                   .dy = dy,
                                   .mean = saved_mean_,
                                   .var = saved_var_,
                                   .gamma = gamma_,
                                   .dx = dx,
                                   .dgamma = dgamma_,
                                   .dbeta = dbeta_,
                                   .eps = config_.eps},
                                  config_.options);
    return;
  }
  batch_norm_backward<T>({.extent = extent,
                          .x = x,
                          .dy = dy,
                          .mean = saved_mean_,
                          .rstd = saved_rstd_,
                          .gamma = gamma_,
                          .dx = dx,
                          .dgamma = dgamma_,
                          .dbeta = dbeta_},
                         config_.options);
}

#define UNITVAR_INSTANTIATE(T) template class BatchNorm<T>;
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar
