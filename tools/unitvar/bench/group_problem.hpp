#pragma once
#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "bench/expectation.hpp"
#include "bench/problem.hpp"
#include "unitvar/group_norm.hpp"

namespace unitvar::bench {

/// Images, the parameters of their channels, and the statistics of each group that the library's forward saves.
template <class T>
struct GroupProblem {
  GroupProblem(const Shape& shape, Layout layout, std::int64_t groups_of_sample)
      : data(shape, layout),
        groups(sample_groups(shape, layout, groups_of_sample)),
        mean(static_cast<std::size_t>(groups.size())),
        rstd(mean) {}

  /// For messages.
  [[nodiscard]] std::string text() const {
    return shape_text(data.shape) + " " + std::string(layout_name(data.layout));
  }

  Problem<T> data;
  Groups groups;
  std::vector<double> mean, rstd;
};

template <class T>
void run_library(GroupProblem<T>& p, Pass pass, const Options& options) {
  Problem<T>& d = p.data;
  if (pass == Pass::forward) {
    return group_norm_forward<T>({.groups = p.groups,
                                  .x = d.x.span(),
                                  .gamma = d.gamma,
                                  .beta = d.beta,
                                  .y = d.out.span(),
                                  .mean = p.mean,
                                  .rstd = p.rstd,
                                  .eps = eps},
                                 options);
  }
  group_norm_backward<T>({.groups = p.groups,
                          .x = d.x.span(),
                          .dy = d.dy.span(),
                          .mean = p.mean,
                          .rstd = p.rstd,
                          .gamma = d.gamma,
                          .dx = d.out.span(),
                          .dgamma = d.dgamma,
                          .dbeta = d.dbeta},
                         options);
}

/// The double reference's results for a problem, on the first and the last sample. The gradients of some channels'
/// parameters are computed from the statistics that the library saved.
template <class T>
class GroupExpectation {
 public:
  explicit GroupExpectation(const GroupProblem<T>& p);

  /// Throws Failure unless the outputs that `p` holds are within the tolerance, and every element was written. `who`
  /// begins the message.
  void check(Pass pass, const GroupProblem<T>& p, const std::string& who, const Tolerance& tolerance) const;

  /// The same for the saved statistics of the library.
  void check_statistics(const GroupProblem<T>& p) const;

 private:
  // Sums as others computed them beside our own; those whose terms cancel are judged by the size of their terms.
  struct Sums {
    std::vector<double> seen, want, scale;

    void add(double sum, const std::vector<double>& terms) {
      long double total = 0, squares = 0;
      for (const double term : terms) {
        total += term;
        squares += term * term;
      }
      seen.push_back(sum);
      want.push_back(static_cast<double>(total));
      scale.push_back(static_cast<double>(std::max(std::abs(total), std::sqrt(squares))));
    }
  };

  // Of the judged samples, from a tensor or the statistics of all of them.
  template <class Value>
  std::vector<double> gather(std::span<const Value> all, std::int64_t samples) const;
  void check_parameters(const GroupProblem<T>& p, const std::string& who, double tolerance) const;

