#pragma once
#include <array>
#include <span>
#include <string>
#include <vector>

#include "diagnose/compute.hpp"
#include "unitvar/diagnose.hpp"

namespace unitvar::diagnosis {

/// |a - b| / |b| in the L2 norm, or |a - b| where |b| is 0. Elements that are finite in neither are equal; it is
/// infinite where the lengths differ, or an element is finite in one alone.
double distance(std::span<const double> a, std::span<const double> b);

/// Of each result, the errors that rounding explains, in parts of the result.
using Tolerances = std::array<double, kNames.size()>;

/// Those of a layer by a recipe, whose exact results these are.
Tolerances tolerances_of(const DiagnosisCase& given, const Recipe& recipe, const Results& exact);

/// The right results of a case, and what their rounding may cost.
struct Truth {
  Results right;
  double unit = 0;  ///< half the distance between neighbouring numbers of the dtype, in parts of the number
  Tolerances tolerance{};
};
Truth truth_of(const DiagnosisCase& given);

/// How a given result compares with the right one.
DiagnosedTensor compare(const DiagnosisCase& given, std::size_t result, const Truth& truth);

/// "axis 1: index 5 of 64 has 99 % of the squared error", for each axis on which the error sits in few places.
std::string place_of_error(std::span<const double> given, std::span<const double> wanted,
                           std::span<const std::int64_t> shape);

}  // namespace unitvar::diagnosis
