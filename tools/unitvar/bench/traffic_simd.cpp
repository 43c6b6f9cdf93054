#include "bench/traffic_simd.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/traffic_simd.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// After highway.h, as all that is included per target.
#include <hwy/cache_control.h>

HWY_BEFORE_NAMESPACE();
namespace unitvar::bench {  // NOLINT(modernize-concat-nested-namespaces)
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Bytes = hn::ScalableTag<std::uint8_t>;
using Vec = hn::Vec<Bytes>;

// A turn of the loops: four cache lines, enough to keep the loop itself out of the way.
constexpr std::size_t kLine = 64;
constexpr std::size_t kTurn = 4 * kLine;
// How far ahead software prefetch reaches.
constexpr std::size_t kAhead = 2048;

template <bool kPrefetch>
HWY_INLINE void prefetch_turn(const std::uint8_t* p) {
  if constexpr (kPrefetch) {
    for (std::size_t k = 0; k < kTurn; k += kLine) hwy::Prefetch(p + kAhead + k);
  }
}

template <bool kStream>
HWY_INLINE void put(Vec v, std::uint8_t* p) {
  if constexpr (kStream) {
    hn::Stream(v, Bytes(), p);
  } else {
    hn::Store(v, Bytes(), p);
  }
}

template <bool kPrefetch>
std::uint8_t read_range(const std::uint8_t* x, std::size_t bytes) {
  const Bytes d;
  const std::size_t lanes = hn::Lanes(d);
  Vec even = hn::Zero(d), odd = hn::Zero(d);
  std::size_t i = 0;
  for (; i + kTurn <= bytes; i += kTurn) {
    prefetch_turn<kPrefetch>(x + i);
    std::size_t k = 0;
    for (; k + 2 * lanes <= kTurn; k += 2 * lanes) {
      even = hn::Xor(even, hn::LoadU(d, x + i + k));
      odd = hn::Xor(odd, hn::LoadU(d, x + i + k + lanes));
    }
    for (; k < kTurn; k += lanes) even = hn::Xor(even, hn::LoadU(d, x + i + k));
  }
  std::uint8_t rest = hn::GetLane(hn::Xor(even, odd));
  for (; i < bytes; ++i) rest = static_cast<std::uint8_t>(rest ^ x[i]);
  return rest;
}

template <bool kStream, bool kPrefetch>
void copy_range(const std::uint8_t* x, std::uint8_t* out, std::size_t bytes) {
  const Bytes d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + kTurn <= bytes; i += kTurn) {
    prefetch_turn<kPrefetch>(x + i);
    for (std::size_t k = i; k < i + kTurn; k += lanes) put<kStream>(hn::LoadU(d, x + k), out + k);
  }
  for (; i < bytes; ++i) out[i] = x[i];
  if constexpr (kStream) hwy::FlushStream();
}

template <bool kStream, bool kPrefetch>
void triad_range(const std::uint8_t* x, const std::uint8_t* dy, std::uint8_t* out, std::size_t bytes) {
  const Bytes d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + kTurn <= bytes; i += kTurn) {
    prefetch_turn<kPrefetch>(x + i);
    prefetch_turn<kPrefetch>(dy + i);
    for (std::size_t k = i; k < i + kTurn; k += lanes) {
      put<kStream>(hn::Xor(hn::LoadU(d, x + k), hn::LoadU(d, dy + k)), out + k);
    }
  }
  for (; i < bytes; ++i) out[i] = static_cast<std::uint8_t>(x[i] ^ dy[i]);
  if constexpr (kStream) hwy::FlushStream();
}

std::uint8_t read(const std::uint8_t* x, std::size_t bytes, Moving how) {
  return how.prefetch ? read_range<true>(x, bytes) : read_range<false>(x, bytes);
}

void copy(const std::uint8_t* x, std::uint8_t* out, std::size_t bytes, Moving how) {
  if (how.stream) {
    how.prefetch ? copy_range<true, true>(x, out, bytes) : copy_range<true, false>(x, out, bytes);
  } else {
    how.prefetch ? copy_range<false, true>(x, out, bytes) : copy_range<false, false>(x, out, bytes);
  }
}

void triad(const std::uint8_t* x, const std::uint8_t* dy, std::uint8_t* out, std::size_t bytes, Moving how) {
  if (how.stream) {
    how.prefetch ? triad_range<true, true>(x, dy, out, bytes) : triad_range<true, false>(x, dy, out, bytes);
  } else {
    how.prefetch ? triad_range<false, true>(x, dy, out, bytes) : triad_range<false, false>(x, dy, out, bytes);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace unitvar::bench
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace unitvar::bench {

HWY_EXPORT(read);
HWY_EXPORT(copy);
HWY_EXPORT(triad);

namespace {

const std::uint8_t* u8(const std::byte* p) { return reinterpret_cast<const std::uint8_t*>(p); }
std::uint8_t* u8(std::byte* p) { return reinterpret_cast<std::uint8_t*>(p); }

}  // namespace

std::uint8_t read_bytes(const std::byte* x, std::size_t bytes, Moving how) {
  return HWY_DYNAMIC_DISPATCH(read)(u8(x), bytes, how);
}

void copy_bytes(const std::byte* x, std::byte* out, std::size_t bytes, Moving how) {
  HWY_DYNAMIC_DISPATCH(copy)(u8(x), u8(out), bytes, how);
}

void triad_bytes(const std::byte* x, const std::byte* dy, std::byte* out, std::size_t bytes, Moving how) {
  HWY_DYNAMIC_DISPATCH(triad)(u8(x), u8(dy), u8(out), bytes, how);
}

}  // namespace unitvar::bench
#endif