  std::vector<std::int64_t> samples_;
  reference::GroupForward<double> forward_;
  std::vector<double> dx_;
  std::vector<double> dx_terms_;  ///< gamma * rstd * dy; of two values a group, next to nothing of it remains in dx
};

template <class T>
template <class Value>
std::vector<double> GroupExpectation<T>::gather(std::span<const Value> all, std::int64_t samples) const {
  const std::size_t length = all.size() / static_cast<std::size_t>(samples);
  std::vector<double> values;
  values.reserve(samples_.size() * length);
  for (const std::int64_t n : samples_) {
    for (const Value value : all.subspan(static_cast<std::size_t>(n) * length, length)) {
      values.push_back(static_cast<double>(value));
    }
  }
  return values;
}

template <class T>
GroupExpectation<T>::GroupExpectation(const GroupProblem<T>& p) : samples_{0} {
  const std::int64_t samples = p.groups.samples();
  if (samples > 1) samples_.push_back(samples - 1);
  Groups judged = p.groups;
  judged.extent.outer = static_cast<std::int64_t>(samples_.size()) * judged.sample_rows;
  const Problem<T>& d = p.data;
  const auto x = gather<T>(d.x.span(), samples), dy = gather<T>(d.dy.span(), samples);
  const std::vector<double> gamma(d.gamma.begin(), d.gamma.end()), beta(d.beta.begin(), d.beta.end());
  forward_ = reference::group_norm_forward<double>(judged, x, gamma, beta, eps);
  dx_ = reference::group_norm_backward<double>(forward_.cache, dy).dx;
  for (std::int64_t k = 0; k < judged.extent.size(); ++k) {
    const std::int64_t row = k / judged.extent.inner, c = row % judged.extent.channels;
    const std::int64_t n = row / judged.extent.channels / judged.sample_rows;
    const std::int64_t group = n * judged.per_sample() + c / judged.group_channels();
    dx_terms_.push_back(gamma[static_cast<std::size_t>(c)] * forward_.cache.rstd[static_cast<std::size_t>(group)] *
                        dy[static_cast<std::size_t>(k)]);
  }
}

template <class T>
void GroupExpectation<T>::check(Pass pass, const GroupProblem<T>& p, const std::string& who,
                                const Tolerance& tolerance) const {
  const std::vector<double> out = gather<T>(p.data.out.span(), p.groups.samples());
  if (pass == Pass::forward) {
    require_near(who, "y", out, forward_.y, forward_.y, tolerance.tensor);
  } else {
    require_near(who, "dx", out, dx_, dx_terms_, tolerance.tensor);
    check_parameters(p, who, tolerance.parameters);
  }
  require_written<T>(who, p.data.out.span());
}

template <class T>
void GroupExpectation<T>::check_statistics(const GroupProblem<T>& p) const {
  constexpr double tolerance = std::is_same_v<T, double> ? 1e-12 : 3e-7;  // what the library promises of its results
  const auto require = [&](const char* what, const std::vector<double>& seen, const std::vector<double>& want) {
    require_near("unitvar", what, gather<double>(seen, p.groups.samples()), want, want, tolerance);
  };
  require("the saved mean", p.mean, forward_.cache.mean);
  require("the saved rstd", p.rstd, forward_.cache.rstd);
}

template <class T>
void GroupExpectation<T>::check_parameters(const GroupProblem<T>& p, const std::string& who, double tolerance) const {
  const Problem<T>& d = p.data;
  Sums dgamma, dbeta;
  for (std::int64_t c = 0; c < d.extent.channels; c += std::max<std::int64_t>(1, d.extent.channels / 16)) {
    std::vector<double> dy_x_hat, dy;
    for (std::int64_t o = 0; o < d.extent.outer; ++o) {
      const std::int64_t n = o / p.groups.sample_rows;
      const auto group = static_cast<std::size_t>(n * p.groups.per_sample() + c / p.groups.group_channels());
      for (std::int64_t i = 0; i < d.extent.inner; ++i) {
        const std::int64_t k = d.extent.index(o, c, i);
        dy.push_back(static_cast<double>(d.dy.data()[k]));
        dy_x_hat.push_back(dy.back() * (static_cast<double>(d.x.data()[k]) - p.mean[group]) * p.rstd[group]);
      }
    }
    dgamma.add(static_cast<double>(d.dgamma[static_cast<std::size_t>(c)]), dy_x_hat);
    dbeta.add(static_cast<double>(d.dbeta[static_cast<std::size_t>(c)]), dy);
  }
  require_near(who, "dgamma", dgamma.seen, dgamma.want, dgamma.scale, tolerance);
  require_near(who, "dbeta", dbeta.seen, dbeta.want, dbeta.scale, tolerance);
}

}  // namespace unitvar::bench
