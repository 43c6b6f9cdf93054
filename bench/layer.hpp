#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "bench/line_allocator.hpp"
#include "unitvar/unitvar.hpp"

namespace unitvar::bench {

/// Batch normalization of f32 and what is fused with it, by the library: the tensors of each call, and the calls.
struct Layer {
  static constexpr double kSlope = 0.01;

  Extent extent;
  Options options;
  Tensor x, dy, residual, gamma, beta, y, dx, dresidual, in_place, weight;
  std::vector<std::uint8_t> mask;
  std::vector<float> dgamma, dbeta;
  std::vector<double> mean, var, rstd;

  Layer(const Extent& e, int threads)
      : extent(e),
        options{.cpu = {.threads = threads}},
        x(random_tensor(e.size(), 0.5, 1, 1)),
        dy(random_tensor(e.size(), 0, 1, 2)),
        residual(random_tensor(e.size(), 0, 1, 5)),
        gamma(random_tensor(e.channels, 1, 0.1, 3)),
        beta(random_tensor(e.channels, 0, 0.1, 4)),
        y(x.size()),
        dx(x.size()),
        dresidual(x.size()),
        in_place(x),
        weight(static_cast<std::size_t>(e.count()), 1.0F),
        mask(static_cast<std::size_t>(batch_norm_act_mask_bytes(e))),
        dgamma(gamma.size()),
        dbeta(gamma.size()),
        mean(gamma.size()),
        var(gamma.size()),
        rstd(gamma.size()) {}

  void forward() {
    batch_norm_forward<float>(
        {.extent = extent, .x = x, .gamma = gamma, .beta = beta, .y = y, .mean = mean, .var = var, .rstd = rstd},
        options);
  }
  void act_forward(bool with_residual) {
    batch_norm_act_forward<float>(
        {.extent = extent,
         .x = x,
         .residual = with_residual ? std::span<const float>(residual) : std::span<const float>(),
         .gamma = gamma,
         .beta = beta,
         .y = y,
         .mask = mask,
         .mean = mean,
         .var = var,
         .rstd = rstd},
        options);
  }
  /// Written anew from x each time: else the second run would find a normalized tensor.
  void in_place_forward() {
    batch_norm_in_place_forward<float>({.extent = extent,
                                        .x = in_place,
                                        .gamma = gamma,
                                        .beta = beta,
                                        .mean = mean,
                                        .var = var,
                                        .rstd = rstd,
                                        .negative_slope = kSlope},
                                       options);
  }
  void weighted_forward() {
    batch_norm_weighted_forward<float>({.extent = extent,
                                        .x = x,
                                        .weight = weight,
                                        .gamma = gamma,
                                        .beta = beta,
                                        .y = y,
                                        .mean = mean,
                                        .var = var,
                                        .rstd = rstd},
                                       options);
  }

  void backward() {
    batch_norm_backward<float>({.extent = extent,
                                .x = x,
                                .dy = dy,
                                .mean = mean,
                                .rstd = rstd,
                                .gamma = gamma,
                                .dx = dx,
                                .dgamma = dgamma,
                                .dbeta = dbeta},
                               options);
  }
  void act_backward(bool with_residual) {
    batch_norm_act_backward<float>({.extent = extent,
                                    .x = x,
                                    .dy = dy,
                                    .mask = mask,
                                    .mean = mean,
                                    .rstd = rstd,
                                    .gamma = gamma,
                                    .dx = dx,
                                    .dresidual = with_residual ? std::span<float>(dresidual) : std::span<float>(),
                                    .dgamma = dgamma,
                                    .dbeta = dbeta},
                                   options);
  }
  void in_place_backward() {
    batch_norm_in_place_backward<float>({.extent = extent,
                                         .y = in_place,
                                         .dy = dy,
                                         .rstd = rstd,
                                         .gamma = gamma,
                                         .beta = beta,
                                         .dx = dx,
                                         .dgamma = dgamma,
                                         .dbeta = dbeta,
                                         .negative_slope = kSlope},
                                        options);
  }
  void weighted_backward() {
    batch_norm_weighted_backward<float>({.extent = extent,
                                         .x = x,
                                         .dy = dy,
                                         .weight = weight,
                                         .mean = mean,
                                         .rstd = rstd,
                                         .gamma = gamma,
                                         .dx = dx,
                                         .dgamma = dgamma,
                                         .dbeta = dbeta},
                                        options);
  }
  void frozen_backward() {
    batch_norm_frozen_backward<float>(
        {.extent = extent, .x = x, .dy = dy, .mean = mean, .var = var, .gamma = gamma, .dx = dx}, options);
  }
};

}  // namespace unitvar::bench
