#include "unitvar/gradcheck.hpp"

#include <cmath>
#include <limits>
#include <string>

#include "reference/difference_table.hpp"
#include "unitvar/error.hpp"

namespace unitvar {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

[[noreturn]] void refuse(ErrorCode code, const char* operation, const std::string& rest) {
  throw Error(code, std::string(operation) + ": " + rest);
}

void require_length(const char* operation, const char* name, std::span<const double> values, std::size_t want) {
  if (values.size() != want) {
    refuse(ErrorCode::wrong_length, operation,
           std::string(name) + " has " + std::to_string(values.size()) + " elements, want " + std::to_string(want));
  }
  if (want > 0 && values.data() == nullptr) refuse(ErrorCode::null_data, operation, std::string(name) + " is null");
}

void require_arguments(const char* operation, bool has_function, std::span<const double> x,
                       const DifferenceOptions& options) {
  if (!has_function) refuse(ErrorCode::bad_argument, operation, "there is no function to differentiate");
  if (!(options.step > 0) || !std::isfinite(options.step)) {
    refuse(ErrorCode::bad_argument, operation, "step is " + std::to_string(options.step) + ", want finite and > 0");
  }
  if (options.levels < 2 || options.levels > 30) {
    refuse(ErrorCode::bad_argument, operation, "levels is " + std::to_string(options.levels) + ", want 2 to 30");
  }
  require_length(operation, "x", x, x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!std::isfinite(x[i])) {
      refuse(ErrorCode::bad_argument, operation, "x[" + std::to_string(i) + "] is not finite");
    }
  }
}

/// Changes one element for a while. The destructor restores its bits.
class Perturbed {
 public:
  explicit Perturbed(double& element) : element_(element), saved_(element) {}
  ~Perturbed() { element_ = saved_; }
  Perturbed(const Perturbed&) = delete;
  Perturbed& operator=(const Perturbed&) = delete;
  /// Moves the element h away from where it was; returns how far it really went.
  double move(double h) {
    element_ = saved_ + h;
    return element_ - saved_;
  }

 private:
  double& element_;
  double saved_;
};

// Whether too few of h's bits are left in x + h.
bool drowns(double h, double x) { return h < std::ldexp(std::abs(x), -46); }

// A power of two: x + h and x - h are then exact, or nearly so, whatever the size of x.
double first_step(double x, double step) {
  return std::exp2(std::round(std::log2(drowns(step, x) ? std::ldexp(std::abs(x), -26) : step)));
}

bool all_done(const std::vector<detail::DifferenceTable>& tables) {
  return std::all_of(tables.begin(), tables.end(), [](const auto& table) { return table.done(); });
}

/// One table per output, for the derivative by x[i].
std::vector<detail::DifferenceTable> differentiate(const VectorFunction& f, std::size_t outputs, std::span<double> x,
                                                   std::size_t i, const DifferenceOptions& options) {
  std::vector<detail::DifferenceTable> tables(outputs);
  std::vector<double> above(outputs);
  std::vector<double> below(outputs);
  Perturbed element(x[i]);
  double h = first_step(x[i], options.step);
  for (int level = 0; level < options.levels && !all_done(tables); ++level, h /= 2) {
    if (level > 1 && drowns(h, x[i])) break;
    const double up = element.move(h);
    f(x, above);
    const double down = element.move(-h);
    f(x, below);
    const double width = up - down;
    for (std::size_t k = 0; k < outputs; ++k) {
      const double size = std::max(std::abs(above[k]), std::abs(below[k]));
      const double rounding = std::numeric_limits<double>::epsilon() * size / width;
      tables[k].add((above[k] - below[k]) / width, rounding);  // (B43)
    }
  }
  return tables;
}

VectorFunction as_vector(const ScalarFunction& f) {
  return [&f](std::span<const double> x, std::span<double> y) { y[0] = f(x); };
}

