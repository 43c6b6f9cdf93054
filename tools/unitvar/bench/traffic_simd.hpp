#pragma once
#include <cstddef>
#include <cstdint>

namespace unitvar::bench {

/// How bytes are moved.
struct Moving {
  bool stream;    ///< non-temporal stores, past the cache
  bool prefetch;  ///< software prefetch, beside that of the hardware
};

/// Bytes moved as fast as the best instruction set of the machine can, on the calling thread. The outputs begin on a
/// boundary of 64 bytes.

/// 1R: reads all; returns their exclusive or, so that nothing is left out.
std::uint8_t read_bytes(const std::byte* x, std::size_t bytes, Moving how);
/// 1R + 1W: out = x.
void copy_bytes(const std::byte* x, std::byte* out, std::size_t bytes, Moving how);
/// 2R + 1W: out = x ^ dy, the cheapest of all things to do with two inputs.
void triad_bytes(const std::byte* x, const std::byte* dy, std::byte* out, std::size_t bytes, Moving how);

}  // namespace unitvar::bench
