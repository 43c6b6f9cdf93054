#include <immintrin.h>

#include <cstdint>
#include <cstdio>
#include <vector>

#include "bench/data.hpp"
#include "bench/line_allocator.hpp"
#include "bench/timing.hpp"

/// Whether an addition in front of a row normalization can cost no more than its bytes, one thread, next to no
/// arithmetic. The plain loop reads a batch, then reads it again and writes y. The other one adds two tensors into a
/// batch of its own, reads that, and writes it and y: h. It moves twice the bytes, so its share is the time over twice
/// the plain one's. "asked" prefetches the next batch while h is written; else the processor prefetches by itself.
namespace unitvar::bench {
namespace {

using std::int64_t;

constexpr int kWidth = 8;   // floats of a vector
constexpr int kAhead = 16;  // floats of a cache line
constexpr int64_t kSize = int64_t{1} << 23;

void prefetch(const float* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T1); }

/// A number that depends on all of the batch, and is nearly 1.
__m256 scale_of(const float* x, int64_t n) {
  __m256 sum = _mm256_setzero_ps();
  for (int64_t k = 0; k < n; k += kWidth) sum = _mm256_add_ps(sum, _mm256_loadu_ps(x + k));
  return _mm256_add_ps(_mm256_set1_ps(1), _mm256_mul_ps(sum, _mm256_set1_ps(1e-30F)));
}

void scale(const float* x, const __m256& by, float* y, int64_t n, int64_t ahead) {
  for (int64_t k = 0; k < n; k += kWidth) {
    if (ahead > 0 && k % kAhead == 0) prefetch(x + k + ahead);
    _mm256_stream_ps(y + k, _mm256_mul_ps(by, _mm256_loadu_ps(x + k)));
  }
}

struct Tensors {
  Tensor x, residual, h, y;
};

void plain(Tensors& t, int64_t batch) {
  for (int64_t b = 0; b < kSize; b += batch) {
    const float* x = t.x.data() + b;
    scale(x, scale_of(x, batch), t.y.data() + b, batch, batch);
  }
}

void with_sum(Tensors& t, Tensor& sum, int64_t batch, bool asks) {
  for (int64_t b = 0; b < kSize; b += batch) {
    const float *x = t.x.data() + b, *residual = t.residual.data() + b;
    for (int64_t k = 0; k < batch; k += kWidth) {
      _mm256_storeu_ps(sum.data() + k, _mm256_add_ps(_mm256_loadu_ps(x + k), _mm256_loadu_ps(residual + k)));
    }
    const __m256 by = scale_of(sum.data(), batch);
    for (int64_t k = 0; k < batch; k += kWidth) {
      if (asks && k % kAhead == 0) {
        prefetch(x + k + batch);
        prefetch(residual + k + batch);
      }
      _mm256_stream_ps(t.h.data() + b + k, _mm256_loadu_ps(sum.data() + k));
    }
    scale(sum.data(), by, t.y.data() + b, batch, 0);
  }
}

void run() {
  constexpr int64_t kShort = 4096;  // 16 KiB, as the library's batches of x alone
  const int64_t margin = kSize + (int64_t{1} << 16);
  Tensors t{random_tensor(margin, 0, 1, 1), random_tensor(margin, 0, 1, 2), Tensor(kSize), Tensor(kSize)};
  Tensor sum(int64_t{1} << 16);
  std::puts("KiB of a sum   share: asked   by itself");
  for (int64_t batch = 1024; batch <= int64_t{1} << 16; batch *= 2) {
    const std::vector<Work> works = {[&] { plain(t, kShort); }, [&] { with_sum(t, sum, batch, true); },
                                     [&] { with_sum(t, sum, batch, false); }};
    const std::vector<double> s = median_seconds(works, 1);
    std::printf("%12lld   %12.2f   %9.2f\n", static_cast<long long>(batch * 4 / 1024), s[1] / (2 * s[0]),
                s[2] / (2 * s[0]));
  }
}

}  // namespace
}  // namespace unitvar::bench

int main() { unitvar::bench::run(); }
