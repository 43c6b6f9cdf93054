#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "bench/data.hpp"
#include "bench/layer.hpp"
#include "bench/timing.hpp"
#include "unitvar/reference.hpp"
#include "unitvar/unitvar.hpp"

/// What is fused with batch normalization, beside the plain layer on the same tensors: f32, N = 32.
namespace unitvar::bench {
namespace {

/// Ends the program unless fused and in-place results are the reference's.
void require_reference_results(Layer& layer) {
  const std::vector<double> x(layer.x.begin(), layer.x.end()), dy(layer.dy.begin(), layer.dy.end()),
      z(layer.residual.begin(), layer.residual.end()), gamma(layer.gamma.begin(), layer.gamma.end()),
      beta(layer.beta.begin(), layer.beta.end());
  const auto fused = reference::fused_forward<double>(layer.extent, x, gamma, beta, 1e-5, z, 0);
  layer.act_forward(true);
  require_close("y", layer.y, fused.y, 3e-7);
  layer.act_backward(true);
  std::vector<bool> signs(layer.y.size());
  for (std::size_t k = 0; k < signs.size(); ++k) signs[k] = layer.y[k] > 0;
  const auto gradients = reference::fused_backward<double>(fused.cache, signs, 0, dy);
  require_close("dx", layer.dx, gradients.dx, 3e-7);
  require_close("dresidual", layer.dresidual, gradients.dz, 3e-7);
  layer.in_place = layer.x;
  layer.in_place_forward();
  for (std::size_t k = 0; k < signs.size(); ++k) signs[k] = layer.in_place[k] > 0;
  const auto leaky = reference::fused_backward<double>(fused.cache, signs, Layer::kSlope, dy);
  layer.in_place_backward();
  require_close("dx from y", layer.dx, leaky.dx, 6e-7);
  layer.weighted_forward();
  layer.weighted_backward();
  const auto plain = reference::backward<double>(fused.cache, dy);
  require_close("weighted dx", layer.dx, plain.dx, 3e-7);
  layer.frozen_backward();
}

void measure(const char* layout, std::int64_t channels, std::int64_t side, int threads) {
  const bool first = std::strcmp(layout, "channels_first") == 0;
  const auto extent_of = [&](std::int64_t n) {
    return first ? Extent::nchw(n, channels, side, side) : Extent::nhwc(n, side, side, channels);
  };
  Layer small(extent_of(2), threads);
  require_reference_results(small);
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
