#include <immintrin.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "bench/timing.hpp"

/// What a walk over memory can reach on this machine, whatever the arithmetic. The loops do a pass's loads and stores
/// with the least arithmetic, on one thread. They bound the fractions of `unitvar bench`, and explain the choices of
/// the schedule. For x86 with AVX2.
namespace unitvar::bench {
namespace {

using std::int64_t;

constexpr int64_t kLine = 16;      // floats
constexpr int64_t kNear = 512;     // floats: how far ahead to prefetch
constexpr int64_t kSpare = 65536;  // prefetches lead beyond the end

struct Unmap {
  std::size_t bytes;
  void operator()(float* p) const { munmap(p, bytes); }
};
using Tensor = std::unique_ptr<float, Unmap>;

Tensor tensor(int64_t floats) {
  const std::size_t bytes = static_cast<std::size_t>(floats + kSpare) * sizeof(float);
  void* const p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  madvise(p, bytes, MADV_HUGEPAGE);
  std::fill_n(static_cast<float*>(p), floats + kSpare, 1.25F);
  return {static_cast<float*>(p), Unmap{bytes}};
}

struct Memory {
  const float* x;
  const float* dy;  // read backward only
  float* out;
};

volatile float sink;

inline void ask(const float* p) { __builtin_prefetch(p, 0, 3); }

/// The result of one cache line: as many operations as normalization has. Backward takes the second input too.
template <bool kBackward>
inline void write_line(const Memory& m, int64_t i, __m256 a) {
  for (int64_t k = i; k < i + kLine; k += 8) {
    __m256 v = _mm256_mul_ps(_mm256_sub_ps(_mm256_loadu_ps(m.x + k), a), a);
    if constexpr (kBackward) v = _mm256_sub_ps(_mm256_loadu_ps(m.dy + k), v);
    _mm256_stream_ps(m.out + k, _mm256_add_ps(v, a));
  }
}

template <bool kBackward>
inline __m256 read_line(const Memory& m, int64_t i, __m256 sum) {
  for (int64_t k = i; k < i + kLine; k += 8) {
    sum = _mm256_add_ps(sum, _mm256_loadu_ps(m.x + k));
    if constexpr (kBackward) sum = _mm256_add_ps(sum, _mm256_loadu_ps(m.dy + k));
  }
  return sum;
}

template <bool kBackward>
inline void ask_for(const Memory& m, int64_t i) {
  ask(m.x + i);
  if constexpr (kBackward) ask(m.dy + i);
}

/// The tensor in `streams` parts that are written in turn, a cache line each.
template <bool kBackward>
void copy(const Memory& m, int64_t size, int64_t streams, bool prefetch) {
  const __m256 a = _mm256_set1_ps(0.5F);
  const int64_t part = size / streams;
  for (int64_t i = 0; i < part; i += kLine) {
    for (int64_t s = 0; s < streams; ++s) {
      if (prefetch) ask_for<kBackward>(m, s * part + i + kNear);
      write_line<kBackward>(m, s * part + i, a);
    }
  }
  _mm_sfence();
}

/// Planes of N x C x S: a channel is read, then read again and written. `fused`: together with the first pass of the
/// next channel.
template <bool kBackward>
void channel_by_channel(const Memory& m, int64_t N, int64_t C, int64_t S, bool fused) {
  const __m256 a = _mm256_set1_ps(0.5F);
  __m256 sum = a;
  const auto pass = [&](int64_t read, int64_t written) {
    for (int64_t n = 0; n < N; ++n) {
      const int64_t row = (n * C + read) * S, next = n + 1 < N ? row + C * S : (read + 1) * S;
      for (int64_t k = 0; k < S; k += kLine) {
        if (read < C) {
          ask_for<kBackward>(m, k + kNear < S ? row + k + kNear : next + k + kNear - S);
          sum = read_line<kBackward>(m, row + k, sum);
        }
        if (written >= 0) write_line<kBackward>(m, (n * C + written) * S + k, a);
      }
    }
  };
  for (int64_t c = 0; c <= C; ++c) {
    if (fused) {
      pass(c, c - 1);
    } else if (c < C) {
      pass(c, -1);
      pass(C, c);
    }
  }
  _mm_sfence();
  sink = _mm256_cvtss_f32(sum);
}

/// Rows of channels: all is read, then read again from the end and written.
template <bool kBackward>
void two_passes(const Memory& m, int64_t size) {
  __m256 sum = _mm256_setzero_ps();
  for (int64_t i = 0; i < size; i += kLine) {
    ask_for<kBackward>(m, i + 2 * kNear);
    sum = read_line<kBackward>(m, i, sum);
  }
  sink = _mm256_cvtss_f32(sum);
  constexpr int64_t kBlock = 131072;
  for (int64_t end = size; end > 0; end -= std::min(end, kBlock)) {
    const int64_t begin = std::max<int64_t>(0, end - kBlock);
    copy<kBackward>({m.x + begin, m.dy + begin, m.out + begin}, end - begin, 1, true);
  }
}

/// Rows of channels, `width` of them at a time, which then come from the cache the second time.
template <bool kBackward>
void blocks_of_columns(const Memory& m, int64_t rows, int64_t C, int64_t width) {
  const __m256 a = _mm256_set1_ps(0.5F);
  constexpr int64_t kRows = 8;
  for (int64_t c = 0; c < C; c += width) {
    __m256 sum = a;
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t k = c; k < c + width; k += kLine) {
        ask_for<kBackward>(m, std::min(rows - 1, r + kRows) * C + k);
        sum = read_line<kBackward>(m, r * C + k, sum);
      }
    }
    sink = _mm256_cvtss_f32(sum);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t k = c; k < c + width; k += kLine) write_line<kBackward>(m, r * C + k, a);
    }
  }
  _mm_sfence();
}

