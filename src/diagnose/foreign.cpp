#include "diagnose/foreign.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace unitvar::diagnosis {
namespace {

using std::int64_t;

/// Of a fit that says anything: what is left of the values, as a part of them, and the rounding of the dtype.
constexpr double kMostLeft = 0.1, kMostTolerance = 0.05;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

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

  enum class Kind { fits, none, says_nothing };  ///< the last: too few values, or columns that depend on one another
  Kind coefficients(std::array<double, K>& c, double most_left) const {
    double left = 0;
    if (target.size() < K + 2 || !fit(columns, target, c, left)) return Kind::says_nothing;
    return left < most_left ? Kind::fits : Kind::none;
  }
};

/// y - beta = a * gamma * x + b * gamma, behind a ReLU where it is above 0: a and b of each group, or NaN where a group
/// says nothing. Nothing where a group is no line.
std::optional<std::vector<std::array<double, 2>>> lines_of_y(const DiagnosisCase& given, const Truth& truth,
                                                             double most_left = kMostLeft) {
  const Grouping& g = truth.grouping;
  std::vector<std::array<double, 2>> lines;
  bool is_any = false;
  for (const auto& elements : members(g)) {
    Fit<2> of;
    for (const std::size_t i : elements) {
      if (given.relu && !(given.results.y[i] > 0)) continue;
      const double gamma = parameter(given.gamma, g, i, 1);
      of.columns[0].push_back(gamma * given.x[i]), of.columns[1].push_back(gamma);
      of.target.push_back(given.results.y[i] - parameter(given.beta, g, i, 0));
    }
    std::array<double, 2> c{};
    const auto kind = of.coefficients(c, most_left);
    if (kind == Fit<2>::Kind::none) return std::nullopt;
    is_any = is_any || kind == Fit<2>::Kind::fits;
    lines.push_back(kind == Fit<2>::Kind::fits ? c : std::array<double, 2>{kNaN, kNaN});
  }
  if (!is_any) return std::nullopt;
  return lines;
}

bool sees_in_y(const DiagnosisCase& given, const Truth& truth) {
  return !given.results.y.empty() && truth.tolerance[kY] < kMostTolerance && truth.grouping.values() >= 4;
}

bool sees_in_dx(const DiagnosisCase& given, const Truth& truth) {
  return !given.results.dx.empty() && !given.relu && !given.inference && truth.tolerance[kDx] < kMostTolerance &&
         truth.grouping.values() >= 8;
}

/// The statistics of x, until a fit says otherwise.
Statistics of_x(const Truth& truth) {
  return {truth.right[kMean], truth.right[kVar], std::vector<bool>(truth.right[kVar].size(), false)};
}

std::optional<Statistics> behind_y(const DiagnosisCase& given, const Truth& truth) {
  const auto lines = lines_of_y(given, truth);
  if (!lines) return std::nullopt;
  Statistics s = of_x(truth);
  for (std::size_t k = 0; k < lines->size(); ++k) {
    const auto [a, b] = (*lines)[k];
    if (std::isnan(a)) continue;
    if (!(a > 0)) return std::nullopt;
    s.mean[k] = -b / a, s.var[k] = 1 / (a * a) - given.eps, s.is_fitted[k] = true;
  }
  return s;
}

/// dx = r (g - sum / n) - r (x - m) r s / n with g = gamma * dy and s = r (sum_x - m sum): coefficients of g, 1 and x.
/// Two of them give m in two ways, of which one may divide by almost 0.
std::vector<Statistics> behind_dx(const DiagnosisCase& given, const Truth& truth) {
  const Grouping& g = truth.grouping;
  const double n = static_cast<double>(g.values());
  std::array<Statistics, 2> s = {of_x(truth), of_x(truth)};
  bool is_any = false;
  const auto groups = members(g);
  for (std::size_t k = 0; k < groups.size(); ++k) {
    Fit<3> of;
    double sum = 0, sum_x = 0;
    for (const std::size_t i : groups[k]) {
      const double scaled = parameter(given.gamma, g, i, 1) * given.dy[i];
      sum += scaled, sum_x += scaled * given.x[i];
      of.columns[0].push_back(scaled), of.columns[1].push_back(1), of.columns[2].push_back(given.x[i]);
      of.target.push_back(given.results.dx[i]);
    }
    std::array<double, 3> c{};
    const auto kind = of.coefficients(c, kMostLeft);
    if (kind == Fit<3>::Kind::says_nothing) continue;
    if (kind == Fit<3>::Kind::none || !(c[0] > 0)) return {};
    const double r = c[0];
    s[0].mean[k] = (sum_x + c[2] * n / (r * r * r)) / sum;
    s[1].mean[k] = -(c[1] + r * sum / n) / c[2];
    for (Statistics& each : s) each.var[k] = 1 / (r * r) - given.eps, each.is_fitted[k] = true;
    is_any = true;
  }
  if (!is_any) return {};
  return {s[0], s[1]};
}

