#include "diagnose/rounding.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "unitvar/dtype.hpp"

namespace unitvar::diagnosis {
namespace {

using std::int64_t;

/// Of a part in which rounding explains a larger share of the scale, nothing can be said.
constexpr double kMostOfScale = 0.5;

/// What is known of a dtype.
struct Format {
  double unit;      ///< half the distance between neighbouring numbers, in parts of the number
  double smallest;  ///< the smallest number with all digits; what is smaller may be flushed to 0
  double (*stored)(double v);
  Results (*run)(const DiagnosisCase& given, const Recipe& recipe);  ///< with every operation rounded
};

template <class T, class Arithmetic>
constexpr Format format(double unit, double smallest) noexcept {
  return {unit, smallest, [](double v) { return static_cast<double>(T(v)); }, compute<Arithmetic>};
}

Format format_of(DiagnosisDtype dtype) noexcept {
  switch (dtype) {
    case DiagnosisDtype::float64:
      return format<double, double>(0x1p-53, 0x1p-1022);
    case DiagnosisDtype::bfloat16:
      return format<bf16, Rounded<bf16>>(0x1p-8, 0x1p-126);
    case DiagnosisDtype::float16:
      return format<f16, Rounded<f16>>(0x1p-11, 0x1p-14);
    case DiagnosisDtype::float32:
      break;
  }
  return format<float, float>(0x1p-24, 0x1p-126);
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

/// Of each element of a result, the absolute values that are added up to it: its rounding is in proportion to these,
/// however much cancels.
Results scales_of(const DiagnosisCase& given, const Recipe& recipe, const Results& right, double unit) {
  const Grouping g = grouping_of(given, recipe);
  Results scale;
  for (const std::size_t k : {kMean, kVar, kRstd}) scale[k].resize(right[k].size());
  for (const std::size_t k : {kY, kDx, kDgamma, kDbeta}) scale[k].resize(right[k].size());
  const auto absolute = [](std::span<const double> values, std::size_t k, double absent) {
    return values.empty() ? absent : std::abs(values[k]);
  };
  for (std::size_t i = 0; i < given.x.size(); ++i) {
    const auto k = static_cast<std::size_t>(g.group[i]), p = static_cast<std::size_t>(g.parameter[i]);
    const double gamma = absolute(given.gamma, p, 1), rstd = std::abs(right[kRstd][k]);
    scale[kMean][k] += std::abs(given.x[i]) / static_cast<double>(g.values());
    scale[kY][i] = gamma + absolute(given.beta, p, 0);
    if (given.dy.empty()) continue;
    const double dy = std::abs(given.dy[i]);
    scale[kDx][i] = gamma * rstd * dy;
    scale[kDgamma][p] += dy * (1 + std::abs(given.x[i] - right[kMean][k]) * rstd);
    scale[kDbeta][p] += dy;
  }
  for (std::size_t k = 0; k < right[kVar].size(); ++k) {
    scale[kVar][k] = std::abs(right[kVar][k]) + unit * right[kMean][k] * right[kMean][k];
    scale[kRstd][k] = std::abs(right[kRstd][k]);
  }
  for (std::size_t k = 0; k < right[kRunningMean].size(); ++k) {
    scale[kRunningMean].push_back(std::abs(given.running_mean[k]) + scale[kMean][k]);
    scale[kRunningVar].push_back(std::abs(given.running_var[k]) + scale[kVar][k]);
  }
  return scale;
}

/// How many units an element of a group may be off, in parts of its scale, if all goes badly: sums one after another,
/// and a mean whose last digits are lost in x - mean.
std::vector<double> factors_of_groups(const Truth& truth) {
  constexpr double kUnits = 16;
  std::vector<double> factors;
  for (std::size_t k = 0; k < truth.right[kRstd].size(); ++k) {
    const double means = std::abs(truth.right[kMean][k] * truth.right[kRstd][k]);
    factors.push_back(kUnits * std::sqrt(static_cast<double>(truth.grouping.values())) * (1 + means));
  }
  return factors;
}

/// The same of each parameter: that of its worst group.
std::vector<double> factors_of_parameters(const Grouping& g, std::span<const double> of_groups) {
  std::vector<double> factors(static_cast<std::size_t>(g.parameters));
  for (std::size_t i = 0; i < g.group.size(); ++i) {
    double& factor = factors[static_cast<std::size_t>(g.parameter[i])];
    factor = std::max(factor, of_groups[static_cast<std::size_t>(g.group[i])]);
  }
  return factors;
}

/// The L2 norm of f(i) over each part.
template <class F>
std::vector<double> norms(const Parts& parts, const F& f) {
  std::vector<double> most(parts.count), sum(parts.count);
  for (std::size_t i = 0; i < parts.of.size(); ++i) {
    double& m = most[static_cast<std::size_t>(parts.of[i])];
    m = std::max(m, std::abs(f(i)));
  }
  for (std::size_t i = 0; i < parts.of.size(); ++i) {
    const auto p = static_cast<std::size_t>(parts.of[i]);
    if (most[p] > 0 && std::isfinite(most[p])) sum[p] += (f(i) / most[p]) * (f(i) / most[p]);
  }
  for (std::size_t p = 0; p < parts.count; ++p) sum[p] = std::isfinite(most[p]) ? most[p] * std::sqrt(sum[p]) : most[p];
  return sum;
}

/// The layer in arithmetic that rounds. Plain sums may be right by chance: a mean that is off by a last digit, to
/// either side, is what they cannot be sure of.
std::vector<Results> rounded_runs(const DiagnosisCase& given, const Recipe& recipe) {
  std::vector<Results> runs;
  for (const auto moments : {Recipe::Moments::two_passes, Recipe::Moments::updates, Recipe::Moments::shifted}) {
    Recipe with = recipe;
    if (recipe.moments == Recipe::Moments::two_passes) with.moments = moments;
    runs.push_back(in_dtype(given, with));
  }
  for (const double units : {2.0, -2.0}) {
    Recipe off = recipe;
    off.mean_error = units * format_of(given.dtype).unit;
    runs.push_back(compute<double>(given, off));
  }
  return runs;
}

Results as_stored(const DiagnosisCase& given, Results results) {
  for (const auto& [name, dtype] : given.stored) {
    for (std::size_t k = 0; k < kNames.size(); ++k) {
      if (kNames[k] != name) continue;
      for (double& v : results[k]) v = format_of(dtype).stored(v);
    }
  }
  return results;
}

double finite(double error) noexcept { return std::isfinite(error) ? error : 0; }

void limit_parts(const DiagnosisCase& given, const std::vector<Results>& runs, const Results& kept,
                 const Results& scale, Truth& truth) {
  const std::vector<double> of_groups = factors_of_groups(truth);
  const std::vector<double> of_parameters = factors_of_parameters(truth.grouping, of_groups);
  for (std::size_t k = 0; k < kNames.size(); ++k) {
    const std::vector<double>& right = truth.right[k];
    const Parts parts = parts_of(truth.grouping, k, right.size());
    const std::vector<double>& factor = k == kDgamma || k == kDbeta ? of_parameters : of_groups;
    truth.part_scale[k] = norms(parts, [&](std::size_t i) { return finite(scale[k][i]); });
    std::vector<double> limit(parts.count);
    for (const Results& run : runs) {
      const std::vector<double> errors = errors_of(run[k], right, parts);
      for (std::size_t p = 0; p < parts.count; ++p) limit[p] = std::max(limit[p], 8 * finite(errors[p]));
    }
    const std::vector<double> by_storing = errors_of(kept[k], right, parts);
    for (std::size_t p = 0; p < parts.count; ++p) {
      limit[p] = std::max(limit[p], truth.unit * factor[p] * truth.part_scale[k][p]) + 2 * finite(by_storing[p]) +
                 format_of(given.dtype).smallest * std::sqrt(static_cast<double>(parts.of.size()));
      if (!(limit[p] <= kMostOfScale * truth.part_scale[k][p])) limit[p] = kInfinity;
    }
    truth.part_limit[k] = std::move(limit);
  }
}

OfEach tolerances(const DiagnosisCase& given, const std::vector<Results>& runs, const Results& kept,
                  const Results& scales, const Results& exact, const OfEach& scale) {
  const double unit = format_of(given.dtype).unit;
  OfEach granted{};
  for (std::size_t k = 0; k < kNames.size(); ++k) {
    for (const Results& run : runs) granted[k] = std::max(granted[k], 8 * finite(error_of(run[k], exact[k])));
    const bool is_sum = k == kMean || k == kDgamma || k == kDbeta;
    granted[k] = std::max({granted[k], is_sum ? 4 * unit * norm(scales[k]) : 0, 16 * unit * norm(exact[k])});
    granted[k] += 2 * finite(error_of(kept[k], exact[k]));
    granted[k] += format_of(given.dtype).smallest * std::sqrt(static_cast<double>(exact[k].size()));
    granted[k] /= size_of(exact[k], scale[k]);
  }
  return granted;
}

}  // namespace

double difference(double a, double b) noexcept {
  if (std::isfinite(a) && std::isfinite(b)) return a - b;
  return std::isfinite(a) || std::isfinite(b) ? kInfinity : 0;
}

double error_of(std::span<const double> a, std::span<const double> b) {
  if (a.size() != b.size()) return kInfinity;
  return norm_of(a.size(), [&](std::size_t i) { return difference(a[i], b[i]); });
}

std::vector<double> errors_of(std::span<const double> a, std::span<const double> b, const Parts& parts) {
  return norms(parts, [&](std::size_t i) { return difference(a[i], b[i]); });
}

double size_of(std::span<const double> b, double scale) {
  const double all = norm(b);
  if (all > 0 && !(all < 0.01 * scale)) return all;
  return scale > 0 && std::isfinite(scale) ? scale : 1;
}

Results in_dtype(const DiagnosisCase& given, const Recipe& recipe) { return format_of(given.dtype).run(given, recipe); }

Parts parts_of(const Grouping& g, std::size_t result, std::size_t elements) {
  if (is_like_x(result) && elements == g.group.size()) return {g.group, static_cast<std::size_t>(g.groups)};
  Parts parts{std::vector<int64_t>(elements), elements};
  std::iota(parts.of.begin(), parts.of.end(), 0);
  return parts;
}

OfEach tolerances_of(const DiagnosisCase& given, const Recipe& recipe, const Results& exact, const OfEach& scale) {
  return tolerances(given, rounded_runs(given, recipe), as_stored(given, exact),
                    scales_of(given, recipe, exact, format_of(given.dtype).unit), exact, scale);
}

Truth truth_of(const DiagnosisCase& given) {
  Truth truth;
  truth.grouping = grouping_of(given, {});
  truth.unit = format_of(given.dtype).unit;
  truth.right = given.dtype == DiagnosisDtype::float64 ? compute<long double>(given, {}) : compute<double>(given, {});
  const std::vector<Results> runs = rounded_runs(given, {});
  const Results kept = as_stored(given, truth.right), scales = scales_of(given, {}, truth.right, truth.unit);
  for (std::size_t k = 0; k < kNames.size(); ++k) truth.scale[k] = norm(scales[k]);
  truth.tolerance = tolerances(given, runs, kept, scales, truth.right, truth.scale);
  limit_parts(given, runs, kept, scales, truth);
  return truth;
}

}  // namespace unitvar::diagnosis
