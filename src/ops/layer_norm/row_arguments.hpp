#pragma once
#include "cpu/phases/row_batch.hpp"
#include "ops/argument_checks.hpp"
#include "unitvar/row_extent.hpp"

namespace unitvar::ops {

/// The arguments of RMS normalization have no mean.
template <class Args>
inline constexpr cpu::Center center_of = requires(const Args& a) {
  a.mean;
}
? cpu::Center::mean : cpu::Center::zero;

/// Of a tensor of T whose rows are normalized.
template <class T>
Lengths checked_lengths(const core::Arguments& check, const RowExtent& extent) {
  check_extent(check.operation(), extent, sizeof(T));
  return {{extent.size(), "rows*D"}, {extent.length, "D"}, {extent.rows, "rows"}};
}

}  // namespace unitvar::ops
