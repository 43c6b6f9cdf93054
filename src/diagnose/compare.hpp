#pragma once
#include <span>
#include <string>
#include <vector>

#include "diagnose/rounding.hpp"
#include "unitvar/diagnose.hpp"

namespace unitvar::diagnosis {

/// How a given result compares with the right one: as a whole, and part by part, since a part of small values would not
/// be seen beside large ones.
DiagnosedTensor compare(const DiagnosisCase& given, std::size_t result, const Truth& truth);

/// "axis 1: index 5 of 64 has 99 % of the squared error", for each axis on which the error sits in few places.
std::string place_of_error(std::span<const double> given, std::span<const double> wanted,
                           std::span<const std::int64_t> shape);

}  // namespace unitvar::diagnosis
