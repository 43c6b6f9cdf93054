#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "bench/data.hpp"
#include "bench/line_allocator.hpp"
#include "bench/timing.hpp"
#include "unitvar/reference.hpp"
#include "unitvar/unitvar.hpp"

/// What is fused with batch normalization, beside the plain layer on the same tensors: f32, N = 32.
namespace unitvar::bench {
namespace {

constexpr double kSlope = 0.01;

class Layer {
 public:
  Layer(const Extent& extent, int threads)
      : extent_(extent),
        options_{.cpu = {.threads = threads}},
        x_(random_tensor(extent.size(), 0.5, 1, 1)),
        dy_(random_tensor(extent.size(), 0, 1, 2)),
        residual_(random_tensor(extent.size(), 0, 1, 5)),
        gamma_(random_tensor(extent.channels, 1, 0.1, 3)),
        beta_(random_tensor(extent.channels, 0, 0.1, 4)),
        y_(x_.size()),
        dx_(x_.size()),
        dresidual_(x_.size()),
        in_place_(x_),
        weight_(static_cast<std::size_t>(extent.count()), 1.0F),
        mask_(static_cast<std::size_t>(batch_norm_act_mask_bytes(extent))),
        dgamma_(gamma_.size()),
        dbeta_(gamma_.size()),
        mean_(gamma_.size()),
        var_(gamma_.size()),
        rstd_(gamma_.size()) {}

  void forward() {
    batch_norm_forward<float>({.extent = extent_,
                               .x = x_,
                               .gamma = gamma_,
                               .beta = beta_,
                               .y = y_,
                               .mean = mean_,
                               .var = var_,
                               .rstd = rstd_},
                              options_);
  }
  void act_forward(bool with_residual) {
    batch_norm_act_forward<float>(
        {.extent = extent_,
         .x = x_,
         .residual = with_residual ? std::span<const float>(residual_) : std::span<const float>(),
         .gamma = gamma_,
         .beta = beta_,
         .y = y_,
         .mask = mask_,
         .mean = mean_,
         .var = var_,
         .rstd = rstd_},
        options_);
  }
  /// Written anew from x each time: else the second run would find a normalized tensor.
  void in_place_forward() {
    batch_norm_in_place_forward<float>({.extent = extent_,
                                        .x = in_place_,
                                        .gamma = gamma_,
                                        .beta = beta_,
                                        .mean = mean_,
                                        .var = var_,
                                        .rstd = rstd_,
                                        .negative_slope = kSlope},
                                       options_);
  }
  void weighted_forward() {
    batch_norm_weighted_forward<float>({.extent = extent_,
                                        .x = x_,
                                        .weight = weight_,
                                        .gamma = gamma_,
                                        .beta = beta_,
                                        .y = y_,
                                        .mean = mean_,
                                        .var = var_,
                                        .rstd = rstd_},
                                       options_);
  }

  void backward() {
    batch_norm_backward<float>({.extent = extent_,
                                .x = x_,
                                .dy = dy_,
                                .mean = mean_,
                                .rstd = rstd_,
                                .gamma = gamma_,
                                .dx = dx_,
                                .dgamma = dgamma_,
                                .dbeta = dbeta_},
                               options_);
  }
  void act_backward(bool with_residual) {
    batch_norm_act_backward<float>({.extent = extent_,
                                    .x = x_,
                                    .dy = dy_,
                                    .mask = mask_,
                                    .mean = mean_,
                                    .rstd = rstd_,
                                    .gamma = gamma_,
                                    .dx = dx_,
                                    .dresidual = with_residual ? std::span<float>(dresidual_) : std::span<float>(),
                                    .dgamma = dgamma_,
                                    .dbeta = dbeta_},
                                   options_);
  }
  void in_place_backward() {
    batch_norm_in_place_backward<float>({.extent = extent_,
                                         .y = in_place_,
                                         .dy = dy_,
                                         .rstd = rstd_,
                                         .gamma = gamma_,
                                         .beta = beta_,
                                         .dx = dx_,
                                         .dgamma = dgamma_,
                                         .dbeta = dbeta_,
                                         .negative_slope = kSlope},
                                        options_);
  }
  void weighted_backward() {
    batch_norm_weighted_backward<float>({.extent = extent_,
                                         .x = x_,
                                         .dy = dy_,
                                         .weight = weight_,
                                         .mean = mean_,
                                         .rstd = rstd_,
                                         .gamma = gamma_,
                                         .dx = dx_,
                                         .dgamma = dgamma_,
                                         .dbeta = dbeta_},
                                        options_);
  }
  void frozen_backward() {
    batch_norm_frozen_backward<float>(
        {.extent = extent_, .x = x_, .dy = dy_, .mean = mean_, .var = var_, .gamma = gamma_, .dx = dx_}, options_);
  }

