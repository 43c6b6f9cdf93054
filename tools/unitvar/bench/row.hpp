#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/options.hpp"
#include "bench/row_key.hpp"
#include "bench/shape.hpp"
#include "bench/timing.hpp"
#include "unitvar/options.hpp"

namespace unitvar::bench {

/// What was measured of one shape, layout, dtype, pass and thread count. Times are seconds of one call.
struct Row {
  Op op;
  std::int64_t groups;  ///< as in Plan
  std::string suite;
  Shape shape;
  Layout layout;
  std::string dtype;
  Pass pass;
  int threads;
  Isa isa;
  Walk walk;
  double bytes;  ///< the least that the pass moves: 1R + 1W or, backward, 2R + 1W

  /// Part of our call that ran in double, or was summed again; none for tensors of double.
  std::optional<double> in_double = {};

  int rounds = 0;
  double disturbed = 0;  ///< part of our turns in which other programs had a processor
  Spread ours = {};
  Spread roofline = {};
  std::string roofline_kernel = {};        ///< the fastest way to move the bytes
  std::optional<Spread> bare_loop = {};    ///< small tensors only
  std::optional<Spread> onednn_same = {};  ///< oneDNN on the same layout
  std::optional<Spread> onednn_best = {};  ///< oneDNN on its best layout, which may be the same
  std::string onednn_best_format = {};

  [[nodiscard]] double gbps() const { return bytes / ours.median / 1e9; }
  [[nodiscard]] double roofline_fraction() const { return roofline.median / ours.median; }
  /// How many times as long oneDNN takes.
  [[nodiscard]] std::optional<double> same_ratio() const { return ratio(onednn_same); }
  [[nodiscard]] std::optional<double> best_ratio() const { return ratio(onednn_best); }

 private:
  [[nodiscard]] std::optional<double> ratio(const std::optional<Spread>& rival) const {
    if (!rival) return std::nullopt;
    return rival->median / ours.median;
  }
};

[[nodiscard]] inline RowKey key_of(const Row& row) {
  return make_key(row.op, row.groups, row.shape, row.layout, row.dtype, row.pass, row.threads);
}

struct Results;

/// The part of channels and rows that float would not do for, for tensors of this dtype; 0 if there are none.
std::optional<double> share_in_double(const PrecisionCounts& counts, const std::string& dtype);

/// Times of the contestants, each role's fastest.
void take_results(Row& row, const Results& results);

}  // namespace unitvar::bench
