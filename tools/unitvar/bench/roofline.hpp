#pragma once
#include <cstddef>
#include <vector>

#include "bench/problem.hpp"
#include "bench/rival.hpp"
#include "unitvar/schedule.hpp"

namespace unitvar::bench {

/// The memory that a pass goes through.
struct Traffic {
  const std::byte* x;
  const std::byte* dy;  ///< for the backward pass
  std::byte* out;
  std::size_t bytes;  ///< of each tensor
  Pass pass;
  Walk walk;  ///< of the library: streamed reads its inputs once more, before
  int threads;
};

template <class T>
Traffic traffic_of(const Problem<T>& problem, Pass pass, Walk walk, int threads) {
  const auto bytes = [](const Buffer<T>& buffer) { return reinterpret_cast<std::byte*>(buffer.data()); };
  return {bytes(problem.x), bytes(problem.dy), bytes(problem.out), problem.x.bytes(), pass, walk, threads};
}

/// The ways to move these bytes and do nothing else. The fastest of them is the roofline: no normalization that moves
/// them takes less.
///
/// Forward and inference are a copy, 1R + 1W; backward is a triad, 2R + 1W. Each is measured with normal and with
/// non-temporal stores, with and without software prefetch; the copy by memcpy as well. A streamed walk begins with one
/// more read of each input. Its second pass goes from the end to the beginning, for what the cache still holds. Small
/// memory is also moved by one thread alone, without waking others.
[[nodiscard]] std::vector<Rival> roofline_rivals(const Traffic& traffic);

}  // namespace unitvar::bench
