#pragma once
#include <algorithm>
#include <bit>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/vector_loop.hpp"
#include "core/workspace.hpp"
#include "cpu/kernels/rows.hpp"
#include "cpu/plan/merge_tiles.hpp"
#include "cpu/plan/row_schedule.hpp"
#include "cpu/runtime/parallel.hpp"
#include "math/merge.hpp"

namespace unitvar::cpu {

/// Column sums of all rows: in A for a tile, then in double. Tiles are merged in the fixed tree of math::merge_tree.
/// Each thread merges those of its own tiles as they come, so it keeps few nodes; what is left is merged at the end.
template <class A>
class ColumnSums {
  using int64_t = std::int64_t;

 public:
  ColumnSums(const RowTiling& tiling, int threads)
      : columns_(tiling.extent.length),
        tiles_(tiling.tiles),
        most_nodes_(2 * static_cast<int64_t>(std::bit_width(static_cast<std::uint64_t>(tiles_))) + 2),
        nodes_(static_cast<std::size_t>(threads)),
        fast_(kInA ? static_cast<std::size_t>(threads * (2 * columns_ + kPage<A>)) * sizeof(A) : 0),
        wide_(static_cast<std::size_t>(threads * (2 * most_nodes_ * columns_ + kPage<double>)) * sizeof(double)) {
    for (std::vector<Node>& nodes : nodes_) nodes.reserve(static_cast<std::size_t>(most_nodes_));
    // merge() comes when results are written already, and must not fail for want of memory.
    root_.reserve(static_cast<std::size_t>(threads * most_nodes_));
    steps_.reserve(root_.capacity());
  }

  /// Zeros for a tile that a thread begins.
  [[nodiscard]] kernels::ColumnTotals<A> start(int thread) const noexcept {
    const math::ChannelPairs wide = pair(thread, size(thread));
    std::fill_n(wide.first, 2 * columns_, 0.0);
    if constexpr (kInA) {
      A* const fast = fast_.as<A>() + thread * (2 * columns_ + kPage<A>);
      std::fill_n(fast, 2 * columns_, A(0));
      return {fast, fast + columns_, wide.first, wide.second};
    } else {
      return {wide.first, wide.second, wide.first, wide.second};
    }
  }

  /// Of this tile, which follows the one that the thread finished last.
  void finish(int64_t tile, int thread, const kernels::ColumnTotals<A>& sums) noexcept {
    if constexpr (kInA) {
      core::vector_loop(0, 2 * columns_, [fast = sums.first, wide = sums.wide_first](int64_t k) {
        wide[k] += static_cast<double>(fast[k]);
      });
    }
    math::add_node(nodes_[static_cast<std::size_t>(thread)], Node{{tile, 1}, pair(thread, size(thread))}, tiles_,
                   [this](math::ChannelPairs a, math::ChannelPairs b) { merge_sums(a, b, columns_); });
  }

  /// The sums of all rows; without rows they are 0.
  [[nodiscard]] math::ChannelPairs merge(int threads) {
    if (tiles_ == 0) std::fill_n(pair(0, 0).first, 2 * columns_, 0.0);
    for (const std::vector<Node>& nodes : nodes_) {
      for (const Node& node : nodes) {
        math::add_node(root_, node, tiles_,
                       [&](math::ChannelPairs a, math::ChannelPairs b) { steps_.emplace_back(a, b); });
      }
    }
    parallel_ranges(threads, columns_, [&](int64_t begin, int64_t end, int) {
      for (const auto& [a, b] : steps_) {
        merge_sums({a.first + begin, a.second + begin}, {b.first + begin, b.second + begin}, end - begin);
      }
    });
    return pair(0, 0);
  }

 private:
  static constexpr bool kInA = !std::is_same_v<A, double>;
  /// Threads are a page of memory apart: a processor that comes to the end of its own asks for the rest of the page,
  /// and takes it from the thread that writes there.
  template <class V>
  static constexpr int64_t kPage = 4096 / sizeof(V);

  [[nodiscard]] int64_t size(int thread) const noexcept {
    return static_cast<int64_t>(nodes_[static_cast<std::size_t>(thread)].size());
  }
  /// The k-th of the nodes that a thread keeps.
  [[nodiscard]] math::ChannelPairs pair(int64_t thread, int64_t k) const noexcept {
    double* const first = wide_.as<double>() + thread * (2 * most_nodes_ * columns_ + kPage<double>)+2 * k * columns_;
    return {first, first + columns_};
  }

  struct Node {
    math::TreeNode of;
    math::ChannelPairs value;
  };

  int64_t columns_, tiles_;
  int64_t most_nodes_;  ///< of a thread, and the tile that it works on
  std::vector<std::vector<Node>> nodes_;
  std::vector<Node> root_;
  std::vector<std::pair<math::ChannelPairs, math::ChannelPairs>> steps_;
  core::Workspace fast_, wide_;
};

}  // namespace unitvar::cpu
