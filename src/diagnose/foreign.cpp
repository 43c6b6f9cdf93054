#include "diagnose/foreign.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace unitvar::diagnosis {
namespace {

using std::int64_t;

/// Of a fit that says anything: what is left of the values, as a part of them, and the rounding of the dtype.
constexpr double kMostLeft = 0.1, kMostTolerance = 0.05;

/// The elements of each group.
std::vector<std::vector<std::size_t>> members(const Grouping& g) {
  std::vector<std::vector<std::size_t>> of(static_cast<std::size_t>(g.groups));
  for (std::size_t i = 0; i < g.group.size(); ++i) of[static_cast<std::size_t>(g.group[i])].push_back(i);
  return of;
}

double parameter(std::span<const double> values, const Grouping& g, std::size_t i, double absent) {
  return values.empty() ? absent : values[static_cast<std::size_t>(g.parameter[i])];
}

/// Least squares: coefficients c of sum_k c[k] * columns[k] = target, by Gram-Schmidt. False where columns depend on
/// one another.
template <std::size_t K>
bool fit(const std::array<std::vector<double>, K>& columns, const std::vector<double>& target, std::array<double, K>& c,
         double& left) {
  const std::size_t n = target.size();
  std::array<std::vector<double>, K> q = columns;
  std::array<std::array<double, K>, K> r{};
  const auto dot = [n](const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += a[i] * b[i];
    return sum;
  };
  std::vector<double> rest = target;
  std::array<double, K> projected{};
  for (std::size_t k = 0; k < K; ++k) {
    const double before = std::sqrt(dot(q[k], q[k]));
    for (std::size_t j = 0; j < k; ++j) {
      r[j][k] = dot(q[j], q[k]);
      for (std::size_t i = 0; i < n; ++i) q[k][i] -= r[j][k] * q[j][i];
    }
    r[k][k] = std::sqrt(dot(q[k], q[k]));
    if (!(r[k][k] > 1e-6 * before)) return false;
    for (double& v : q[k]) v /= r[k][k];
    projected[k] = dot(q[k], rest);
    for (std::size_t i = 0; i < n; ++i) rest[i] -= projected[k] * q[k][i];
  }
  for (std::size_t k = K; k-- > 0;) {
    c[k] = projected[k];
    for (std::size_t j = k + 1; j < K; ++j) c[k] -= r[k][j] * c[j];
    c[k] /= r[k][k];
  }
  const double norm = std::sqrt(dot(target, target));
  left = norm > 0 ? std::sqrt(dot(rest, rest)) / norm : 0;
  return true;
}

/// A group of values, y or dx of which is a sum of K columns.
template <std::size_t K>
struct Fit {
  std::array<std::vector<double>, K> columns;
  std::vector<double> target;

