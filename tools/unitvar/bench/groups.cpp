#include "bench/groups.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace unitvar::bench {

std::vector<Group> groups_of(const std::vector<Row>& rows) {
  std::vector<Group> groups;
  for (const Row& row : rows) {
    const auto found = std::ranges::find_if(groups, [&](const Group& group) {
      return group.layout == row.layout && group.dtype == row.dtype && group.threads == row.threads;
    });
    if (found != groups.end()) {
      found->rows.push_back(row);
    } else {
      groups.push_back({row.layout, row.dtype, row.threads, {row}});
    }
  }
  return groups;
}

std::string threads_text(int threads) { return fmt::format("{} {}", threads, threads == 1 ? "thread" : "threads"); }

std::string group_text(const Group& group) {
  return fmt::format("{}, {}, {}", layout_name(group.layout), group.dtype, threads_text(group.threads));
}

}  // namespace unitvar::bench
