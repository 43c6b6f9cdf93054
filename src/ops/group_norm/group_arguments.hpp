#pragma once
#include <string>

#include "math/partition.hpp"
#include "ops/argument_checks.hpp"
#include "unitvar/error.hpp"
#include "unitvar/group_norm.hpp"

namespace unitvar::ops {

/// Of a tensor of T whose groups are looked at first.
template <class T>
Lengths checked_lengths(const core::Arguments& check, const Groups& groups) {
  check_groups(check.operation(), groups, sizeof(T));
  const Extent& e = groups.extent;
  return {{e.size(), "N*C*S"}, {e.channels, "C"}, {groups.size(), "N*G"}};
}

inline math::Partition partition_of(const Groups& groups) noexcept {
  return math::Partition::of(groups.extent, groups.sample_rows, groups.group_channels());
}

/// An instance is a group of one channel. Throws bad_extent.
inline void check_instances(const char* operation, const Groups& groups) {
  if (groups.groups == 0 || groups.groups == groups.extent.channels) return;
  throw Error(ErrorCode::bad_extent, std::string(operation) + ": groups is " + std::to_string(groups.groups) +
                                         ", want 0 or extent.channels = " + std::to_string(groups.extent.channels));
}

}  // namespace unitvar::ops