/// Sums of columns over rows [begin, end), two cache lines of columns at a time in registers.
inline void add_columns(const Memory& m, int64_t begin, int64_t end, int64_t D, float* first, float* second) {
  for (int64_t k = 0; k < D; k += 2 * kLine) {
    __m256 a[4], b[4];
    for (int64_t v = 0; v < 4; ++v) {
      a[v] = _mm256_loadu_ps(first + k + 8 * v);
      b[v] = _mm256_loadu_ps(second + k + 8 * v);
    }
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t v = 0; v < 4; ++v) {
        const __m256 dy = _mm256_loadu_ps(m.dy + r * D + k + 8 * v);
        a[v] = _mm256_add_ps(a[v], dy);
        b[v] = _mm256_add_ps(b[v], _mm256_mul_ps(dy, _mm256_loadu_ps(m.x + r * D + k + 8 * v)));
      }
    }
    for (int64_t v = 0; v < 4; ++v) {
      _mm256_storeu_ps(first + k + 8 * v, a[v]);
      _mm256_storeu_ps(second + k + 8 * v, b[v]);
    }
  }
}

/// Rows of D, a batch of floats at a time: one batch is read while the batch before is read again and written.
/// Backward, the sums of columns come between the two.
template <bool kBackward>
void batches_of_rows(const Memory& m, int64_t rows, int64_t D, int64_t floats) {
  const __m256 a = _mm256_set1_ps(0.5F);
  const int64_t batch = std::max<int64_t>(1, floats / D);
  std::vector<float> columns(kBackward ? static_cast<std::size_t>(2 * D) : 0);
  for (int64_t begin = 0; begin < rows + batch; begin += batch) {
    if (kBackward && begin > 0) {
      add_columns(m, begin - batch, std::min(begin, rows), D, columns.data(), columns.data() + D);
    }
    for (int64_t r = begin; r < begin + batch; ++r) {
      __m256 sum = a;  // of one row
      for (int64_t i = r * D; i < (r + 1) * D; i += kLine) {
        if (r < rows) {
          ask_for<kBackward>(m, i + kNear);
          sum = read_line<kBackward>(m, i, sum);
        }
        if (r >= batch && r - batch < rows) write_line<kBackward>(m, i - batch * D, a);
      }
      sink = _mm256_cvtss_f32(sum);
    }
  }
  _mm_sfence();
}

struct Named {
  const char* name;
  Work work;
};

