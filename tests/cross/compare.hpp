#pragma once
#include <string>
#include <vector>

namespace unitvar::cross {

/// What differs between two reports, whose lines are "title: result=hash result=hash ...". Lines are matched by title
/// and hashes by result, so that what one of the two lacks hides nothing else.
struct Difference {
  std::vector<std::string> other;    ///< of both, with the results that differ: "f32 layer, centered: y dx"
  std::vector<std::string> added;    ///< titles that are not recorded
  std::vector<std::string> missing;  ///< titles that are recorded alone

  [[nodiscard]] bool none() const noexcept { return other.empty() && added.empty() && missing.empty(); }
};

Difference difference(const std::vector<std::string>& seen, const std::vector<std::string>& recorded);

}  // namespace unitvar::cross
