#include "diagnose/foreign.hpp"

#include <array>
#include <cmath>

namespace unitvar::diagnosis {
namespace {

using std::int64_t;

/// What is left of values that a model explains, in each group, as a part of them.
constexpr double kLeft = 1e-3;

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

/// Whether rounding of the dtype leaves digits to see anything by.
bool sees(const Truth& truth, std::size_t result) { return truth.tolerance[result] < kLeft; }

}  // namespace

bool has_other_statistics_in_y(const DiagnosisCase& given, const Truth& truth) {
  if (given.relu || !sees(truth, kY)) return false;
  const Grouping g = grouping_of(given, {});
  if (g.values() < 4) return false;
  for (const auto& elements : members(g)) {
    std::array<std::vector<double>, 2> columns;
    std::vector<double> target;
    for (const std::size_t i : elements) {
      const double gamma = parameter(given.gamma, g, i, 1);
      columns[0].push_back(gamma * given.x[i]);
      columns[1].push_back(gamma);
      target.push_back(given.results.y[i] - parameter(given.beta, g, i, 0));
    }
    std::array<double, 2> c{};
    double left = 0;
    if (!fit(columns, target, c, left) || !(left < kLeft) || !(c[0] > 0)) return false;
  }
  return true;
}

bool has_other_statistics_in_dx(const DiagnosisCase& given, const Truth& truth) {
  if (given.relu || given.inference || !sees(truth, kDx)) return false;
  const Grouping g = grouping_of(given, {});
  if (g.values() < 8) return false;
  const double n = static_cast<double>(g.values());
  bool has_variance_path = false;  // without it any rstd would do
  for (const auto& elements : members(g)) {
    std::array<std::vector<double>, 3> columns;
    std::vector<double> target;
    double sum = 0, sum_x = 0;
    for (const std::size_t i : elements) {
      const double scaled = parameter(given.gamma, g, i, 1) * given.dy[i];
      sum += scaled;
      sum_x += scaled * given.x[i];
      columns[0].push_back(scaled);
      columns[1].push_back(1);
      columns[2].push_back(given.x[i]);
      target.push_back(given.results.dx[i]);
    }
    std::array<double, 3> c{};
    double left = 0;
    if (!fit(columns, target, c, left) || !(left < kLeft) || !(c[0] > 0) || sum == 0) return false;
    // dx = r (g - sum / n) - r (x - m) r s / n, s = r (sum_x - m sum): of the three coefficients one is not free.
    const double r = c[0], s = -c[2] * n / (r * r), m = (sum_x - s / r) / sum;
    const double constant = -r * sum / n - c[2] * m;
    has_variance_path = has_variance_path || std::abs(c[2]) > 10 * kLeft * r * r / n;
    if (!(std::abs(constant - c[1]) <= 10 * kLeft * (std::abs(c[1]) + std::abs(r * sum / n)))) return false;
  }
  return has_variance_path;
}

bool has_stale_x_hat(const DiagnosisCase& given, const Truth& truth) {
  if (given.relu || given.inference || !sees(truth, kDx)) return false;
  const Grouping g = grouping_of(given, {});
  if (g.values() < 8) return false;
  const double n = static_cast<double>(g.values());
  bool is_any = false;
  for (const auto& elements : members(g)) {
    double sum = 0;
    for (const std::size_t i : elements) sum += parameter(given.gamma, g, i, 1) * given.dy[i];
    const double rstd = truth.right[kRstd][static_cast<std::size_t>(g.group[elements.front()])];
    double of_q = 0, squares = 0, products = 0;
    for (const std::size_t i : elements) {
      const double scaled = parameter(given.gamma, g, i, 1) * given.dy[i];
      const double q = scaled - sum / n - given.results.dx[i] / rstd;
      of_q += q, squares += q * q, products += scaled * q;
    }
    // eps makes the mean square of x_hat a little less than 1, and few values make any of this likely by chance.
    if (!(std::abs(of_q) <= 1e-2 * std::sqrt(n * squares)) || !(std::abs(squares - products) <= 1e-2 * squares))
      return false;
    is_any = is_any || squares > 0;
  }
  return is_any;
}

}  // namespace unitvar::diagnosis
