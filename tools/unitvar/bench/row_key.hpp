#pragma once
#include <compare>
#include <cstdint>
#include <string>

#include "bench/op.hpp"
#include "bench/shape.hpp"
#include "unitvar/schedule.hpp"

namespace unitvar::bench {

/// What a row measures, so that two measurements of it find each other.
struct RowKey {
  Op op;
  std::int64_t groups;
  Shape shape;  ///< count is 1: how often a network has it changes nothing
  Layout layout;
  std::string dtype;
  Pass pass;
  int threads;

  // clang-tidy 14 sees a 0 in what the compiler writes.
  friend auto operator<=>(const RowKey&, const RowKey&) = default;  // NOLINT(modernize-use-nullptr)
};

[[nodiscard]] inline RowKey make_key(Op op, std::int64_t groups, const Shape& shape, Layout layout,
                                     const std::string& dtype, Pass pass, int threads) {
  return {op, groups, counted_once(shape), layout, dtype, pass, threads};
}

}  // namespace unitvar::bench
