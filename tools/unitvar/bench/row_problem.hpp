#pragma once
#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "bench/expectation.hpp"
#include "bench/op.hpp"
#include "bench/problem.hpp"
#include "unitvar/layer_norm.hpp"

namespace unitvar::bench {

/// Rows, the parameters of their columns, and the statistics that the library's forward saves.
template <class T>
struct RowProblem {
  RowProblem(Op of, const Shape& shape)
      : op(of), extent{shape.n, shape.c}, data(shape, Layout::channels_last), mean(to_size(shape.n)), rstd(mean) {}

  static std::size_t to_size(std::int64_t n) { return static_cast<std::size_t>(n); }

  /// For messages.
  [[nodiscard]] std::string text() const { return shape_text(data.shape); }

  Op op;
  RowExtent extent;
  Problem<T> data;  ///< columns are its channels
  std::vector<double> mean, rstd;
};

template <class T>
void run_forward(RowProblem<T>& p, const Options& options) {
  const Problem<T>& d = p.data;
  if (p.op == Op::layer_norm) {
    return layer_norm_forward<T>({.extent = p.extent,
                                  .x = d.x.span(),
                                  .gamma = d.gamma,
                                  .beta = d.beta,
                                  .y = d.out.span(),
                                  .mean = p.mean,
                                  .rstd = p.rstd,
                                  .eps = eps},
                                 options);
  }
  rms_norm_forward<T>(
      {.extent = p.extent, .x = d.x.span(), .gamma = d.gamma, .y = d.out.span(), .rstd = p.rstd, .eps = eps}, options);
}

template <class T>
void run_backward(RowProblem<T>& p, const Options& options) {
  Problem<T>& d = p.data;
  if (p.op == Op::layer_norm) {
    return layer_norm_backward<T>({.extent = p.extent,
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
  rms_norm_backward<T>({.extent = p.extent,
                        .x = d.x.span(),
                        .dy = d.dy.span(),
                        .rstd = p.rstd,
                        .gamma = d.gamma,
                        .dx = d.out.span(),
                        .dgamma = d.dgamma},
                       options);
}

template <class T>
void run_library(RowProblem<T>& p, Pass pass, const Options& options) {
  pass == Pass::backward ? run_backward(p, options) : run_forward(p, options);
}

/// The double reference's results for a problem: on some whole rows, spread from the first to the last. Those of some
/// columns are computed from the statistics that the library saved.
template <class T>
class RowExpectation {
 public:
  explicit RowExpectation(const RowProblem<T>& p) : rows_(judged_channels({p.extent.length, p.extent.rows, 1})) {
    const RowExtent judged{static_cast<std::int64_t>(rows_.size()), p.extent.length};
    const std::vector<double> x = gather(p, p.data.x), dy = gather(p, p.data.dy);
    const std::vector<double> gamma(p.data.gamma.begin(), p.data.gamma.end());
    std::vector<double> beta(p.data.beta.begin(), p.data.beta.end());
    if (p.op == Op::rms_norm) beta.clear();
    const auto forward =
        p.op == Op::layer_norm ? reference::layer_norm_forward<double> : reference::rms_norm_forward<double>;
    forward_ = forward(judged, x, gamma, beta, eps);
    dx_ = reference::row_norm_backward<double>(forward_.cache, dy).dx;
  }

  /// Throws Failure unless the outputs that `p` holds are within the tolerance. `who` begins the message.
  void check(Pass pass, const RowProblem<T>& p, const std::string& who, const Tolerance& tolerance) const {
    const std::vector<double> out = gather(p, p.data.out);
    if (pass == Pass::forward) return require(who, "y", out, forward_.y, tolerance.tensor);
    require(who, "dx", out, dx_, tolerance.tensor);
    check_columns(p, who, tolerance.parameters);
  }
  void check_statistics(const RowProblem<T>& p) const {
    std::vector<double> rstd;
    for (const std::int64_t r : rows_) rstd.push_back(p.rstd[static_cast<std::size_t>(r)]);
    require("unitvar", "the saved rstd", rstd, forward_.cache.rstd, std::is_same_v<T, double> ? 1e-12 : 3e-7);
  }

 private:
  std::vector<double> gather(const RowProblem<T>& p, const Buffer<T>& tensor) const {
    std::vector<double> values;
    for (const std::int64_t r : rows_) {
      const T* row = tensor.data() + r * p.extent.length;
      for (std::int64_t i = 0; i < p.extent.length; ++i) values.push_back(static_cast<double>(row[i]));
    }
    return values;
  }

  void check_columns(const RowProblem<T>& p, const std::string& who, double tolerance) const {
    const auto [rows, length] = p.extent;
    std::vector<double> seen, want, terms;
    for (std::int64_t i = 0; i < length; i += std::max<std::int64_t>(1, length / 16)) {
      double sum = 0, squares = 0;
      for (std::int64_t r = 0; r < rows; ++r) {
        const auto k = static_cast<std::size_t>(r);
        const double x_hat = (static_cast<double>(p.data.x.data()[r * length + i]) - p.mean[k]) * p.rstd[k];
        const double term = static_cast<double>(p.data.dy.data()[r * length + i]) * x_hat;
        sum += term;
        squares += term * term;
      }
      seen.push_back(static_cast<double>(p.data.dgamma[static_cast<std::size_t>(i)]));
      want.push_back(sum);
      terms.push_back(std::max(std::abs(sum), std::sqrt(squares)));
    }
    require_near(who, "dgamma", seen, want, terms, tolerance);
  }

  static void require(const std::string& who, const char* what, const std::vector<double>& seen,
                      const std::vector<double>& want, double tolerance) {
    require_near(who, what, seen, want, want, tolerance);
  }

  std::vector<std::int64_t> rows_;
  reference::RowForward<double> forward_;
  std::vector<double> dx_;
};

}  // namespace unitvar::bench