/// Those that are given, where they are not right.
std::optional<Statistics> as_given(const DiagnosisCase& given, const Truth& truth) {
  const DiagnosisResults& r = given.results;
  if (r.var.empty() && r.rstd.empty()) return std::nullopt;
  Statistics s = of_x(truth);
  s.is_fitted.assign(s.var.size(), true);
  s.mean = r.mean.empty() ? truth.right[kMean] : std::vector<double>(r.mean.begin(), r.mean.end());
  if (!r.var.empty()) {
    s.var.assign(r.var.begin(), r.var.end());
  } else {
    for (std::size_t k = 0; k < r.rstd.size(); ++k) s.var[k] = 1 / (r.rstd[k] * r.rstd[k]) - given.eps;
  }
  return s;
}

bool is_usable(const Statistics& s, double eps) {
  for (std::size_t k = 0; k < s.var.size(); ++k) {
    if (!std::isfinite(s.mean[k]) || !std::isfinite(s.var[k]) || !(s.var[k] + eps > 0)) return false;
  }
  return true;
}

/// How far E[x * x] - mean * mean is off in the dtype, in parts of E[x * x]: the worst of the groups.
double noise_of_squares(const DiagnosisCase& given, const Truth& truth) {
  Recipe squares;
  squares.moments = Recipe::Moments::squares;
  const Results rounded = in_dtype(given, squares);
  double most = truth.unit;
  for (std::size_t k = 0; k < rounded[kVar].size(); ++k) {
    const double mean = truth.right[kMean][k], var = truth.right[kVar][k];
    const double noise = std::abs(rounded[kVar][k] - var) / (mean * mean + var);
    if (std::isfinite(noise)) most = std::max(most, noise);
  }
  return most;
}

}  // namespace

