#include <immintrin.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "bench/bare.hpp"
#include "bench/data.hpp"
#include "bench/line_allocator.hpp"
#include "bench/timing.hpp"
#include "unitvar/unitvar.hpp"

/// Layer norm of float beside bare loops, one thread: the loads, stores and sums of the library in AVX2, for whole
/// cache lines, with nothing around them; gamma is there in double, which the library converts. They say what this
/// arithmetic allows on this machine. The library is within a tenth of the fastest of them, or has something to learn.
namespace unitvar::bench {
namespace {

using std::int64_t;

constexpr int kWidth = 8;  // floats of a vector
constexpr int kLine = 16;  // floats of a cache line
constexpr double kEps = 1e-5;
constexpr int64_t kMostRows = 64;  // of a batch; a power of two, as all batches

struct Problem {
  RowExtent extent;
  Tensor x, dy, gamma, beta;
  std::vector<double> gamma_in_double;

  Problem(int64_t rows, int64_t D)
      : extent{.rows = rows, .length = D},
        x(random_tensor(rows * D, 0.5, 1, 1)),
        dy(random_tensor(rows * D, 0, 1, 2)),
        gamma(random_tensor(D, 1, 0.1, 3)),
        beta(random_tensor(D, 0, 0.1, 4)),
        gamma_in_double(gamma.begin(), gamma.end()) {}
};

struct Results {
  Tensor y, dx, dgamma, dbeta;
  std::vector<double> mean, rstd;

