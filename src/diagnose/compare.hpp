#pragma once
#include <array>
#include <span>
#include <string>
#include <vector>

#include "diagnose/compute.hpp"
#include "unitvar/diagnose.hpp"

namespace unitvar::diagnosis {

/// |a - b| / |b| in the L2 norm: 0 where they are equal; infinite where the lengths differ, or a is not finite where b
/// is.
double distance(std::span<const double> a, std::span<const double> b);

/// The right results of a case, and what their rounding may cost.
struct Truth {
  Results right;
  std::array<double, kNames.size()> tolerance{};
};
Truth truth_of(const DiagnosisCase& given);

/// How a given result compares with the right one.
DiagnosedTensor compare(const DiagnosisCase& given, std::size_t result, const Truth& truth);

/// "axis 1: index 5 of 64 has 99 % of the squared error", for each axis on which the error sits in few places.
std::string place_of_error(std::span<const double> given, std::span<const double> wanted,
                           std::span<const std::int64_t> shape);

}  // namespace unitvar::diagnosis
