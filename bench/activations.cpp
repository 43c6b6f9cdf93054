#include <cstdio>
#include <utility>
#include <vector>

#include "bench/data.hpp"
#include "bench/layer.hpp"
#include "bench/timing.hpp"
#include "unitvar/reference.hpp"
#include "unitvar/unitvar.hpp"

/// Each activation behind a residual, beside the plain layer on the same tensors: f32, N = 32, one thread.
namespace unitvar::bench {
namespace {

constexpr Activation kActivations[] = {Activation::identity(), Activation::relu(), Activation::clip(),
                                       Activation::hard_swish(), Activation::silu()};

struct Activated {
  Layer& layer;
  Activation activation;
  std::vector<std::uint8_t> mask;

  Activated(Layer& of, const Activation& a)
      : layer(of), activation(a), mask(static_cast<std::size_t>(batch_norm_act_mask_bytes(of.extent, a))) {}

  void forward() {
    batch_norm_act_forward<float>({.extent = layer.extent,
                                   .x = layer.x,
                                   .residual = layer.residual,
                                   .gamma = layer.gamma,
                                   .beta = layer.beta,
                                   .y = layer.y,
                                   .mask = mask,
                                   .mean = layer.mean,
                                   .var = layer.var,
                                   .rstd = layer.rstd,
                                   .activation = activation},
                                  layer.options);
  }
  void backward() {
    batch_norm_act_backward<float>({.extent = layer.extent,
                                    .x = layer.x,
                                    .dy = layer.dy,
                                    .mask = mask,
                                    .residual = layer.residual,
                                    .mean = layer.mean,
                                    .rstd = layer.rstd,
                                    .gamma = layer.gamma,
                                    .beta = layer.beta,
                                    .dx = layer.dx,
                                    .dgamma = layer.dgamma,
                                    .dbeta = layer.dbeta,
                                    .activation = activation},
                                   layer.options);
  }
  /// Ends the program unless the results are the reference's.
  void require_reference_results() {
    const auto wide = [](const auto& values) { return std::vector<double>(values.begin(), values.end()); };
    const std::vector<double> x = wide(layer.x), dy = wide(layer.dy), z = wide(layer.residual),
                              gamma = wide(layer.gamma), beta = wide(layer.beta);
    const auto want = reference::act_forward<double>(layer.extent, x, gamma, beta, 1e-5, z, activation);
    forward();
    require_close("y", layer.y, want.y, 3e-7);
    backward();
    // Of few elements near a kink, one on its other side would be an error of its own.
    if (activation.has_mask()) return;
    require_close("dx", layer.dx, reference::act_backward<double>(want.cache, want.v, activation, dy).dx, 6e-7);
  }
};

void measure(bool first, std::int64_t channels, std::int64_t side) {
  const auto extent_of = [&](std::int64_t n) {
    return first ? Extent::nchw(n, channels, side, side) : Extent::nhwc(n, side, side, channels);
  };
  Layer small(extent_of(2), 1), layer(extent_of(32), 1);
  layer.forward();
  std::vector<Activated> all;
  for (const Activation& activation : kActivations) {
    Activated(small, activation).require_reference_results();
    all.emplace_back(layer, activation);
  }
  std::vector<Work> works{[&] { layer.forward(); }, [&] { layer.backward(); }};
  for (Activated& of : all) {
    works.emplace_back([&of] { of.forward(); });
    works.emplace_back([&of] { of.backward(); });
  }
  const std::vector<double> t = median_seconds(works, 6);
  for (const std::size_t pass : {0U, 1U}) {
    std::printf("| %s, %lld x %lld x %lld | %s | %.2f |", first ? "channels_first" : "channels_last",
                static_cast<long long>(channels), static_cast<long long>(side), static_cast<long long>(side),
                pass == 0 ? "forward" : "backward", t[pass] * 1e3);
    for (std::size_t k = 2 + pass; k < t.size(); k += 2) std::printf(" %.2f |", t[k] / t[pass]);
    std::printf("\n");
  }
  std::fflush(stdout);
}

}  // namespace
}  // namespace unitvar::bench

int main() {
  std::printf(
      "| C x H x W, N = 32 | pass | plain, ms | residual | and ReLU | and ReLU6 | and hard-swish | and SiLU |\n"
      "|---|---|---|---|---|---|---|---|\n");
  for (const bool first : {true, false}) {
    for (const auto& [channels, side] : {std::pair{64, 112}, {64, 56}, {256, 28}, {1024, 14}}) {
      unitvar::bench::measure(first, channels, side);
    }
  }
}
