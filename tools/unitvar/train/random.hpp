#pragma once
#include <cstdint>
#include <random>
#include <span>

namespace unitvar::train {

/// Random numbers that are the same on every machine. std::mt19937_64 and std::seed_seq are specified to the bit. The
/// standard's distributions and std::shuffle are not, so they are written here.
///
/// A generator belongs to (seed, stream). Streams are how training keeps its random state small: the shuffle of epoch
/// e is a function of the seed and e alone.
class Random {
 public:
  Random(std::uint64_t seed, std::uint64_t stream);

  /// Uniform on 0 .. bound - 1, without bias; bound >= 1.
  std::uint64_t below(std::uint64_t bound);
  /// Uniform on (0, 1], 53 bits.
  double uniform();
  /// Standard normal, by Box and Muller.
  double normal();
  /// Fisher and Yates.
  void shuffle(std::span<std::uint32_t> values);

 private:
  std::mt19937_64 engine_;
};

}  // namespace unitvar::train
