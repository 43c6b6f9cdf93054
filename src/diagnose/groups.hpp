#pragma once
#include <cstdint>
#include <vector>

#include "diagnose/recipe.hpp"
#include "unitvar/diagnose.hpp"

namespace unitvar::diagnosis {

/// The sizes of a case: x is outer x channels x inner, whatever the operation. Layer and RMS norm have a row for each
/// `outer`, and its columns are the channels.
struct Sizes {
  std::int64_t outer, channels, inner;
  [[nodiscard]] std::int64_t all() const noexcept { return outer * channels * inner; }
};

/// Which values are normalized together, and which parameter each has.
struct Grouping {
  std::int64_t groups = 0, parameters = 0;
  std::vector<std::int64_t> group, parameter;           ///< of each element of x
  [[nodiscard]] std::int64_t values() const noexcept {  ///< in each group
    return groups == 0 ? 0 : static_cast<std::int64_t>(group.size()) / groups;
  }
};

/// Checks shape, layout and groups; throws Error.
Sizes sizes_of(const DiagnosisCase& given);

/// How a recipe groups. Where it has no such grouping (a layout misread that reads the same), the usual one.
Grouping grouping_of(const DiagnosisCase& given, const Recipe& recipe);

/// The shape of a result: of y and dx that of x, of others as they are counted.
std::vector<std::int64_t> shape_of(const DiagnosisCase& given, bool like_x, std::int64_t elements);

}  // namespace unitvar::diagnosis
