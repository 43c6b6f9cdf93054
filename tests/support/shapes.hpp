#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "unitvar/extent.hpp"

namespace unitvar::test {

inline std::string describe(const Extent& e) {
  return "extent {" + std::to_string(e.outer) + ", " + std::to_string(e.channels) + ", " + std::to_string(e.inner) +
         "}";
}

inline std::size_t to_size(std::int64_t n) { return static_cast<std::size_t>(n); }

/// All of them, or every `step`-th and the last where the build asks for few shapes (UNITVAR_TEST_FEW_SHAPES):
/// sanitizers need each path once, and under emulation each shape takes long.
template <class Shape>
std::vector<Shape> thinned(std::vector<Shape> all, [[maybe_unused]] std::size_t step) {
#ifdef UNITVAR_TEST_FEW_SHAPES
  std::vector<Shape> few;
  for (std::size_t k = 0; k < all.size(); k += step) few.push_back(all[k]);
  if ((all.size() - 1) % step != 0) few.push_back(all.back());
  return few;
#else
  return all;
#endif
}

/// Numbers on, below and above the lane counts of every instruction set, the fixed 64 lanes of the sums, and the
/// sizes of feature maps.
inline const std::vector<std::int64_t>& around_lanes() {
  static const std::vector<std::int64_t> values = {1,   2,   3,   7,   8,   9,    15,   16,   17,   31,
                                                   32,  33,  48,  49,  63,  64,   65,   100,  127,  128,
                                                   129, 196, 255, 257, 784, 1000, 4095, 4096, 4097, 12544};
  return values;
}

/// Channels-first extents: each inner length around the lanes with a few batch sizes and channel counts.
inline std::vector<Extent> planar_extents() {
  std::vector<Extent> extents;
  for (const std::int64_t inner : around_lanes()) {
    extents.push_back({1, 1, inner});
    extents.push_back({2, 3, inner});
    extents.push_back({5, 2, inner});
    if (inner <= 257) extents.push_back({32, 5, inner});
    if (inner <= 65) extents.push_back({60, 17, inner});
  }
  extents.push_back({3, 33, 784});
  extents.push_back({1, 3, 50000});
  std::erase_if(extents, [](const Extent& e) { return e.count() < 2; });
  return thinned(extents, 5);
}

/// Channels-last extents: each channel count around the lanes with a few row counts, NC and NHWC alike.
inline std::vector<Extent> interleaved_extents() {
  std::vector<Extent> extents;
  for (const std::int64_t channels : around_lanes()) {
    extents.push_back({2, channels, 1});
    extents.push_back({3, channels, 1});
    if (channels <= 1000) extents.push_back({60, channels, 1});
    if (channels <= 257) extents.push_back({100, channels, 1});
    if (channels <= 65) extents.push_back({1000, channels, 1});
  }
  for (const std::int64_t rows : {7, 31, 33, 63, 64, 65, 127, 129, 255, 257}) extents.push_back({rows, 24, 1});
  extents.push_back({25088, 3, 1});
  extents.push_back({50000, 1, 1});
  return thinned(extents, 5);
}

/// A few extents of every kind, for tests whose other dimensions are many.
inline std::vector<Extent> few_extents() {
  const std::vector<Extent> all = {{60, 100, 1}, {32, 8, 1},   {257, 17, 1}, {2, 65, 1},  {16, 33, 49},
                                   {9, 1, 16},   {3, 4, 4097}, {5, 3, 784},  {1, 3, 129}, {60, 7, 3}};
  return thinned(all, 2);
}

}  // namespace unitvar::test
