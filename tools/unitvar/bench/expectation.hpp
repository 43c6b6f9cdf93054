#pragma once
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "bench/problem.hpp"
#include "common/failure.hpp"
#include "unitvar/reference.hpp"
#include "unitvar/schedule.hpp"

namespace unitvar::bench {

/// ||actual - expected|| / ||scale||; infinite if anything is NaN.
[[nodiscard]] double relative_error(std::span<const double> actual, std::span<const double> expected,
                                    std::span<const double> scale);

/// Throws Failure if that error is above the tolerance. `who` begins the message.
void require_near(const std::string& who, const char* what, std::span<const double> actual,
                  std::span<const double> expected, std::span<const double> scale, double tolerance);

/// Throws Failure if an element is NaN.
template <class T>
void require_written(const std::string& who, std::span<const T> values) {
  const auto size = static_cast<std::int64_t>(values.size());
  std::int64_t missing = 0;
#pragma omp parallel for schedule(static) reduction(+ : missing)
  for (std::int64_t k = 0; k < size; ++k)
    missing += std::isnan(static_cast<double>(values[static_cast<std::size_t>(k)]));
  if (missing > 0) throw tool::Failure("{}: {} of {} elements are NaN, want none", who, missing, size);
}

/// Whole channels to judge by, spread from the first to the last: all of them if they have little to compute.
[[nodiscard]] std::vector<std::int64_t> judged_channels(const Extent& extent);

/// Relative L2 errors: of y or dx, and of dgamma and dbeta.
struct Tolerance {
  double tensor;
  double parameters;
};

/// What the double reference makes of a problem, on some whole channels.
template <class T>
class Expectation {
 public:
  explicit Expectation(const Problem<T>& problem);

  /// Throws Failure unless the outputs that `problem` holds are within the tolerance, and every element was written.
  /// `who` begins the message.
  void check(Pass pass, const Problem<T>& problem, const std::string& who, const Tolerance& tolerance) const;

  /// The same for the saved statistics of the library.
  void check_statistics(const Problem<T>& problem) const;

  /// What the library promises. Rounding to nearest leaves 0.2 steps, as a rule; 16-bit types have their parameters'
  /// gradients summed in float.
  static Tolerance promised() {
    if (sizeof(T) == sizeof(double)) return {1e-13, 1e-13};
    return {std::max(3e-7, 0.3 * epsilon()), sizeof(T) == sizeof(float) ? 3e-7 : 1e-6};
  }
  /// What shows that others compute the same thing, in f32 sums.
  static Tolerance same_thing() { return {2e-3 + epsilon(), 2e-3 + epsilon()}; }

 private:
  // The step from 1 to the next number of the type, which need not have numeric_limits.
  static double epsilon() {
    double step = 1;
    while (static_cast<double>(static_cast<T>(1 + step / 2)) > 1) step /= 2;
    return step;
  }

  template <class Value>
  std::vector<double> gather(std::span<const Value> tensor, const Extent& extent) const;
  template <class Value>
  std::vector<double> of_channels(const std::vector<Value>& values) const;
  void require(const std::string& who, const char* what, std::span<const double> actual,
               std::span<const double> expected, double tolerance) const {
    require_near(who, what, actual, expected, expected, tolerance);
  }

  std::vector<std::int64_t> channels_;
  reference::Forward<double> forward_;
  std::vector<double> inference_;
  reference::Gradients<double> gradients_;
  std::vector<double> dx_terms_;  ///< gamma * rstd * dy; of two values a channel, next to nothing of it remains in dx
};

template <class T>
template <class Value>
std::vector<double> Expectation<T>::gather(std::span<const Value> tensor, const Extent& extent) const {
  std::vector<double> values;
  values.reserve(static_cast<std::size_t>(extent.count()) * channels_.size());
  for (std::int64_t o = 0; o < extent.outer; ++o) {
    for (const std::int64_t c : channels_) {
      for (std::int64_t i = 0; i < extent.inner; ++i) {
        values.push_back(static_cast<double>(tensor[static_cast<std::size_t>(extent.index(o, c, i))]));
      }
    }
  }
  return values;
}

template <class T>
template <class Value>
std::vector<double> Expectation<T>::of_channels(const std::vector<Value>& values) const {
  std::vector<double> chosen;
  for (const std::int64_t c : channels_) chosen.push_back(static_cast<double>(values[static_cast<std::size_t>(c)]));
  return chosen;
}

template <class T>
Expectation<T>::Expectation(const Problem<T>& p) : channels_(judged_channels(p.extent)) {
  const Extent extent{p.extent.outer, static_cast<std::int64_t>(channels_.size()), p.extent.inner};
  const auto x = gather<T>(p.x.span(), p.extent), dy = gather<T>(p.dy.span(), p.extent);
  const auto gamma = of_channels(p.gamma), beta = of_channels(p.beta);
  forward_ = reference::forward<double>(extent, x, gamma, beta, eps);
  inference_ = reference::inference<double>(extent, x, of_channels(p.running_mean), of_channels(p.running_var), gamma,
                                            beta, eps);
  gradients_ = reference::backward<double>(forward_.cache, dy);
  for (std::size_t k = 0; k < dy.size(); ++k) {
    const std::size_t c = k / static_cast<std::size_t>(extent.inner) % channels_.size();
    dx_terms_.push_back(gamma[c] * forward_.cache.rstd[c] * dy[k]);
  }
}

template <class T>
void Expectation<T>::check(Pass pass, const Problem<T>& p, const std::string& who, const Tolerance& tolerance) const {
  const std::vector<double> out = gather<T>(p.out.span(), p.extent);
  if (pass == Pass::forward) require(who, "y", out, forward_.y, tolerance.tensor);
  if (pass == Pass::inference) require(who, "y", out, inference_, tolerance.tensor);
  if (pass == Pass::backward) {
    require_near(who, "dx", out, gradients_.dx, dx_terms_, tolerance.tensor);
    require(who, "dgamma", of_channels(p.dgamma), gradients_.dgamma, tolerance.parameters);
    require(who, "dbeta", of_channels(p.dbeta), gradients_.dbeta, tolerance.parameters);
  }
  require_written<T>(who, p.out.span());
}

template <class T>
void Expectation<T>::check_statistics(const Problem<T>& p) const {
  constexpr double tolerance = std::is_same_v<T, double> ? 1e-12 : 3e-7;  // what the library promises of its results
  require("unitvar", "the saved mean", of_channels(p.mean), forward_.cache.mean, tolerance);
  require("unitvar", "the saved variance", of_channels(p.var), forward_.cache.var, tolerance);
  require("unitvar", "the saved rstd", of_channels(p.rstd), forward_.cache.rstd, tolerance);
}

}  // namespace unitvar::bench
