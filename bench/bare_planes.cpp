#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <type_traits>
#include <vector>

#include "bench/bare.hpp"
#include "bench/data.hpp"
#include "bench/line_allocator.hpp"
#include "bench/timing.hpp"
#include "unitvar/unitvar.hpp"

/// Batch norm with channels first beside bare loops in AVX2, one thread: the loads, stores and sums of the library, for
/// planes of whole cache lines, with nothing around them. As bare_rows.cpp.
namespace unitvar::bench {
namespace {

using std::int64_t;

constexpr int64_t kAheadBytes = 2048;
constexpr double kEps = 1e-5;

enum class Pass { forward, backward, inference };
constexpr const char* kNames[] = {"forward", "backward", "inference"};

/// Sixteen elements in float: the first and the last eight, or of bf16 the even and the odd ones.
struct Floats {
  __m256 a, b;
};
inline Floats loaded(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline Floats loaded(const bf16* p) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  const __m256i odd = _mm256_and_si256(bits, _mm256_set1_epi32(-65536));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(bits, 16)), _mm256_castsi256_ps(odd)};
}
inline Floats loaded(const f16* p) {
  const auto* const bits = reinterpret_cast<const __m128i*>(p);
  return {_mm256_cvtph_ps(_mm_loadu_si128(bits)), _mm256_cvtph_ps(_mm_loadu_si128(bits + 1))};
}
/// Past the caches, or into them.
template <bool kStream>
void put(const Floats& v, float* p) {
  if constexpr (kStream) {
    _mm256_stream_ps(p, v.a);
    _mm256_stream_ps(p + 8, v.b);
  } else {
    _mm256_storeu_ps(p, v.a);
    _mm256_storeu_ps(p + 8, v.b);
  }
}
/// To nearest even: 1 is added to the upper half where the lower one, less 1 if the upper is even, is half a step or
/// more.
template <bool kStream>
void put(const Floats& v, bf16* p) {
  const __m256i even = _mm256_castps_si256(v.a), odd = _mm256_castps_si256(v.b);
  const __m256i upper = _mm256_blend_epi16(odd, _mm256_srli_epi32(even, 16), 0x55);
  const __m256i lower = _mm256_blend_epi16(_mm256_slli_epi32(odd, 16), even, 0x55);
  const __m256i excess = _mm256_subs_epu16(lower, _mm256_andnot_si256(upper, _mm256_set1_epi16(1)));
  const __m256i rounded = _mm256_sub_epi16(upper, _mm256_srai_epi16(excess, 15));
  auto* const to = reinterpret_cast<__m256i*>(p);
  kStream ? _mm256_stream_si256(to, rounded) : _mm256_storeu_si256(to, rounded);
}
template <bool kStream>
void put(const Floats& v, f16* p) {
  const __m128i a = _mm256_cvtps_ph(v.a, _MM_FROUND_TO_NEAREST_INT),
                b = _mm256_cvtps_ph(v.b, _MM_FROUND_TO_NEAREST_INT);
  auto* const to = reinterpret_cast<__m128i*>(p);
  kStream ? _mm_stream_si128(to, a) : _mm_storeu_si128(to, a);
  kStream ? _mm_stream_si128(to + 1, b) : _mm_storeu_si128(to + 1, b);
}
inline Floats operator+(const Floats& v, const Floats& w) { return {_mm256_add_ps(v.a, w.a), _mm256_add_ps(v.b, w.b)}; }
inline Floats operator-(const Floats& v, const Floats& w) { return {_mm256_sub_ps(v.a, w.a), _mm256_sub_ps(v.b, w.b)}; }
inline Floats operator*(const Floats& v, const Floats& w) { return {_mm256_mul_ps(v.a, w.a), _mm256_mul_ps(v.b, w.b)}; }
inline Floats all(double s) {
  const __m256 v = _mm256_set1_ps(static_cast<float>(s));
  return {v, v};
}

inline __m256d low(__m256 v) { return _mm256_cvtps_pd(_mm256_castps256_ps128(v)); }
inline __m256d high(__m256 v) { return _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1)); }

/// Sixteen sums in double.
struct Lanes {
  __m256d v[4] = {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd()};

  void add(const Floats& terms) {
    const __m256d wide[4] = {low(terms.a), high(terms.a), low(terms.b), high(terms.b)};
    for (int k = 0; k < 4; ++k) v[k] = _mm256_add_pd(v[k], wide[k]);
  }
  [[nodiscard]] double total() const {
    return bench::total(_mm256_add_pd(_mm256_add_pd(v[0], v[1]), _mm256_add_pd(v[2], v[3])));
  }
};

/// Both sums of a channel: of d = x - center and d * d, or of dy and dy * d. Terms of float are added in double, those
/// of 16 bits in float, four vectors at a time.
template <class T, bool kBackward>
struct Sums {
  static constexpr int64_t kStep = std::is_same_v<T, float> ? 16 : 64;
  Lanes first, second;

