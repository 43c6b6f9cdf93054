#pragma once
#include <array>
#include <limits>
#include <span>
#include <vector>

#include "diagnose/compute.hpp"
#include "unitvar/diagnose.hpp"

/// Errors, and how large rounding makes them.
namespace unitvar::diagnosis {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Of each result, one number.
using OfEach = std::array<double, kNames.size()>;

/// a - b for the L2 norm: 0 where neither is finite, since inf and NaN depend on the order of the arithmetic.
double difference(double a, double b) noexcept;
/// |a - b| in the L2 norm; infinite where the lengths differ, or an element is finite in one alone.
double error_of(std::span<const double> a, std::span<const double> b);
/// Parts of a result: of y and dx the groups, of others each element.
struct Parts {
  std::vector<std::int64_t> of;  ///< of each element
  std::size_t count = 0;
};
Parts parts_of(const Grouping& g, std::size_t result, std::size_t elements);
/// |a - b| in the L2 norm over each part.
std::vector<double> errors_of(std::span<const double> a, std::span<const double> b, const Parts& parts);
/// What errors are parts of: |b|, or `scale` where b is less than 1 % of it, as what cancels is.
double size_of(std::span<const double> b, double scale);

/// Results by one of the dtypes.
Results in_dtype(const DiagnosisCase& given, const Recipe& recipe);

/// The right results of a case, and what their rounding may cost.
struct Truth {
  Results right;
  Grouping grouping;
  double unit = 0;  ///< half the distance between neighbouring numbers of the dtype, in parts of the number
  OfEach scale{};   ///< the L2 norm of what is added up to a result, before anything cancels
  OfEach tolerance{};
  Results part_scale;  ///< the same scale for each part
  Results part_limit;  ///< the error that rounding explains there; infinite where it hides half of the scale
};
Truth truth_of(const DiagnosisCase& given);

/// Errors that rounding explains in a layer by a recipe, whose exact results these are, in parts of the results.
OfEach tolerances_of(const DiagnosisCase& given, const Recipe& recipe, const Results& exact, const OfEach& scale);

}  // namespace unitvar::diagnosis
