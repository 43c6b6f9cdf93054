#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <vector>

#include "unitvar/diagnose.hpp"

/// Batch normalization as a student writes it, and the same with mistakes: plain loops that share no line with the
/// library.
namespace unitvar::test {

/// NCHW data with statistics, parameters and running statistics on which every mistake shows.
struct Images {
  std::int64_t N = 4, C = 3, S = 10;
  double eps = 1e-2, momentum = 0.2;  // an eps that no other framework has, and that shows beside the variances
  std::vector<double> x, dy, gamma, beta, running_mean, running_var;

  explicit Images(unsigned seed = 1) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const auto all = static_cast<std::size_t>(N * C * S);
    for (std::size_t i = 0; i < all; ++i) {
      const auto c = static_cast<double>(i / static_cast<std::size_t>(S) % static_cast<std::size_t>(C));
      x.push_back(static_cast<float>(0.3 * normal(random) + 0.6 * c - 0.4));
      dy.push_back(static_cast<float>(0.5 + normal(random) + 0.8 * (x.back() - 0.6 * c)));
    }
    for (std::int64_t c = 0; c < C; ++c) {
      gamma.push_back(static_cast<float>(0.6 + 0.5 * static_cast<double>(c)));
      beta.push_back(static_cast<float>(0.2 - 0.3 * static_cast<double>(c)));
      running_mean.push_back(static_cast<float>(0.1 * static_cast<double>(c) - 0.3));
      running_var.push_back(static_cast<float>(0.4 + 0.2 * static_cast<double>(c)));
    }
  }

  [[nodiscard]] std::int64_t values() const { return N * S; }
  [[nodiscard]] std::size_t at(std::int64_t n, std::int64_t c, std::int64_t s) const {
    return static_cast<std::size_t>((n * C + c) * S + s);
  }
  [[nodiscard]] DiagnosisCase given() const {
    DiagnosisCase c;
    c.shape = {N, C, S};
    c.eps = eps, c.momentum = momentum;
    c.x = x, c.dy = dy, c.gamma = gamma, c.beta = beta, c.running_mean = running_mean, c.running_var = running_var;
    return c;
  }
};

/// What a formula of one value may use.
struct Value {
  double x, dy, x_hat, gamma, beta, mean, var, rstd, N;
  double sum;       ///< of dy
  double products;  ///< of dy * x_hat
};

struct PlainLayer {
  std::vector<double> y, dx, dgamma, dbeta, mean, var, rstd, running_mean, running_var;

  using Formula = std::function<double(const Value&)>;

  explicit PlainLayer(const Images& p) : PlainLayer(p, [&](double v) { return 1 / std::sqrt(v + p.eps); }) {}

  /// With another rstd, or divisor of the variance.
  PlainLayer(const Images& p, const std::function<double(double)>& rstd_of, double divisor_less = 0) : p_(p) {
    const double N = static_cast<double>(p.values());
    for (std::int64_t c = 0; c < p.C; ++c) {
      double sum = 0, squares = 0;
      each(c, [&](std::size_t i) { sum += p.x[i]; });
      each(c, [&](std::size_t i) { squares += (p.x[i] - sum / N) * (p.x[i] - sum / N); });
      mean.push_back(sum / N), var.push_back(squares / (N - divisor_less)), rstd.push_back(rstd_of(var.back()));
      const auto k = static_cast<std::size_t>(c);
      running_mean.push_back((1 - p.momentum) * p.running_mean[k] + p.momentum * mean.back());
      running_var.push_back((1 - p.momentum) * p.running_var[k] + p.momentum * squares / (N - 1));
    }
    compute();
  }

  /// Everything behind mean and rstd.
  void compute() {
    write(y, [](const Value& v) { return v.gamma * v.x_hat + v.beta; });
    write(dx, [](const Value& v) { return v.gamma * v.rstd * (v.dy - v.sum / v.N - v.x_hat * v.products / v.N); });
    parameters([](const Value& v) { return v.dy * v.x_hat; }, [](const Value& v) { return v.dy; });
  }

  void write(std::vector<double>& out, const Formula& f) const {
    out.resize(p_.x.size());
    for (std::int64_t c = 0; c < p_.C; ++c) {
      Value v = of_channel(c);
      each(c, [&](std::size_t i) { v.sum += p_.dy[i], v.products += p_.dy[i] * x_hat(i, v); });
      each(c, [&](std::size_t i) { v.x = p_.x[i], v.dy = p_.dy[i], v.x_hat = x_hat(i, v), out[i] = f(v); });
    }
  }

  void parameters(const Formula& to_dgamma, const Formula& to_dbeta) {
    dgamma.assign(static_cast<std::size_t>(p_.C), 0), dbeta = dgamma;
    for (std::int64_t c = 0; c < p_.C; ++c) {
      Value v = of_channel(c);
      each(c, [&](std::size_t i) {
        v.x = p_.x[i], v.dy = p_.dy[i], v.x_hat = x_hat(i, v);
        dgamma[static_cast<std::size_t>(c)] += to_dgamma(v), dbeta[static_cast<std::size_t>(c)] += to_dbeta(v);
      });
    }
  }

  /// As a layer that computes in float gives it.
  void round_to_float() {
    for (auto* t : {&y, &dx, &dgamma, &dbeta, &mean, &var, &rstd, &running_mean, &running_var}) {
      for (double& v : *t) v = static_cast<float>(v);
    }
  }

  void put_in(DiagnosisCase& c) const {
    c.results = {y, dx, dgamma, dbeta, mean, var, rstd, running_mean, running_var};
  }

 private:
  template <class F>
  void each(std::int64_t c, const F& f) const {
    for (std::int64_t n = 0; n < p_.N; ++n) {
      for (std::int64_t s = 0; s < p_.S; ++s) f(p_.at(n, c, s));
    }
  }
  [[nodiscard]] Value of_channel(std::int64_t channel) const {
    const auto c = static_cast<std::size_t>(channel);
    return {0, 0, 0, p_.gamma[c], p_.beta[c], mean[c], var[c], rstd[c], static_cast<double>(p_.values()), 0.0, 0.0};
  }
  [[nodiscard]] double x_hat(std::size_t i, const Value& v) const { return (p_.x[i] - v.mean) * v.rstd; }

  const Images& p_;
};

}  // namespace unitvar::test