  void add(const T* x, const T* dy, double center) {
    if constexpr (std::is_same_v<T, float>) {
      const __m256d c = _mm256_set1_pd(center);
      for (int k = 0; k < 4; ++k) {
        const __m256d d = _mm256_sub_pd(_mm256_cvtps_pd(_mm_loadu_ps(x + 4 * k)), c);
        const __m256d term = kBackward ? _mm256_cvtps_pd(_mm_loadu_ps(dy + 4 * k)) : d;
        first.v[k] = _mm256_add_pd(first.v[k], term);
        second.v[k] = _mm256_add_pd(second.v[k], _mm256_mul_pd(term, d));
      }
    } else {
      Floats one[4], two[4];
      for (int k = 0; k < 4; ++k) {
        const Floats d = loaded(x + 16 * k) - all(center);
        one[k] = kBackward ? loaded(dy + 16 * k) : d;
        two[k] = one[k] * d;
      }
      first.add((one[0] + one[1]) + (one[2] + one[3]));
      second.add((two[0] + two[1]) + (two[2] + two[3]));
    }
  }
};

struct Coefficients {
  double center = 0, scale = 0, beta = 0;  ///< y = (x - center) * scale + beta
  double level = 0, slope = 0;             ///< dx = ((dy - level) - (x - center) * slope) * scale
};

template <bool kStream, bool kBackward, class T>
inline void map(const T* x, const T* dy, T* out, const Coefficients& c) {
  const Floats d = loaded(x) - all(c.center);
  if constexpr (kBackward) {
    const double rest = c.level - static_cast<double>(static_cast<float>(c.level));
    put<kStream>((((loaded(dy) - all(c.level)) - all(rest)) - d * all(c.slope)) * all(c.scale), out);
  } else {
    put<kStream>(d * all(c.scale) + all(c.beta), out);
  }
}

template <class T>
struct Problem {
  Extent extent;
  TensorOf<T> x, dy, out;  ///< out: of the library, the loops and the copy, since some memory is faster than other
  Tensor gamma, beta, dgamma, dbeta;
  std::vector<double> mean, var, rstd;

  explicit Problem(const Extent& e)
      : extent(e),
        x(random_tensor<T>(e.size(), 0.5, 1, 1)),
        dy(random_tensor<T>(e.size(), 0, 1, 2)),
        out(x.size()),
        gamma(random_tensor(e.channels, 1, 0.1, 3)),
        beta(random_tensor(e.channels, 0, 0.1, 4)),
        dgamma(gamma.size()),
        dbeta(gamma.size()),
        mean(gamma.size()),
        var(gamma.size()),
        rstd(gamma.size()) {}
};

template <class T>
void library(Problem<T>& p, Pass pass) {
  const Options options{.cpu = {.threads = 1}};
  if (pass == Pass::forward) {
    batch_norm_forward<T>({.extent = p.extent,
                           .x = p.x,
                           .gamma = p.gamma,
                           .beta = p.beta,
                           .y = p.out,
                           .mean = p.mean,
                           .var = p.var,
                           .rstd = p.rstd,
                           .eps = kEps},
                          options);
  } else if (pass == Pass::inference) {
    batch_norm_inference<T>({.extent = p.extent,
                             .x = p.x,
                             .mean = p.mean,
                             .var = p.var,
                             .gamma = p.gamma,
                             .beta = p.beta,
                             .y = p.out,
                             .eps = kEps},
                            options);
  } else {
    batch_norm_backward<T>({.extent = p.extent,
                            .x = p.x,
                            .dy = p.dy,
                            .mean = p.mean,
                            .rstd = p.rstd,
                            .gamma = p.gamma,
                            .dx = p.out,
                            .dgamma = p.dgamma,
                            .dbeta = p.dbeta},
                           options);
  }
}

/// In the order of memory.
template <bool kStream, class T>
void bare_inference(Problem<T>& p) {
  const int64_t S = p.extent.inner;
  constexpr int64_t kAhead = kAheadBytes / int64_t{sizeof(T)};
  for (int64_t plane = 0; plane < p.extent.outer * p.extent.channels; ++plane) {
    const auto at = static_cast<std::size_t>(plane % p.extent.channels);
    const double scale = static_cast<double>(p.gamma[at]) / std::sqrt(p.var[at] + kEps);
    const Coefficients c{p.mean[at], scale, static_cast<double>(p.beta[at]), 0, 0};
    for (int64_t i = plane * S; i < (plane + 1) * S; i += 16) {
      _mm_prefetch(reinterpret_cast<const char*>(p.x.data() + i + kAhead), _MM_HINT_T1);
      map<kStream, false>(p.x.data() + i, static_cast<const T*>(nullptr), p.out.data() + i, c);
    }
  }
  _mm_sfence();
}

