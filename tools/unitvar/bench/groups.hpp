#pragma once
#include <string>
#include <vector>

#include "bench/row.hpp"

namespace unitvar::bench {

/// Rows that differ in shape and pass alone.
struct Group {
  Layout layout;
  std::string dtype;
  int threads;
  std::vector<Row> rows;
};

/// In the order in which they were measured.
[[nodiscard]] std::vector<Group> groups_of(const std::vector<Row>& rows);

/// "1 thread", "2 threads".
[[nodiscard]] std::string threads_text(int threads);

/// "channels_first, f32, 2 threads".
[[nodiscard]] std::string group_text(const Group& group);

}  // namespace unitvar::bench