std::vector<Statistics> statistics_behind(const DiagnosisCase& given, const Truth& truth) {
  std::vector<Statistics> all;
  if (given.inference) return all;
  if (sees_in_y(given, truth)) {
    if (auto s = behind_y(given, truth)) all.push_back(std::move(*s));
  }
  if (sees_in_dx(given, truth)) {
    for (Statistics& s : behind_dx(given, truth)) all.push_back(std::move(s));
  }
  if (auto s = as_given(given, truth)) all.push_back(std::move(*s));
  if (!has_mean(given)) {
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
  double sum = 0, weights = 0, least = kInfinity, most = 0;
  std::size_t count = 0;
  for (std::size_t k = 0; k < s.var.size(); ++k) {
    if (!s.is_fitted[k]) continue;
    const double var = truth.right[kVar][k], weight = 1 / ((var + given.eps) * (var + given.eps));
    sum += weight * (s.var[k] + given.eps - var), weights += weight;
    const double ratio = (s.var[k] + given.eps) / (var + given.eps);
    least = std::min(least, ratio), most = std::max(most, ratio), ++count;
  }
  const double eps = sum / weights;
  // Of one group, anything may be eps.
  if (count < 2 || !std::isfinite(eps) || !(eps > 0)) return std::nullopt;
  // One factor for all groups is no eps, or cannot be told from one.
  if (!(most - least > 16 * std::max(truth.tolerance[kRstd], truth.unit))) return std::nullopt;
  return eps;
}

bool is_cancellation(const DiagnosisCase& given, const Truth& truth, const Statistics& s) {
  if (!has_mean(given)) return false;
  const double noise = 4 * noise_of_squares(given, truth);
  double least = kInfinity, most = -kInfinity;
  std::size_t count = 0;
  for (std::size_t k = 0; k < s.var.size(); ++k) {
    const double mean = truth.right[kMean][k], var = truth.right[kVar][k], square = mean * mean;
    if (!s.is_fitted[k]) continue;
    const double off = s.var[k] - var;
    if (!(std::abs(s.mean[k] - mean) <= noise * std::abs(mean) + std::sqrt(noise * var))) return false;
    if (!(std::abs(off) <= noise * (square + var))) return false;
    if (std::abs(off) > truth.tolerance[kVar] * var && !(square >= 4 * var)) return false;
    least = std::min(least, off / var), most = std::max(most, off / var), ++count;
  }
  return count > 0 && (count == 1 || most - least > 0.1 * std::max(std::abs(most), std::abs(least)));
}

std::vector<std::size_t> with_stale_x_hat(const DiagnosisCase& given, const Truth& truth) {
  if (!sees_in_dx(given, truth)) return {};
  const Grouping& g = truth.grouping;
  const double n = static_cast<double>(g.values());
  const bool with_mean = has_mean(given);
  const bool by_channel = g.groups == g.parameters && given.operation == DiagnosisOperation::batch_norm;
  bool is_any = false, in_dgamma = by_channel && !given.results.dgamma.empty();
  const auto groups = members(g);
  for (std::size_t k = 0; k < groups.size(); ++k) {
    const double mean = truth.right[kMean][k], rstd = truth.right[kRstd][k], m = truth.right[kVar][k] * rstd * rstd;
    double sum = 0, along = 0;
    for (const std::size_t i : groups[k]) {
      const double scaled = parameter(given.gamma, g, i, 1) * given.dy[i];
      sum += scaled, along += scaled * (given.x[i] - mean) * rstd;
    }
    double of_q = 0, squares = 0, products = 0, away = 0, right_squares = 0, of_dx = 0;
    for (const std::size_t i : groups[k]) {
      const double scaled = parameter(given.gamma, g, i, 1) * given.dy[i], d = given.results.dx[i] / rstd;
      const double q = scaled - (with_mean ? sum / n : 0) - d, right_q = (given.x[i] - mean) * rstd * along / n;
      of_q += q, squares += q * q, products += scaled * q, of_dx += d * d;
      away += (q - right_q) * (q - right_q), right_squares += right_q * right_q;
    }
    if (squares == 0) continue;
    // The other batch's variance is unknown, and eps beside it. q has the noise of dx.
    const double noise = 16 * truth.tolerance[kDx] * std::sqrt(of_dx / squares);
    if (!(of_dx > 0.1 * squares) || !(away > 0.25 * (squares + right_squares)) || !(noise < 0.1)) return {};
    if (with_mean && !(std::abs(of_q) <= (noise + 1e-6) * std::sqrt(n * squares))) return {};
    if (!(std::abs(squares - m * products) <= (noise + 1e-6 + 8 * (1 - m)) * squares)) return {};
    is_any = true;
    const double gamma = parameter(given.gamma, g, groups[k].front(), 1), s = std::sqrt(n * squares / m);
    in_dgamma = in_dgamma && std::abs(std::abs(gamma * given.results.dgamma[k]) - s) <= (noise + 1e-3 + (1 - m)) * s;
  }
  if (!is_any) return {};
  return in_dgamma ? std::vector<std::size_t>{kDx, kDgamma} : std::vector<std::size_t>{kDx};
}

std::string affine_text(const DiagnosisCase& given, const Truth& truth) {
  if (given.results.y.empty() || given.inference || truth.tolerance[kY] > kMostTolerance) return "";
  const auto lines = lines_of_y(given, truth, 8 * truth.tolerance[kY]);
  if (!lines) return "";
  bool scale = true, shift = true;
  const double most = std::max(1e-5, 4 * truth.tolerance[kY]);
  for (std::size_t k = 0; k < lines->size(); ++k) {
    const auto [a, b] = (*lines)[k];
    if (std::isnan(a)) continue;
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