/// A channel is summed while the one before is mapped.
template <bool kStream, bool kBackward, class T>
void bare(Problem<T>& p) {
  const int64_t N = p.extent.outer, C = p.extent.channels, S = p.extent.inner;
  constexpr int64_t kStep = Sums<T, kBackward>::kStep, kAhead = kAheadBytes / int64_t{sizeof(T)};
  Coefficients c;
  for (int64_t channel = 0; channel <= C; ++channel) {
    Sums<T, kBackward> sums;
    const auto at = static_cast<std::size_t>(std::min(channel, C - 1));
    const double center = kBackward ? p.mean[at] : 0.5;
    for (int64_t n = 0; n < N; ++n) {
      const int64_t row = (n * C + channel) * S, next = n + 1 < N ? row + C * S : (channel + 1) * S;
      for (int64_t k = 0; k < S; k += kStep) {
        const int64_t i = row + k;
        if (channel < C) {
          for (int64_t line = 0; line < kStep * int64_t{sizeof(T)}; line += 64) {
            const int64_t later = k + line / int64_t{sizeof(T)} + kAhead;
            const int64_t element = later < S ? row + later : next + (later - S);
            _mm_prefetch(reinterpret_cast<const char*>(p.x.data() + element), _MM_HINT_T1);
            if (kBackward) _mm_prefetch(reinterpret_cast<const char*>(p.dy.data() + element), _MM_HINT_T1);
          }
          sums.add(p.x.data() + i, p.dy.data() + i, center);
        }
        if (channel == 0) continue;
        for (int64_t j = i - S; j < i - S + kStep; j += 16) {
          map<kStream, kBackward>(p.x.data() + j, p.dy.data() + j, p.out.data() + j, c);
        }
      }
    }
    const double count = static_cast<double>(N * S), first = sums.first.total() / count;
    const double second = sums.second.total() / count;
    const double gamma = static_cast<double>(p.gamma[at]);
    if (kBackward) {
      c = {center, gamma * p.rstd[at], 0, first, second * p.rstd[at] * p.rstd[at]};
    } else {
      c = {center + first, gamma / std::sqrt(second - first * first + kEps), static_cast<double>(p.beta[at]), 0, 0};
    }
  }
  _mm_sfence();
}

template <Pass pass, bool kStream, class T>
void bare_pass(Problem<T>& p) {
  if constexpr (pass == Pass::inference) {
    bare_inference<kStream>(p);
  } else {
    bare<kStream, pass == Pass::backward>(p);
  }
}

/// Copies and loops with both kinds of stores: the faster one counts, as which that is depends on the caches.
template <Pass pass, class T>
void compare(Problem<T>& p, const char* dtype) {
  constexpr bool kBackward = pass == Pass::backward;
  const T* const dy = kBackward ? p.dy.data() : nullptr;
  const std::vector<Work> works{[&] { move<true>(p.x.data(), dy, p.out.data(), p.extent.size()); },
                                [&] { move<false>(p.x.data(), dy, p.out.data(), p.extent.size()); },
                                [&] { library(p, pass); }, [&] { bare_pass<pass, true>(p); },
                                [&] { bare_pass<pass, false>(p); }};
  works[2]();
  const TensorOf<T> expected = p.out;
  const double tolerance = std::is_same_v<T, float> ? 3e-7 : 1e-4;  // 16 bits: one value in thousands is a step off
  for (const std::size_t loop : {3U, 4U}) {
    works[0]();
    works[loop]();
    require_close("a bare loop", p.out, expected, tolerance);
  }
  const std::vector<double> seconds = median_seconds(works, 3);
  const double copy = std::min(seconds[0], seconds[1]), own = seconds[2], loop = std::min(seconds[3], seconds[4]);
  std::printf("%-5s %-9s %2lld x %3lld x %-5lld %8.3f ms %5.2f %8.3f ms %5.2f %6.2f\n", dtype,
              kNames[static_cast<int>(pass)], static_cast<long long>(p.extent.outer),
              static_cast<long long>(p.extent.channels), static_cast<long long>(p.extent.inner), own * 1e3, copy / own,
              loop * 1e3, copy / loop, own / loop);
  std::fflush(stdout);
}

template <class T>
void compare_all(const char* dtype) {
  const Extent extents[] = {{50, 64, 12544}, {50, 64, 3136}, {50, 256, 3136},
                            {50, 512, 784},  {1, 416, 832},  {1, 864, 64}};
  for (const Extent& extent : extents) {
    if (extent.inner % Sums<T, false>::kStep != 0) continue;
    Problem<T> p(extent);
    compare<Pass::forward>(p, dtype);
    compare<Pass::backward>(p, dtype);
    compare<Pass::inference>(p, dtype);
  }
}

int run() {
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("f16c")) {
    std::fprintf(stderr, "bare_planes: this processor has no AVX2 or no F16C\n");
    return EXIT_FAILURE;
  }
  std::printf("%-32s %17s %17s %6s\n", "batch norm, N x C x S", "library, of copy", "bare, of copy", "ratio");
  compare_all<float>("f32");
  compare_all<bf16>("bf16");
  compare_all<f16>("f16");
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace unitvar::bench

int main() { return unitvar::bench::run(); }
