#pragma once
#include <immintrin.h>

#include <cstdint>

/// What the programs with bare loops share, in AVX2.
namespace unitvar::bench {

inline double total(__m256d v) {
  alignas(32) double lanes[4];
  _mm256_store_pd(lanes, v);
  return (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
}

/// What memory, or a cache, allows: x, and dy unless it is null, read once, and `out` written once, whole cache lines.
template <bool kStream, class T>
void move(const T* x, const T* dy, T* out, std::int64_t size) {
  constexpr std::int64_t kVector = 32 / std::int64_t{sizeof(T)};
  for (std::int64_t i = 0; i < size; i += kVector) {
    __m256i v = _mm256_load_si256(reinterpret_cast<const __m256i*>(x + i));
    if (dy != nullptr) v = _mm256_xor_si256(v, _mm256_load_si256(reinterpret_cast<const __m256i*>(dy + i)));
    auto* const to = reinterpret_cast<__m256i*>(out + i);
    kStream ? _mm256_stream_si256(to, v) : _mm256_store_si256(to, v);
  }
  _mm_sfence();
}

}  // namespace unitvar::bench