NumericGradient gradient_of_checked(const VectorFunction& f, std::span<double> x, const DifferenceOptions& options) {
  NumericGradient gradient;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto table = differentiate(f, 1, x, i, options).front();
    gradient.value.push_back(table.best());
    gradient.error.push_back(table.error());
  }
  return gradient;
}

double rel_error_of(double a, double b) {
  const double error = std::abs(a - b) / std::max(1e-8, std::abs(a) + std::abs(b));  // (B45)
  return std::isfinite(error) ? error : infinity;
}

GradcheckReport compare(std::span<const double> analytic, const NumericGradient& numeric) {
  GradcheckReport report;
  report.l2_error = l2_error(analytic, numeric.value);
  for (std::size_t i = 0; i < analytic.size(); ++i) {
    const double error = rel_error_of(analytic[i], numeric.value[i]);
    report.largest_error = std::max(report.largest_error, numeric.error[i]);
    if (i > 0 && error <= report.max_rel_error) continue;
    report.max_rel_error = error;
    report.worst = i;
    report.analytic_at_worst = analytic[i];
    report.numeric_at_worst = numeric.value[i];
    report.error_at_worst = numeric.error[i];
  }
  return report;
}

}  // namespace

NumericGradient numeric_gradient(const ScalarFunction& f, std::span<double> x, const DifferenceOptions& options) {
  require_arguments("numeric_gradient", static_cast<bool>(f), x, options);
  return gradient_of_checked(as_vector(f), x, options);
}

NumericJacobian numeric_jacobian(const VectorFunction& f, std::size_t outputs, std::span<double> x,
                                 const DifferenceOptions& options) {
  require_arguments("numeric_jacobian", static_cast<bool>(f), x, options);
  NumericJacobian jacobian{outputs, x.size(), std::vector<double>(outputs * x.size()),
                           std::vector<double>(outputs * x.size())};
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto tables = differentiate(f, outputs, x, i, options);
    for (std::size_t k = 0; k < outputs; ++k) {
      jacobian.value[k * x.size() + i] = tables[k].best();
      jacobian.error[k * x.size() + i] = tables[k].error();
    }
  }
  return jacobian;
}

NumericGradient numeric_vjp(const VectorFunction& f, std::span<double> x, std::span<const double> dy,
                            const DifferenceOptions& options) {
  require_arguments("numeric_vjp", static_cast<bool>(f), x, options);
  require_length("numeric_vjp", "dy", dy, dy.size());
  std::vector<double> y(dy.size());
  const VectorFunction loss = [&](std::span<const double> at, std::span<double> sum) {
    f(at, y);
    long double total = 0;
    for (std::size_t k = 0; k < y.size(); ++k) total += static_cast<long double>(dy[k]) * y[k];
    sum[0] = static_cast<double>(total);
  };
  return gradient_of_checked(loss, x, options);
}

double rel_error(std::span<const double> a, std::span<const double> b) {
  require_length("rel_error", "b", b, a.size());
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, rel_error_of(a[i], b[i]));
  return largest;
}

double l2_error(std::span<const double> a, std::span<const double> b) {
  require_length("l2_error", "b", b, a.size());
  long double difference = 0;
  long double size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const long double d = static_cast<long double>(a[i]) - b[i];
    difference += d * d;
    size += static_cast<long double>(b[i]) * b[i];
  }
  const auto error = static_cast<double>(std::sqrt(difference) / std::max(1e-8L, std::sqrt(size)));  // (B45)
  return std::isfinite(error) ? error : infinity;
}

GradcheckReport gradcheck(const ScalarFunction& f, std::span<double> x, std::span<const double> analytic,
                          const DifferenceOptions& options) {
  require_length("gradcheck", "analytic", analytic, x.size());
  return compare(analytic, numeric_gradient(f, x, options));
}

GradcheckReport gradcheck(const VectorFunction& f, std::span<double> x, std::span<const double> dy,
                          std::span<const double> analytic, const DifferenceOptions& options) {
  require_length("gradcheck", "analytic", analytic, x.size());
  return compare(analytic, numeric_vjp(f, x, dy, options));
}

}  // namespace unitvar