/// Fractions of the first two, the copies.
void compare(const char* title, const std::vector<Named>& rivals) {
  std::vector<Work> works;
  works.reserve(rivals.size());
  for (const Named& rival : rivals) works.push_back(rival.work);
  const std::vector<double> seconds = median_seconds(works, 3);
  const double best = std::min(seconds[0], seconds[1]);
  std::printf("%s\n", title);
  for (std::size_t i = 0; i < rivals.size(); ++i) {
    std::printf("  %-44s %8.3f ms  %.2f of the copy\n", rivals[i].name, seconds[i] * 1e3, best / seconds[i]);
  }
}

template <bool kBackward>
void measure(const Memory& m) {
  const char* const pass = kBackward ? "backward" : "forward";
  const auto copies = [&m](int64_t size) {
    return std::vector<Named>{{"copy", [=] { copy<kBackward>(m, size, 1, false); }},
                              {"copy, asking ahead", [=] { copy<kBackward>(m, size, 1, true); }}};
  };
  char title[128];
  for (const int64_t S : {int64_t{784} * 4, int64_t{3136} * 4}) {
    constexpr int64_t N = 50, C = 64;
    const int64_t size = N * C * S;
    std::snprintf(title, sizeof title, "%s, %d x %d planes of %d floats", pass, int{N}, int{C}, static_cast<int>(S));
    auto rivals = copies(size);
    rivals.push_back({"channel by channel", [=] { channel_by_channel<kBackward>(m, N, C, S, false); }});
    rivals.push_back({"one channel with the next", [=] { channel_by_channel<kBackward>(m, N, C, S, true); }});
    compare(title, rivals);
  }
  for (const int64_t S : {12544, 3136, 784, 192}) {  // 192 for 14 x 14: whole lines
    const int64_t C = 10035200 / S, size = C * S;
    std::snprintf(title, sizeof title, "%s, %d planes of %d floats, one after the other", pass, static_cast<int>(C),
                  static_cast<int>(S));
    auto rivals = copies(size);
    rivals.push_back({"one plane with the next", [=] { channel_by_channel<kBackward>(m, 1, C, S, true); }});
    compare(title, rivals);
  }
  for (const int64_t D : {64, 256, 768, 4096, 16384}) {
    const int64_t rows = 10035200 / D, size = rows * D;
    std::snprintf(title, sizeof title, "%s, %d rows of %d", pass, static_cast<int>(rows), static_cast<int>(D));
    auto rivals = copies(size);
    rivals.push_back({kBackward ? "64 KiB with the next, sums of columns" : "64 KiB with the next",
                      [=] { batches_of_rows<kBackward>(m, rows, D, 16384); }});
    rivals.push_back({kBackward ? "8 KiB with the next, sums of columns" : "8 KiB with the next",
                      [=] { batches_of_rows<kBackward>(m, rows, D, 2048); }});
    compare(title, rivals);
  }
  for (const int64_t C : {256, 1024}) {
    const int64_t rows = 10035200 / C, size = rows * C;
    std::snprintf(title, sizeof title, "%s, %d rows of %d channels", pass, static_cast<int>(rows), static_cast<int>(C));
    auto rivals = copies(size);
    rivals.push_back({"two passes", [=] { two_passes<kBackward>(m, size); }});
    rivals.push_back({"blocks of 64 channels", [=] { blocks_of_columns<kBackward>(m, rows, C, 64); }});
    rivals.push_back({"blocks of 16 channels", [=] { blocks_of_columns<kBackward>(m, rows, C, 16); }});
    rivals.push_back({"copy, two streams of stores", [=] { copy<kBackward>(m, size, 2, true); }});
    rivals.push_back({"copy, four streams of stores", [=] { copy<kBackward>(m, size, 4, true); }});
    compare(title, rivals);
  }
}

int run() {
  if (!__builtin_cpu_supports("avx2")) {
    std::fprintf(stderr, "ceilings: this processor has no AVX2\n");
    return EXIT_FAILURE;
  }
  constexpr int64_t kMost = int64_t{50} * 64 * 3136 * 4;
  const Tensor x = tensor(kMost), dy = tensor(kMost), out = tensor(kMost);
  measure<false>({x.get(), x.get(), out.get()});
  measure<true>({x.get(), dy.get(), out.get()});
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace unitvar::bench

int main() { return unitvar::bench::run(); }
