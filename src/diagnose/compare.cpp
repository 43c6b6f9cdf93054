#include "diagnose/compare.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace unitvar::diagnosis {
namespace {

using std::int64_t;

/// A larger error is not right, even if rounding explains it.
constexpr double kMostRight = 0.25;

std::vector<int64_t> index_in(std::span<const int64_t> shape, int64_t element) {
  std::vector<int64_t> index(shape.size());
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    index[axis] = element % shape[axis];
    element /= shape[axis];
  }
  return index;
}

/// "axis 1: 3 of 64 indexes have 99 % of the squared error: 5, 9, 12", or nothing where it is spread.
std::string place_on_axis(std::size_t axis, std::vector<double> errors) {
  constexpr double kShare = 0.99;
  constexpr std::size_t kNamed = 8;
  std::vector<std::size_t> order(errors.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return errors[a] > errors[b]; });
  const double all = std::accumulate(errors.begin(), errors.end(), 0.0);
  std::size_t count = 0;
  for (double sum = 0; count < order.size() && sum < kShare * all; ++count) sum += errors[order[count]];
  if (2 * count > order.size()) return "";
  std::sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count));
  std::string text = "axis " + std::to_string(axis) + ": " + std::to_string(count) + " of " +
                     std::to_string(order.size()) + (count == 1 ? " indexes has" : " indexes have") +
                     " 99 % of the squared error:";
  for (std::size_t k = 0; k < std::min(count, kNamed); ++k) text += (k > 0 ? ", " : " ") + std::to_string(order[k]);
  return text + (count > kNamed ? ", ..." : "");
}

/// The part that is furthest beyond what rounding explains.
struct WorstPart {
  std::size_t part = 0;
  double error = 0, excess = 0;  ///< the excess in parts of the limit
};

/// Parts that rounding hides have no finite limit, which no error exceeds.
WorstPart worst_part(std::span<const double> errors, std::span<const double> limit) {
  WorstPart worst;
  for (std::size_t p = 0; p < errors.size(); ++p) {
    const double excess = errors[p] / limit[p];
    if (errors[p] > limit[p] && excess > worst.excess) worst = {p, errors[p], excess};
  }
  return worst;
}

}  // namespace

DiagnosedTensor compare(const DiagnosisCase& given, std::size_t result, const Truth& truth) {
  const std::span<const double> a = given_results(given)[result], b = truth.right[result];
  const Parts parts = parts_of(truth.grouping, result, b.size());
  const WorstPart worst = worst_part(errors_of(a, b, parts), truth.part_limit[result]);
  DiagnosedTensor t;
  t.name = kNames[result];
  t.error = error_of(a, b) / size_of(b, truth.scale[result]);
  t.tolerance = truth.tolerance[result];
  const bool one_part = t.error <= t.tolerance && worst.excess > 1;
  const bool is_rounding = t.error <= t.tolerance && !one_part;
  t.hidden = is_rounding && t.error > kMostRight;
  t.right = is_rounding && !t.hidden;
  if (one_part) {
    t.error = worst.error / truth.part_scale[result][worst.part];
    t.tolerance = truth.part_limit[result][worst.part] / truth.part_scale[result][worst.part];
  }
  t.digits = t.error > 0 ? std::clamp(-std::log10(t.error), 0.0, 17.0) + 0.0 : 17;  // no -0
  double most = -1;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double error = std::abs(difference(a[i], b[i]));
    if (error <= most || (one_part && parts.of[i] != static_cast<int64_t>(worst.part))) continue;
    most = error;
    t.worst = static_cast<int64_t>(i);
  }
  t.worst_index = index_in(shape_of(given, is_like_x(result), static_cast<int64_t>(a.size())), t.worst);
  t.given = a[static_cast<std::size_t>(t.worst)];
  t.wanted = b[static_cast<std::size_t>(t.worst)];
  return t;
}

std::string place_of_error(std::span<const double> given, std::span<const double> wanted,
                           std::span<const int64_t> shape) {
  const double all = error_of(given, wanted);
  std::vector<std::vector<double>> errors;
  for (const int64_t n : shape) errors.emplace_back(static_cast<std::size_t>(n), 0.0);
  for (std::size_t i = 0; i < given.size(); ++i) {
    const double d = difference(given[i], wanted[i]);
    const double error = std::isinf(all) ? (std::isinf(d) ? 1 : 0) : (d / all) * (d / all);
    const std::vector<int64_t> index = index_in(shape, static_cast<int64_t>(i));
    for (std::size_t axis = 0; axis < index.size(); ++axis) {
      errors[axis][static_cast<std::size_t>(index[axis])] += error;
    }
  }
  std::string text;
  for (std::size_t axis = 0; axis < errors.size(); ++axis) {
    const std::string place = place_on_axis(axis, errors[axis]);
    if (!place.empty()) text += (text.empty() ? "" : "; ") + place;
  }
  return text;
}

}  // namespace unitvar::diagnosis
