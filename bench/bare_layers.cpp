#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "bench/bare.hpp"
#include "bench/data.hpp"
#include "bench/layer.hpp"
#include "bench/timing.hpp"

/// What belongs to the layer, weights and the backward in place behind a leaky ReLU, beside bare loops in AVX2: f32,
/// channels first, one thread. As bare_planes.cpp. The plain layer has a loop of the same kind, so that the table tells
/// what a variant costs by its arithmetic alone.
namespace unitvar::bench {
namespace {

using std::int64_t;

constexpr int64_t kAhead = 512, kLine = 16;
constexpr double kEps = 1e-5, kLeak = Layer::kSlope;

enum class Variant { plain, weights, in_place };
constexpr const char* kNames[] = {"plain", "weights", "in place, leaky"};

/// One position in five has no weight, at random, since a branch that foresees them would skip whole runs.
void take_weights(Layer& layer) {
  for (std::size_t k = 0; k < layer.weight.size(); ++k) {
    layer.weight[k] = (k * 2654435761U >> 16) % 5 == 0 ? 0.0F : 1.0F;
  }
}

inline __m256d wide(const float* p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
inline __m256d times(__m256d a, __m256d b) { return _mm256_mul_pd(a, b); }
inline __m256 all(double v) { return _mm256_set1_ps(static_cast<float>(v)); }
inline __m256 load(const float* p) { return _mm256_loadu_ps(p); }

/// Both sums of a channel, sixteen elements at a time, in double.
template <Variant v, bool kBackward>
struct Sums {
  __m256d first[4], second[4];

  Sums() {
    for (int k = 0; k < 4; ++k) first[k] = second[k] = _mm256_setzero_pd();
  }
  void add(const float* x, const float* dy, const float* weight, double center) {
    const __m256d c = _mm256_set1_pd(center), zero = _mm256_setzero_pd();
    for (int k = 0; k < 4; ++k) {
      __m256d value = wide(x + 4 * k);
      __m256d g = kBackward ? wide(dy + 4 * k) : zero;
      if constexpr (v == Variant::in_place && kBackward) {
        const __m256d is_negative = _mm256_cmp_pd(value, zero, _CMP_LE_OQ);
        g = _mm256_blendv_pd(g, times(g, _mm256_set1_pd(kLeak)), is_negative);
        value = _mm256_blendv_pd(value, times(value, _mm256_set1_pd(1 / kLeak)), is_negative);
      }
      __m256d d = _mm256_sub_pd(value, c);
      if constexpr (v == Variant::weights) {
        const __m256d w = wide(weight + 4 * k), is_none = _mm256_cmp_pd(w, zero, _CMP_LE_OQ);
        d = _mm256_andnot_pd(is_none, d);
        if constexpr (kBackward) {
          g = _mm256_andnot_pd(is_none, g);
        } else {
          g = times(w, d);
        }
      } else if constexpr (!kBackward) {
        g = d;
      }
      first[k] = _mm256_add_pd(first[k], g);
      second[k] = _mm256_add_pd(second[k], times(g, d));
    }
  }
  static double total_of(const __m256d* lanes) {
    return total(_mm256_add_pd(_mm256_add_pd(lanes[0], lanes[1]), _mm256_add_pd(lanes[2], lanes[3])));
  }
};

/// y = (x - center) * scale + beta; dx = ((g - w * level) - (x - center) * slope * w) * scale.
struct Coefficients {
  double center = 0, scale = 0, beta = 0, level = 0, slope = 0;
};

template <bool kStream>
void put(__m256 value, float* p) {
  kStream ? _mm256_stream_ps(p, value) : _mm256_storeu_ps(p, value);
}

template <Variant v, bool kBackward, bool kStream>
inline void map(const float* x, const float* dy, const float* weight, float* out, const Coefficients& c) {
  for (int k = 0; k < kLine; k += 8) {
    const __m256 zero = _mm256_setzero_ps(), w = v == Variant::weights ? load(weight + k) : zero;
    const __m256 is_none = _mm256_cmp_ps(w, zero, _CMP_LE_OQ);
    __m256 value = load(x + k);
    if constexpr (!kBackward) {
      const __m256 d = _mm256_sub_ps(value, all(c.center));
      __m256 y = _mm256_add_ps(_mm256_mul_ps(d, all(c.scale)), all(c.beta));
      if (v == Variant::weights) y = _mm256_andnot_ps(is_none, y);
      put<kStream>(y, out + k);
    } else {
      __m256 g = load(dy + k);
      if constexpr (v == Variant::in_place) {
        const __m256 is_negative = _mm256_cmp_ps(value, zero, _CMP_LE_OQ);
        g = _mm256_blendv_ps(g, _mm256_mul_ps(g, all(kLeak)), is_negative);
        value = _mm256_blendv_ps(value, _mm256_mul_ps(value, all(1 / kLeak)), is_negative);
      }
      const double rest = c.level - static_cast<double>(static_cast<float>(c.level));
      __m256 along = _mm256_mul_ps(_mm256_sub_ps(value, all(c.center)), all(c.slope));
      __m256 high = all(c.level), low = all(rest);
      if constexpr (v == Variant::weights) {
        along = _mm256_mul_ps(along, w);
        high = _mm256_mul_ps(high, w);
        low = _mm256_mul_ps(low, w);
        g = _mm256_andnot_ps(is_none, g);
      }
      g = _mm256_sub_ps(_mm256_sub_ps(g, high), low);
      __m256 dx = _mm256_mul_ps(_mm256_sub_ps(g, along), all(c.scale));
      if (v == Variant::weights) dx = _mm256_andnot_ps(is_none, dx);
      put<kStream>(dx, out + k);
    }
  }
}

/// A channel is summed while the one before is mapped.
template <Variant v, bool kBackward, bool kStream>
void bare(Layer& layer) {
  const int64_t N = layer.extent.outer, C = layer.extent.channels, S = layer.extent.inner;
  const bool from_y = v == Variant::in_place && kBackward;
  const float* const x = from_y ? layer.in_place.data() : layer.x.data();
  float* const out = kBackward ? layer.dx.data() : layer.y.data();
  double count = 0;
  for (const float w : layer.weight) count += v == Variant::weights ? static_cast<double>(w) : 1;
  Coefficients c;
  for (int64_t channel = 0; channel <= C; ++channel) {
    Sums<v, kBackward> sums;
    const auto at = static_cast<std::size_t>(std::min(channel, C - 1));
    const double gamma = static_cast<double>(layer.gamma[at]), beta = static_cast<double>(layer.beta[at]);
    const double center = from_y ? beta : kBackward ? layer.mean[at] : 0.5;
    for (int64_t n = 0; n < N; ++n) {
      const int64_t row = (n * C + channel) * S, next = n + 1 < N ? row + C * S : (channel + 1) * S;
      for (int64_t k = 0; k < S; k += kLine) {
        const float* const weight = layer.weight.data() + n * S + k;
        const int64_t i = row + k;
        if (channel < C) {
          const int64_t later = k + kAhead, element = later < S ? row + later : next + (later - S);
          _mm_prefetch(reinterpret_cast<const char*>(x + element), _MM_HINT_T1);
          if (kBackward) _mm_prefetch(reinterpret_cast<const char*>(layer.dy.data() + element), _MM_HINT_T1);
          sums.add(x + i, layer.dy.data() + i, weight, center);
        }
        if (channel > 0) map<v, kBackward, kStream>(x + i - S, layer.dy.data() + i - S, weight, out + i - S, c);
      }
    }
    const double first = sums.total_of(sums.first) / count, second = sums.total_of(sums.second) / count;
    if (from_y) {  // x_hat = (y - beta) / gamma
      c = {center, gamma * layer.rstd[at], 0, first, second / (gamma * gamma)};
    } else if (kBackward) {
      c = {center, gamma * layer.rstd[at], 0, first, second * layer.rstd[at] * layer.rstd[at]};
    } else {
      c = {center + first, gamma / std::sqrt(second - first * first + kEps), beta, 0, 0};
    }
  }
  _mm_sfence();
}

void library_forward(Layer& layer, Variant v) {
  if (v == Variant::weights) {
    layer.weighted_forward();
  } else if (v == Variant::plain) {
    layer.forward();
  } else {
    layer.in_place = layer.x;
    layer.in_place_forward();
  }
}

void library_backward(Layer& layer, Variant v) {
  if (v == Variant::weights) {
    layer.weighted_backward();
  } else if (v == Variant::plain) {
    layer.backward();
  } else {
    layer.in_place_backward();
  }
}

/// Library and loops, with both kinds of stores, in turns. The faster loop counts.
template <Variant v, bool kBackward>
void compare(Layer& layer, std::vector<double>& plain) {
  const std::vector<Work> works{[&] { kBackward ? library_backward(layer, v) : library_forward(layer, v); },
                                [&] { bare<v, kBackward, true>(layer); }, [&] { bare<v, kBackward, false>(layer); }};
  Tensor& out = kBackward ? layer.dx : layer.y;
  works[0]();
  const Tensor expected = out;
  for (const std::size_t loop : {1U, 2U}) {
    std::fill(out.begin(), out.end(), 0.0F);
    works[loop]();
    require_close("a bare loop", out, expected, 6e-7);
  }
  const std::vector<double> seconds = median_seconds(works, 3);
  const double own = seconds[0], loop = std::min(seconds[1], seconds[2]);
  if (v == Variant::plain) plain = {own, loop};
  std::printf("%-8s %2lld x %3lld x %-5lld %-15s %8.3f ms %5.2f %8.3f ms %5.2f %6.2f\n",
              kBackward ? "backward" : "forward", static_cast<long long>(layer.extent.outer),
              static_cast<long long>(layer.extent.channels), static_cast<long long>(layer.extent.inner),
              kNames[static_cast<int>(v)], own * 1e3, own / plain[0], loop * 1e3, loop / plain[1], own / loop);
  std::fflush(stdout);
}

int run() {
  if (!__builtin_cpu_supports("avx2")) {
    std::fprintf(stderr, "bare_layers: this processor has no AVX2\n");
    return EXIT_FAILURE;
  }
  std::printf("%-41s %17s %17s %6s\n", "f32, N x C x S", "library, of plain", "bare, of plain", "ratio");
  for (const Extent& extent :
       {Extent{32, 64, 12544}, Extent{32, 64, 3136}, Extent{32, 256, 3136}, Extent{32, 512, 784}}) {
    Layer layer(extent, 1);
    take_weights(layer);
    std::vector<double> plain;
    compare<Variant::plain, false>(layer, plain);
    compare<Variant::weights, false>(layer, plain);
    library_forward(layer, Variant::plain);
    compare<Variant::plain, true>(layer, plain);
    library_forward(layer, Variant::weights);
    compare<Variant::weights, true>(layer, plain);
    library_forward(layer, Variant::in_place);
    compare<Variant::in_place, true>(layer, plain);
  }
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace unitvar::bench

int main() { return unitvar::bench::run(); }
