#pragma once
#include <cstdint>
#include <vector>

#include "diagnose/recipe.hpp"
#include "unitvar/diagnose.hpp"
#include "unitvar/extent.hpp"

namespace unitvar::diagnosis {

/// Which values are normalized together, and which parameter each has.
struct Grouping {
  std::int64_t groups = 0, parameters = 0;
  std::vector<std::int64_t> group, parameter;           ///< of each element of x
  [[nodiscard]] std::int64_t values() const noexcept {  ///< in each group
    return groups == 0 ? 0 : static_cast<std::int64_t>(group.size()) / groups;
  }
};

/// Whether rows are normalized.
inline bool is_of_rows(const DiagnosisCase& given) noexcept {
  return given.operation == DiagnosisOperation::layer_norm || given.operation == DiagnosisOperation::rms_norm;
}

/// Whether a mean is subtracted.
inline bool has_mean(const DiagnosisCase& given) noexcept { return given.operation != DiagnosisOperation::rms_norm; }

/// Whether channels may be taken from another axis: there is one, and the parameters fit it.
bool has_other_axis(const DiagnosisCase& given) noexcept;

/// Whether a channel has several values in a sample.
bool has_pixels(const DiagnosisCase& given);

/// How x lies, of any rank. Layer and RMS norm have a row for each `outer`, whose columns are the channels. Checks
/// shape, layout and groups; throws Error.
Extent extent_of(const DiagnosisCase& given);

/// How a recipe groups. Where it has no such grouping (a layout misread that reads the same), the usual one.
Grouping grouping_of(const DiagnosisCase& given, const Recipe& recipe);

/// The shape of a result: of y and dx that of x, of others as they are counted.
std::vector<std::int64_t> shape_of(const DiagnosisCase& given, bool like_x, std::int64_t elements);

}  // namespace unitvar::diagnosis