  std::optional<std::array<double, K>> coefficients(double most_left = kMostLeft) const {
    std::array<double, K> c{};
    double left = 0;
    if (target.size() < K + 2 || !fit(columns, target, c, left) || !(left < most_left)) return std::nullopt;
    return c;
  }
};

/// y - beta = a * gamma * x + b * gamma, behind a ReLU where it is above 0: a and b of each group.
std::optional<std::vector<std::array<double, 2>>> lines_of_y(const DiagnosisCase& given, double most_left = kMostLeft) {
  const Grouping g = grouping_of(given, {});
  std::vector<std::array<double, 2>> lines;
  for (const auto& elements : members(g)) {
    Fit<2> of;
    for (const std::size_t i : elements) {
      if (given.relu && !(given.results.y[i] > 0)) continue;
      const double gamma = parameter(given.gamma, g, i, 1);
      of.columns[0].push_back(gamma * given.x[i]), of.columns[1].push_back(gamma);
      of.target.push_back(given.results.y[i] - parameter(given.beta, g, i, 0));
    }
    const auto c = of.coefficients(most_left);
    if (!c) return std::nullopt;
    lines.push_back(*c);
  }
  return lines;
}

bool sees_in_y(const DiagnosisCase& given, const Truth& truth) {
  return !given.results.y.empty() && truth.tolerance[kY] < kMostTolerance && grouping_of(given, {}).values() >= 4;
}

bool sees_in_dx(const DiagnosisCase& given, const Truth& truth) {
  return !given.results.dx.empty() && !given.relu && !given.inference && truth.tolerance[kDx] < kMostTolerance &&
         grouping_of(given, {}).values() >= 8;
}

std::optional<Statistics> behind_y(const DiagnosisCase& given) {
  const auto lines = lines_of_y(given);
  if (!lines) return std::nullopt;
  Statistics s;
  for (const auto& [a, b] : *lines) {
    if (!(a > 0)) return std::nullopt;
    s.mean.push_back(-b / a), s.var.push_back(1 / (a * a) - given.eps);
  }
  return s;
}

/// dx = r (g - sum / n) - r (x - m) r s / n with g = gamma * dy and s = r (sum_x - m sum): coefficients of g, 1 and x.
/// Two of them give m in two ways, of which one may divide by almost 0.
std::vector<Statistics> behind_dx(const DiagnosisCase& given) {
  const Grouping g = grouping_of(given, {});
  const double n = static_cast<double>(g.values());
  std::array<Statistics, 2> s;
  for (const auto& elements : members(g)) {
    Fit<3> of;
    double sum = 0, sum_x = 0;
    for (const std::size_t i : elements) {
      const double scaled = parameter(given.gamma, g, i, 1) * given.dy[i];
      sum += scaled, sum_x += scaled * given.x[i];
      of.columns[0].push_back(scaled), of.columns[1].push_back(1), of.columns[2].push_back(given.x[i]);
      of.target.push_back(given.results.dx[i]);
    }
    const auto c = of.coefficients();
    if (!c || !((*c)[0] > 0)) return {};
    const double r = (*c)[0], by_sums = (sum_x + (*c)[2] * n / (r * r * r)) / sum;
    const double by_constant = -((*c)[1] + r * sum / n) / (*c)[2];
    s[0].mean.push_back(by_sums), s[1].mean.push_back(by_constant);
    for (Statistics& each : s) each.var.push_back(1 / (r * r) - given.eps);
  }
  return {s[0], s[1]};
}

/// Those that are given, where they are not right.
std::optional<Statistics> as_given(const DiagnosisCase& given, const Truth& truth) {
  const DiagnosisResults& r = given.results;
  if (r.var.empty() && r.rstd.empty()) return std::nullopt;
  Statistics s;
  s.mean = r.mean.empty() ? truth.right[kMean] : std::vector<double>(r.mean.begin(), r.mean.end());
  if (!r.var.empty()) {
    s.var.assign(r.var.begin(), r.var.end());
  } else {
    for (const double rstd : r.rstd) s.var.push_back(1 / (rstd * rstd) - given.eps);
  }
  return s;
}

bool is_usable(const Statistics& s, double eps) {
  for (std::size_t k = 0; k < s.var.size(); ++k) {
    if (!std::isfinite(s.mean[k]) || !std::isfinite(s.var[k]) || !(s.var[k] + eps > 0)) return false;
  }
  return true;
}

double unit_of_mean(const Truth& truth, double mean, double var) {
  return truth.unit * (std::abs(mean) + std::sqrt(std::max(var, 0.0)));
}

}  // namespace

std::vector<Statistics> statistics_behind(const DiagnosisCase& given, const Truth& truth) {
  std::vector<Statistics> all;
  if (given.inference) return all;
  if (sees_in_y(given, truth)) {
    if (auto s = behind_y(given)) all.push_back(std::move(*s));
  }
  if (sees_in_dx(given, truth)) {
    for (Statistics& s : behind_dx(given)) all.push_back(std::move(s));
  }
  if (auto s = as_given(given, truth)) all.push_back(std::move(*s));
  if (given.operation == DiagnosisOperation::rms_norm) {
    for (Statistics& s : all) s.mean = truth.right[kMean];
  }
  std::erase_if(all, [&](const Statistics& s) { return !is_usable(s, given.eps); });
  return all;
}

bool shows_statistics(const DiagnosisCase& given, const Truth& truth) {
  return !given.inference && (sees_in_y(given, truth) || sees_in_dx(given, truth));
}

bool shows_x_hat(const DiagnosisCase& given, const Truth& truth) { return sees_in_dx(given, truth); }

