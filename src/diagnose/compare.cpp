#include "diagnose/compare.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "unitvar/dtype.hpp"

namespace unitvar::diagnosis {
namespace {

using std::int64_t;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Half the distance between neighbouring numbers, in parts of the number.
double unit_of(DiagnosisDtype dtype) noexcept {
  switch (dtype) {
    case DiagnosisDtype::float32:
      return 0x1p-24;
    case DiagnosisDtype::float64:
      return 0x1p-53;
    case DiagnosisDtype::bfloat16:
      return 0x1p-8;
    case DiagnosisDtype::float16:
      return 0x1p-11;
  }
  return 0;
}

Results in_dtype(const DiagnosisCase& given, const Recipe& recipe) {
  switch (given.dtype) {
    case DiagnosisDtype::float64:
      return compute<double>(given, recipe);
    case DiagnosisDtype::bfloat16:
      return compute<Rounded<bf16>>(given, recipe);
    case DiagnosisDtype::float16:
      return compute<Rounded<f16>>(given, recipe);
    case DiagnosisDtype::float32:
      break;
  }
  return compute<float>(given, recipe);
}

/// v as the dtype holds it.
double stored(double v, DiagnosisDtype dtype) noexcept {
  switch (dtype) {
    case DiagnosisDtype::float32:
      return static_cast<float>(v);
    case DiagnosisDtype::bfloat16:
      return static_cast<double>(bf16(v));
    case DiagnosisDtype::float16:
      return static_cast<double>(f16(v));
    case DiagnosisDtype::float64:
      break;
  }
  return v;
}

Results stored(Results results, DiagnosisDtype dtype) {
  for (std::vector<double>& tensor : results) {
    for (double& v : tensor) v = stored(v, dtype);
  }
  return results;
}

/// a - b for the L2 norm: 0 where neither is finite, since inf and NaN depend on the order of the arithmetic.
double difference(double a, double b) noexcept {
  if (std::isfinite(a) && std::isfinite(b)) return a - b;
  return std::isfinite(a) || std::isfinite(b) ? kInfinity : 0;
}

/// The L2 norm of f(0) .. f(n - 1), whose squares may be beyond what a double holds.
template <class F>
double norm_of(std::size_t n, const F& f) {
  double most = 0;
  for (std::size_t i = 0; i < n; ++i) most = std::max(most, std::abs(f(i)));
  if (most == 0 || std::isinf(most)) return most;
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += (f(i) / most) * (f(i) / most);
  return most * std::sqrt(sum);
}

/// Of the finite elements.
double norm(std::span<const double> a) {
  return norm_of(a.size(), [&](std::size_t i) { return std::isfinite(a[i]) ? a[i] : 0; });
}

/// |a - b| in the L2 norm.
double error_of(std::span<const double> a, std::span<const double> b) {
  if (a.size() != b.size()) return kInfinity;
  return norm_of(a.size(), [&](std::size_t i) { return difference(a[i], b[i]); });
}

/// What errors are parts of.
double size_of(std::span<const double> right) {
  const double all = norm(right);
  return all > 0 ? all : 1;
}

/// Sums of the absolute values whose sums are mean, dgamma and dbeta: their rounding is in proportion to these, however
/// much cancels.
Results absolute_sums(const DiagnosisCase& given, const Recipe& recipe, const Results& right) {
  const Grouping g = grouping_of(given, recipe);
  Results sums;
  sums[kMean].resize(static_cast<std::size_t>(g.groups));
  sums[kDgamma].resize(static_cast<std::size_t>(given.dy.empty() ? 0 : g.parameters));
  sums[kDbeta] = sums[kDgamma];
  for (std::size_t i = 0; i < given.x.size(); ++i) {
    const auto k = static_cast<std::size_t>(g.group[i]), p = static_cast<std::size_t>(g.parameter[i]);
    sums[kMean][k] += std::abs(given.x[i]) / static_cast<double>(g.values());
    if (given.dy.empty()) continue;
    sums[kDgamma][p] += std::abs(given.dy[i] * (given.x[i] - right[kMean][k]) * right[kRstd][k]);
    sums[kDbeta][p] += std::abs(given.dy[i]);
  }
  return sums;
}

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

}  // namespace

double distance(std::span<const double> a, std::span<const double> b) { return error_of(a, b) / size_of(b); }

Tolerances tolerances_of(const DiagnosisCase& given, const Recipe& recipe, const Results& exact) {
  const double unit = unit_of(given.dtype);
  Recipe off = recipe, welford = recipe;
  off.mean_error = 2 * unit;
  welford.welford = true;
  // Plain sums may be right by chance. A mean that is off by a last digit is what they cannot be sure of.
  Tolerances granted{};
  for (const Results& rounded : {in_dtype(given, recipe), in_dtype(given, welford), compute<double>(given, off)}) {
    for (std::size_t k = 0; k < kNames.size(); ++k) {
      const double error = error_of(rounded[k], exact[k]);
      if (std::isfinite(error)) granted[k] = std::max(granted[k], 8 * error);
    }
  }
  const Results sums = absolute_sums(given, recipe, exact), kept = stored(exact, given.stored);
  for (std::size_t k = 0; k < kNames.size(); ++k) {
    const double by_storing = error_of(kept[k], exact[k]);
    granted[k] = std::max({granted[k], 4 * unit * norm(sums[k]), 16 * unit * norm(exact[k])});
    granted[k] = (granted[k] + (std::isfinite(by_storing) ? 2 * by_storing : 0)) / size_of(exact[k]);
  }
  return granted;
}

Truth truth_of(const DiagnosisCase& given) {
  Truth truth;
  truth.unit = unit_of(given.dtype);
  truth.right = given.dtype == DiagnosisDtype::float64 ? compute<long double>(given, {}) : compute<double>(given, {});
  truth.tolerance = tolerances_of(given, {}, truth.right);
  return truth;
}

DiagnosedTensor compare(const DiagnosisCase& given, std::size_t result, const Truth& truth) {
  const std::span<const double> a = given_results(given)[result], b = truth.right[result];
  DiagnosedTensor t;
  t.name = kNames[result];
  t.error = distance(a, b);
  t.tolerance = truth.tolerance[result];
  t.right = t.error <= t.tolerance;
  t.digits = t.error > 0 ? std::clamp(-std::log10(t.error), 0.0, 17.0) + 0.0 : 17;  // no -0
  double most = -1;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double error = std::abs(difference(a[i], b[i]));
    if (error <= most) continue;
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