  /// Ends the program unless fused and in-place results are the reference's.
  void require_reference_results() {
    const std::vector<double> x(x_.begin(), x_.end()), dy(dy_.begin(), dy_.end()),
        z(residual_.begin(), residual_.end()), gamma(gamma_.begin(), gamma_.end()), beta(beta_.begin(), beta_.end());
    const auto fused = reference::fused_forward<double>(extent_, x, gamma, beta, 1e-5, z, 0);
    act_forward(true);
    require_close("y", y_, fused.y, 3e-7);
    act_backward(true);
    std::vector<bool> signs(y_.size());
    for (std::size_t k = 0; k < signs.size(); ++k) signs[k] = y_[k] > 0;
    const auto gradients = reference::fused_backward<double>(fused.cache, signs, 0, dy);
    require_close("dx", dx_, gradients.dx, 3e-7);
    require_close("dresidual", dresidual_, gradients.dz, 3e-7);
    in_place_ = x_;
    in_place_forward();
    for (std::size_t k = 0; k < signs.size(); ++k) signs[k] = in_place_[k] > 0;
    const auto leaky = reference::fused_backward<double>(fused.cache, signs, kSlope, dy);
    in_place_backward();
    require_close("dx from y", dx_, leaky.dx, 6e-7);
    weighted_forward();
    weighted_backward();
    const auto plain = reference::backward<double>(fused.cache, dy);
    require_close("weighted dx", dx_, plain.dx, 3e-7);
    frozen_backward();
  }

 private:
  Extent extent_;
  Options options_;
  Tensor x_, dy_, residual_, gamma_, beta_, y_, dx_, dresidual_, in_place_, weight_;
  std::vector<std::uint8_t> mask_;
  std::vector<float> dgamma_, dbeta_;
  std::vector<double> mean_, var_, rstd_;
};

void measure(const char* layout, std::int64_t channels, std::int64_t side, int threads) {
  const bool first = std::strcmp(layout, "channels_first") == 0;
  const auto extent_of = [&](std::int64_t n) {
    return first ? Extent::nchw(n, channels, side, side) : Extent::nhwc(n, side, side, channels);
  };
  Layer(extent_of(2), threads).require_reference_results();
  Layer layer(extent_of(32), threads);
  layer.in_place_forward();
  const auto t = median_seconds(
      {[&] { layer.forward(); }, [&] { layer.act_forward(false); }, [&] { layer.act_forward(true); },
       [&] { layer.in_place_forward(); }, [&] { layer.weighted_forward(); }, [&] { layer.backward(); },
       [&] { layer.act_backward(false); }, [&] { layer.act_backward(true); }, [&] { layer.in_place_backward(); },
       [&] { layer.weighted_backward(); }, [&] { layer.frozen_backward(); }},
      6);
  std::printf(
      "| %s, %lld x %lld x %lld | %d | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f |\n",
      layout, static_cast<long long>(channels), static_cast<long long>(side), static_cast<long long>(side), threads,
      t[0] * 1e3, t[1] / t[0], t[2] / t[0], t[3] / t[0], t[4] / t[0], t[5] * 1e3, t[6] / t[5], t[7] / t[5], t[8] / t[5],
      t[9] / t[5], t[10] / t[5]);
  std::fflush(stdout);
}

}  // namespace
}  // namespace unitvar::bench

int main() {
  std::printf(
      "Times beside the plain layer's, which are in ms.\n\n"
      "| C x H x W, N = 32 | threads | forward | ReLU | residual + ReLU | in place, leaky | weights | backward | ReLU "
      "| "
      "ReLU and dresidual | in place, leaky | weights | frozen, dx alone |\n"
      "|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
  for (const int threads : {1, 2}) {
    for (const char* layout : {"channels_first", "channels_last"}) {
      for (const auto& [channels, side] : {std::pair{64, 112}, {64, 56}, {256, 56}, {512, 28}, {1024, 14}, {2048, 7}}) {
        unitvar::bench::measure(layout, channels, side, threads);
      }
    }
  }
}