std::optional<double> eps_of(const DiagnosisCase& given, const Truth& truth, const Statistics& s) {
  // Least squares of what is missing, by weights of the parts that it is of each variance.
  double sum = 0, weights = 0;
  for (std::size_t k = 0; k < s.var.size(); ++k) {
    const double var = truth.right[kVar][k], weight = 1 / ((var + given.eps) * (var + given.eps));
    sum += weight * (s.var[k] + given.eps - var), weights += weight;
  }
  const double eps = sum / weights;
  if (!std::isfinite(eps) || !(eps > 0)) return std::nullopt;
  return eps;
}

bool is_cancellation(const DiagnosisCase& given, const Truth& truth, const Statistics& s) {
  if (given.operation == DiagnosisOperation::rms_norm) return false;
  const double n = static_cast<double>(grouping_of(given, {}).values());
  bool is_off = false;
  for (std::size_t k = 0; k < s.var.size(); ++k) {
    const double mean = truth.right[kMean][k], var = truth.right[kVar][k], square = mean * mean;
    const double rounding = 8 * truth.unit * std::sqrt(n), off = std::abs(s.var[k] - var);
    if (!(std::abs(s.mean[k] - mean) <=
          std::sqrt(n) * 8 * unit_of_mean(truth, mean, var) + truth.tolerance[kMean] * std::abs(mean)))
      return false;
    if (!(off <= rounding * (square + var))) return false;
    if (off > truth.tolerance[kVar] * var && !(square >= 4 * var)) return false;
    is_off = is_off || off > 0;
  }
  return is_off;
}

bool has_stale_x_hat(const DiagnosisCase& given, const Truth& truth) {
  if (!sees_in_dx(given, truth)) return false;
  const Grouping g = grouping_of(given, {});
  const double n = static_cast<double>(g.values());
  const bool has_mean = given.operation != DiagnosisOperation::rms_norm;
  bool is_any = false;
  for (const auto& elements : members(g)) {
    double sum = 0;
    for (const std::size_t i : elements) sum += parameter(given.gamma, g, i, 1) * given.dy[i];
    const auto k = static_cast<std::size_t>(g.group[elements.front()]);
    const double rstd = truth.right[kRstd][k], mean_square = truth.right[kVar][k] * rstd * rstd;
    double of_q = 0, squares = 0, products = 0;
    for (const std::size_t i : elements) {
      const double scaled = parameter(given.gamma, g, i, 1) * given.dy[i];
      const double q = scaled - (has_mean ? sum / n : 0) - given.results.dx[i] / rstd;
      of_q += q, squares += q * q, products += scaled * q;
    }
    // The other batch's variance is unknown, and eps beside it; few values make any of this likely by chance.
    const double slack = 1e-2 + (1 - mean_square);
    if (has_mean && !(std::abs(of_q) <= 1e-2 * std::sqrt(n * squares))) return false;
    if (!(std::abs(squares - mean_square * products) <= slack * squares)) return false;
    is_any = is_any || squares > 0;
  }
  return is_any;
}

std::string affine_text(const DiagnosisCase& given, const Truth& truth) {
  if (given.results.y.empty() || given.inference || truth.tolerance[kY] > kMostTolerance) return "";
  const auto lines = lines_of_y(given, 8 * truth.tolerance[kY]);
  if (!lines) return "";
  bool scale = true, shift = true;
  const double most = std::max(1e-5, 4 * truth.tolerance[kY]);
  for (std::size_t k = 0; k < lines->size(); ++k) {
    const auto [a, b] = (*lines)[k];
    const double rstd = truth.right[kRstd][k], mean = truth.right[kMean][k];
    scale = scale && std::abs(a - rstd) <= most * rstd;
    shift = shift && std::abs(a * mean + b) <= most * (1 + std::abs(a * mean));
  }
  const std::string is = "in each channel y is an affine function of x; ";
  if (!scale && shift) return is + "its scale is wrong, so look at gamma, var and eps";
  if (scale && !shift) return is + "its scale is right and its shift is wrong, so look at beta and mean";
  return scale ? "" : is + "its scale and its shift are wrong";
}

}  // namespace unitvar::diagnosis