  explicit Results(const RowExtent& e)
      : y(static_cast<std::size_t>(e.size())),
        dx(y.size()),
        dgamma(static_cast<std::size_t>(e.length)),
        dbeta(dgamma.size()),
        mean(static_cast<std::size_t>(e.rows)),
        rstd(mean.size()) {}
};

/// A vector of floats as doubles.
struct Doubles {
  __m256d low, high;
};
inline Doubles widened(const float* p) {
  return {_mm256_cvtps_pd(_mm_loadu_ps(p)), _mm256_cvtps_pd(_mm_loadu_ps(p + kWidth / 2))};
}
inline Doubles loaded(const double* p) { return {_mm256_loadu_pd(p), _mm256_loadu_pd(p + kWidth / 2)}; }
inline void store(const Doubles& v, double* p) {
  _mm256_storeu_pd(p, v.low);
  _mm256_storeu_pd(p + kWidth / 2, v.high);
}
inline Doubles operator+(const Doubles& v, const Doubles& w) {
  return {_mm256_add_pd(v.low, w.low), _mm256_add_pd(v.high, w.high)};
}
inline Doubles operator-(const Doubles& v, double s) {
  return {_mm256_sub_pd(v.low, _mm256_set1_pd(s)), _mm256_sub_pd(v.high, _mm256_set1_pd(s))};
}
inline Doubles operator*(const Doubles& v, const Doubles& w) {
  return {_mm256_mul_pd(v.low, w.low), _mm256_mul_pd(v.high, w.high)};
}
inline Doubles operator*(const Doubles& v, double s) { return v * Doubles{_mm256_set1_pd(s), _mm256_set1_pd(s)}; }
inline double total(const Doubles& v) { return bench::total(_mm256_add_pd(v.low, v.high)); }
inline Doubles none() { return {_mm256_setzero_pd(), _mm256_setzero_pd()}; }

/// sum(x - shift) and sum((x - shift)^2) of n rows.
template <int n>
void add_moments(const float* x, int64_t D, const double* shift, double* first, double* second) {
  Doubles sum[n], square[n];
  for (int r = 0; r < n; ++r) sum[r] = square[r] = none();
  for (int64_t k = 0; k < D; k += kWidth) {
    for (int r = 0; r < n; ++r) {
      const Doubles d = widened(x + r * D + k) - shift[r];
      sum[r] = sum[r] + d;
      square[r] = square[r] + d * d;
    }
  }
  for (int r = 0; r < n; ++r) {
    first[r] = total(sum[r]);
    second[r] = total(square[r]);
  }
}

/// sum(g) and sum(g * x_hat) of n rows, g = gamma * dy, and of each column sum(dy) and sum(dy * x_hat).
template <int n>
void add_gradients(const float* x, const float* dy, int64_t D, const double* mean, const double* rstd,
                   const double* gamma, double* dbeta, double* dgamma, double* first, double* second) {
  Doubles sum[n], along[n];
  for (int r = 0; r < n; ++r) sum[r] = along[r] = none();
  for (int64_t k = 0; k < D; k += kWidth) {
    const Doubles scale = loaded(gamma + k);
    Doubles beta_sum = loaded(dbeta + k), gamma_sum = loaded(dgamma + k);
    for (int r = 0; r < n; ++r) {
      const Doubles g = widened(dy + r * D + k);
      const Doubles product = g * ((widened(x + r * D + k) - mean[r]) * rstd[r]);
      beta_sum = beta_sum + g;
      gamma_sum = gamma_sum + product;
      sum[r] = sum[r] + g * scale;
      along[r] = along[r] + product * scale;
    }
    store(beta_sum, dbeta + k);
    store(gamma_sum, dgamma + k);
  }
  for (int r = 0; r < n; ++r) {
    first[r] = total(sum[r]);
    second[r] = total(along[r]);
  }
}

inline void ask(const float* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T1); }

void map_y(const Problem& p, const float* x, float* y, double mean, double rstd, int64_t ahead) {
  const auto center = static_cast<float>(mean), scale = static_cast<float>(rstd);
  const __m256 c = _mm256_set1_ps(center), s = _mm256_set1_ps(scale);
  const __m256 rest = _mm256_set1_ps(static_cast<float>(-(mean - center) * rstd));
  for (int64_t k = 0; k < p.extent.length; k += kWidth) {
    if (k % kLine == 0) ask(x + k + ahead);
    const __m256 x_hat = _mm256_add_ps(_mm256_mul_ps(_mm256_sub_ps(_mm256_loadu_ps(x + k), c), s), rest);
    const __m256 scaled = _mm256_mul_ps(x_hat, _mm256_loadu_ps(p.gamma.data() + k));
    _mm256_stream_ps(y + k, _mm256_add_ps(scaled, _mm256_loadu_ps(p.beta.data() + k)));
  }
}

void map_dx(const Problem& p, const float* x, const float* dy, float* dx, double mean, double rstd, double level,
            double slope, int64_t ahead) {
  const auto center = static_cast<float>(mean);
  const double whole = level - (mean - center) * slope;
  const auto high = static_cast<float>(whole);
  const __m256 c = _mm256_set1_ps(center), l = _mm256_set1_ps(high), a = _mm256_set1_ps(static_cast<float>(slope));
  const __m256 rest = _mm256_set1_ps(static_cast<float>(whole - high)), s = _mm256_set1_ps(static_cast<float>(rstd));
  for (int64_t k = 0; k < p.extent.length; k += kWidth) {
    if (k % kLine == 0) {
      ask(x + k + ahead);
      ask(dy + k + ahead);
    }
    const __m256 along = _mm256_mul_ps(_mm256_sub_ps(_mm256_loadu_ps(x + k), c), a);
    const __m256 g = _mm256_mul_ps(_mm256_loadu_ps(dy + k), _mm256_loadu_ps(p.gamma.data() + k));
    const __m256 d = _mm256_sub_ps(_mm256_sub_ps(_mm256_sub_ps(g, l), rest), along);
    _mm256_stream_ps(dx + k, _mm256_mul_ps(d, s));
  }
}

/// Batches of rows: their sums, n rows at a time, then their results.
template <int n>
void forward(const Problem& p, int64_t batch, Results& out) {
  const int64_t D = p.extent.length, rows = p.extent.rows;
  double shift[kMostRows], first[kMostRows], second[kMostRows];
  for (int64_t b = 0; b < rows; b += batch) {
    const float* const x = p.x.data() + b * D;
    for (int64_t r = 0; r < batch; ++r) shift[r] = 0.5;
    for (int64_t r = 0; r < batch; r += n) add_moments<n>(x + r * D, D, shift + r, first + r, second + r);
    for (int64_t r = 0; r < batch; ++r) {
      const double from_shift = first[r] / static_cast<double>(D);
      const double var = second[r] / static_cast<double>(D) - from_shift * from_shift;
      out.mean[static_cast<std::size_t>(b + r)] = shift[r] + from_shift;
      out.rstd[static_cast<std::size_t>(b + r)] = 1 / std::sqrt(var + kEps);
    }
    const int64_t ahead = b + batch < rows ? batch * D : 0;
    for (int64_t r = 0; r < batch; ++r) {
      const auto at = static_cast<std::size_t>(b + r);
      map_y(p, x + r * D, out.y.data() + (b + r) * D, out.mean[at], out.rstd[at], ahead);
    }
  }
  _mm_sfence();
}

template <int n>
void backward(const Problem& p, int64_t batch, Results& out) {
  const int64_t D = p.extent.length, rows = p.extent.rows;
  std::vector<double> dgamma(static_cast<std::size_t>(D)), dbeta(dgamma.size());
  double first[kMostRows], second[kMostRows];
  for (int64_t b = 0; b < rows; b += batch) {
    const float *const x = p.x.data() + b * D, *const dy = p.dy.data() + b * D;
    const double *const mean = out.mean.data() + b, *const rstd = out.rstd.data() + b;
    for (int64_t r = 0; r < batch; r += n) {
      add_gradients<n>(x + r * D, dy + r * D, D, mean + r, rstd + r, p.gamma_in_double.data(), dbeta.data(),
                       dgamma.data(), first + r, second + r);
    }
    const int64_t ahead = b + batch < rows ? batch * D : 0;
    for (int64_t r = 0; r < batch; ++r) {
      const double level = first[r] / static_cast<double>(D), slope = second[r] / static_cast<double>(D) * rstd[r];
      map_dx(p, x + r * D, dy + r * D, out.dx.data() + (b + r) * D, mean[r], rstd[r], level, slope, ahead);
    }
  }
  std::copy(dgamma.begin(), dgamma.end(), out.dgamma.begin());
  std::copy(dbeta.begin(), dbeta.end(), out.dbeta.begin());
  _mm_sfence();
}

void library_forward(const Problem& p, Results& out) {
  layer_norm_forward<float>({.extent = p.extent,
                             .x = p.x,
                             .gamma = p.gamma,
                             .beta = p.beta,
                             .y = out.y,
                             .mean = out.mean,
                             .rstd = out.rstd,
                             .eps = kEps},
                            {.cpu = {.threads = 1}});
}
void library_backward(const Problem& p, Results& out) {
  layer_norm_backward<float>({.extent = p.extent,
                              .x = p.x,
                              .dy = p.dy,
                              .mean = out.mean,
                              .rstd = out.rstd,
                              .gamma = p.gamma,
                              .dx = out.dx,
                              .dgamma = out.dgamma,
                              .dbeta = out.dbeta},
                             {.cpu = {.threads = 1}});
}

struct Loop {
  const char* name;
  int64_t rows;   ///< that are summed at a time
  int64_t bytes;  ///< of a batch, of x alone; it has so many rows at least
  void (*run)(const Problem&, int64_t batch, Results&);
};

void compare(const Problem& p, bool is_forward, const std::vector<Loop>& loops) {
  Results out(p.extent);  // of the library, the loops and the copy, since some memory is faster than other
  library_forward(p, out);
  const float* const dy = is_forward ? nullptr : p.dy.data();
  std::vector<Work> works{[&] { move<true>(p.x.data(), dy, out.dx.data(), p.extent.size()); },
                          [&] { is_forward ? library_forward(p, out) : library_backward(p, out); }};
  works.back()();
  const Results expected = out;
  for (const Loop& loop : loops) {
    const auto fit = static_cast<std::uint64_t>(loop.bytes / (p.extent.length * int64_t{sizeof(float)}));
    const int64_t batch = std::clamp(static_cast<int64_t>(std::bit_floor(fit)), loop.rows, kMostRows);
    std::fill(out.y.begin(), out.y.end(), 0.0F);
    std::fill(out.dx.begin(), out.dx.end(), 0.0F);
    works.emplace_back([&, batch] { loop.run(p, batch, out); });
    works.back()();
    if (is_forward) {
      require_close("y of a bare loop", out.y, expected.y, 3e-7);
    } else {
      require_close("dx of a bare loop", out.dx, expected.dx, 3e-7);
      require_close("dgamma of a bare loop", out.dgamma, expected.dgamma, 3e-7);
      require_close("dbeta of a bare loop", out.dbeta, expected.dbeta, 3e-7);
    }
  }
  const std::vector<double> seconds = median_seconds(works, 3);
  const auto best = std::min_element(seconds.begin() + 2, seconds.end());
  const auto fraction = [&](double s) { return seconds[0] / s; };
  std::printf("%-8s %6lld x %-6lld %8.3f ms %5.2f %8.3f ms %5.2f  %-24s %5.2f\n", is_forward ? "forward" : "backward",
              static_cast<long long>(p.extent.rows), static_cast<long long>(p.extent.length), seconds[1] * 1e3,
              fraction(seconds[1]), *best * 1e3, fraction(*best),
              loops[static_cast<std::size_t>(best - seconds.begin()) - 2].name, seconds[1] / *best);
  std::fflush(stdout);
}

int run() {
  if (!__builtin_cpu_supports("avx2")) {
    std::fprintf(stderr, "bare_rows: this processor has no AVX2\n");
    return EXIT_FAILURE;
  }
  std::printf("%-24s %17s %17s  %-24s %5s\n", "layer norm, f32", "library, of copy", "bare, of copy",
              "the fastest loop", "ratio");
  for (const int64_t D : {64, 128, 256, 512, 768, 1024, 4096, 16384}) {
    const Problem p(16777216 / D / kMostRows * kMostRows, D);
    compare(p, true,
            {{"1 row, 8 KiB", 1, 8192, forward<1>},
             {"2 rows, 8 KiB", 2, 8192, forward<2>},
             {"4 rows, 8 KiB", 4, 8192, forward<4>},
             {"4 rows, 16 KiB", 4, 16384, forward<4>},
             {"2 rows, 32 KiB", 2, 32768, forward<2>}});
    compare(p, false,
            {{"1 row, 8 KiB", 1, 8192, backward<1>},
             {"2 rows, 8 KiB", 2, 8192, backward<2>},
             {"4 rows, 8 KiB", 4, 8192, backward<4>},
             {"4 rows, 16 KiB", 4, 16384, backward<4>},
             {"2 rows, 16 KiB", 2, 16384, backward<2>}});
  }
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace unitvar::bench

int main() { return unitvar::bench::run(); }
