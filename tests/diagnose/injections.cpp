#include "diagnose/injections.hpp"

#include <algorithm>
#include <cmath>

namespace unitvar::test {
namespace {

using Layer = PlainLayer;

/// dx by another formula.
Injection dx(const char* id, Layer::Formula f, std::set<std::string> same_as = {}) {
  return {id, [f](const Images&, Layer& l) { l.write(l.dx, f); }, std::move(same_as)};
}

/// Everything by another rstd.
Injection rstd(const char* id, std::function<double(const Images&, double)> of, double less = 0,
               std::set<std::string> same_as = {}) {
  return {id,
          [=](const Images& p, Layer& l) {
            const Layer right = l, wrong(
                                       p, [&](double var) { return of(p, var); }, less);
            l.y = wrong.y, l.dx = wrong.dx, l.dgamma = wrong.dgamma, l.rstd = wrong.rstd, l.var = wrong.var;
          },
          std::move(same_as)};
}

/// Everything with gamma replaced.
Injection gamma(const char* id, int power, bool in_y) {
  return {id, [=](const Images& p, Layer& l) {
            (void)p;
            const auto factor = [=](const Value& v) { return power == 0 ? 1 / v.gamma : v.gamma; };
            l.write(l.dx, [=](const Value& v) {
              return factor(v) * v.gamma * v.rstd * (v.dy - v.sum / v.N - v.x_hat * v.products / v.N);
            });
            if (in_y) l.write(l.y, [=](const Value& v) { return factor(v) * v.gamma * v.x_hat + v.beta; });
          }};
}

/// Statistics over other groups: group_of(n, c, s) < groups.
Injection groups(const char* id,
                 std::function<std::int64_t(const Images&, std::int64_t, std::int64_t, std::int64_t)> of,
                 std::function<std::int64_t(const Images&)> number) {
  return {id, [=](const Images& p, Layer& l) {
            const auto G = static_cast<std::size_t>(number(p));
            std::vector<double> count(G), mean(G), m2(G), sum(G), products(G);
            const auto each = [&](const auto& f) {
              for (std::int64_t n = 0; n < p.N; ++n) {
                for (std::int64_t c = 0; c < p.C; ++c) {
                  for (std::int64_t s = 0; s < p.S; ++s)
                    f(p.at(n, c, s), static_cast<std::size_t>(of(p, n, c, s)), static_cast<std::size_t>(c));
                }
              }
            };
            each([&](std::size_t i, std::size_t g, std::size_t) { count[g] += 1, mean[g] += p.x[i]; });
            for (std::size_t g = 0; g < G; ++g) mean[g] /= count[g];
            each([&](std::size_t i, std::size_t g, std::size_t) { m2[g] += (p.x[i] - mean[g]) * (p.x[i] - mean[g]); });
            const auto x_hat = [&](std::size_t i, std::size_t g) {
              return (p.x[i] - mean[g]) / std::sqrt(m2[g] / count[g] + p.eps);
            };
            std::fill(l.dgamma.begin(), l.dgamma.end(), 0);
            each([&](std::size_t i, std::size_t g, std::size_t c) {
              l.y[i] = p.gamma[c] * x_hat(i, g) + p.beta[c];
              l.dgamma[c] += p.dy[i] * x_hat(i, g);
              sum[g] += p.gamma[c] * p.dy[i], products[g] += p.gamma[c] * p.dy[i] * x_hat(i, g);
            });
            each([&](std::size_t i, std::size_t g, std::size_t c) {
              l.dx[i] = (p.gamma[c] * p.dy[i] - sum[g] / count[g] - x_hat(i, g) * products[g] / count[g]) /
                        std::sqrt(m2[g] / count[g] + p.eps);
            });
          }};
}

Injection tensor(const char* id, std::vector<double> Layer::*of, std::function<double(const Images&, double)> f) {
  return {id, [=](const Images& p, Layer& l) {
            for (double& v : l.*of) v = f(p, v);
          }};
}

}  // namespace

std::vector<Injection> injections() {
  return {
      dx("mean_path_dropped", [](const Value& v) { return v.gamma * v.rstd * (v.dy - v.x_hat * v.products / v.N); }),
      dx("variance_path_dropped", [](const Value& v) { return v.gamma * v.rstd * (v.dy - v.sum / v.N); }),
      dx("both_paths_dropped", [](const Value& v) { return v.gamma * v.rstd * v.dy; }),
      dx("mean_path_sign",
         [](const Value& v) { return v.gamma * v.rstd * (v.dy + v.sum / v.N - v.x_hat * v.products / v.N); }),
      dx("variance_path_sign",
         [](const Value& v) { return v.gamma * v.rstd * (v.dy - v.sum / v.N + v.x_hat * v.products / v.N); }),
      dx("sums_not_divided", [](const Value& v) { return v.gamma * v.rstd * (v.dy - v.sum - v.x_hat * v.products); }),
      dx("mean_sum_not_divided",
         [](const Value& v) { return v.gamma * v.rstd * (v.dy - v.sum - v.x_hat * v.products / v.N); }),
      dx("variance_sum_not_divided",
         [](const Value& v) { return v.gamma * v.rstd * (v.dy - v.sum / v.N - v.x_hat * v.products); }),
      {"sums_divided_by_samples",
       [](const Images& p, Layer& l) {
         const double N = static_cast<double>(p.N);
         l.write(l.dx,
                 [N](const Value& v) { return v.gamma * v.rstd * (v.dy - v.sum / N - v.x_hat * v.products / N); });
       }},
      dx("dx_not_divided",
         [](const Value& v) { return v.gamma * v.rstd * (v.N * v.dy - v.sum - v.x_hat * v.products); }),
      dx("rstd_forgotten_in_dx",
         [](const Value& v) { return v.gamma * (v.dy - v.sum / v.N - v.x_hat * v.products / v.N); }),
      dx("dx_sign",
         [](const Value& v) { return -v.gamma * v.rstd * (v.dy - v.sum / v.N - v.x_hat * v.products / v.N); }),
      dx("chain_rule_without_sums",
         [](const Value& v) { return v.gamma * v.dy * v.rstd * (1 - 1 / v.N - v.x_hat * v.x_hat / v.N); }),
      dx("x_i_for_x_j",
         [](const Value& v) {
           // Part 2's second step: the sum over j has (x_i - mu).
           const double dvar = v.gamma * v.sum * -0.5 * (v.x - v.mean) * v.rstd * v.rstd * v.rstd;
           return v.gamma * v.rstd * v.dy + dvar * 2 * (v.x - v.mean) / v.N - v.gamma * v.rstd * v.sum / v.N;
         }),
      dx("dx_without_rstd_and_paths", [](const Value& v) { return v.gamma * v.dy; }),

      rstd(
          "unbiased_variance", [](const Images& p, double var) { return 1 / std::sqrt(var + p.eps); }, 1),
      {"unbiased_variance_differentiated",
       [](const Images& p, Layer& l) {
         Layer wrong(
             p, [&](double var) { return 1 / std::sqrt(var + p.eps); }, 1);
         wrong.write(wrong.dx, [](const Value& v) {
           return v.gamma * v.rstd * (v.dy - v.sum / v.N - v.x_hat * v.products / (v.N - 1));
         });
         l.dx = wrong.dx;
       }},
      rstd("eps_outside_root", [](const Images& p, double var) { return 1 / (std::sqrt(var) + p.eps); }),
      rstd("eps_forgotten", [](const Images&, double var) { return 1 / std::sqrt(var); }, 0, {"eps_1e-8"}),
      rstd("eps_1e-3", [](const Images&, double var) { return 1 / std::sqrt(var + 1e-3); }),
      rstd("eps_1e-5", [](const Images&, double var) { return 1 / std::sqrt(var + 1e-5); }),
      rstd("eps_1e-6", [](const Images&, double var) { return 1 / std::sqrt(var + 1e-6); }),
      rstd("eps_1e-8", [](const Images&, double var) { return 1 / std::sqrt(var + 1e-8); }, 0, {"eps_forgotten"}),
      {"divided_by_variance",
       [](const Images& p, Layer& l) {
         l.write(l.y, [&](const Value& v) { return v.gamma * (v.x - v.mean) / (v.var + p.eps) + v.beta; });
       }},
      {"multiplied_by_std",
       [](const Images& p, Layer& l) {
         l.write(l.y, [&](const Value& v) { return v.gamma * (v.x - v.mean) * std::sqrt(v.var + p.eps) + v.beta; });
       }},
      {"mean_not_subtracted",
       [](const Images&, Layer& l) { l.write(l.y, [](const Value& v) { return v.gamma * v.x * v.rstd + v.beta; }); }},
      {"x_hat_sign",
       [](const Images&, Layer& l) {
         l.write(l.y, [](const Value& v) { return -v.gamma * v.x_hat + v.beta; });
         for (double& v : l.dgamma) v = -v;
       }},
      gamma("gamma_forgotten", 0, true),
      gamma("gamma_forgotten_in_dx", 0, false),
      gamma("gamma_twice", 2, true),
      gamma("gamma_twice_in_dx", 2, false),
      {"beta_forgotten",
       [](const Images&, Layer& l) { l.write(l.y, [](const Value& v) { return v.gamma * v.x_hat; }); }},
      {"beta_sign",
       [](const Images&, Layer& l) { l.write(l.y, [](const Value& v) { return v.gamma * v.x_hat - v.beta; }); }},
      rstd("eps_of_another_value", [](const Images&, double var) { return 1 / std::sqrt(var + 0.05); }),

      groups(
          "wrong_axis", [](const Images&, std::int64_t n, std::int64_t, std::int64_t) { return n; },
          [](const Images& p) { return p.N; }),
      groups(
          "samples_only", [](const Images& p, std::int64_t, std::int64_t c, std::int64_t s) { return c * p.S + s; },
          [](const Images& p) { return p.C * p.S; }),
      groups(
          "pixels_only", [](const Images& p, std::int64_t n, std::int64_t c, std::int64_t) { return n * p.C + c; },
          [](const Images& p) { return p.N * p.C; }),
      {"layout_misread",
       [](const Images& p, Layer& l) {
         // The memory of NCHW read as NHWC: element k has channel k % C.
         Images read = p;
         for (std::size_t k = 0; k < p.x.size(); ++k) {
           const std::size_t c = k % static_cast<std::size_t>(p.C), row = k / static_cast<std::size_t>(p.C);
           const std::size_t to = c * p.x.size() / static_cast<std::size_t>(p.C) + row;
           read.x[to] = p.x[k], read.dy[to] = p.dy[k];
         }
         read.N = 1, read.S = p.N * p.S;
         const Layer wrong(read);
         for (std::size_t k = 0; k < p.x.size(); ++k) {
           const std::size_t c = k % static_cast<std::size_t>(p.C), row = k / static_cast<std::size_t>(p.C);
           const std::size_t from = c * p.x.size() / static_cast<std::size_t>(p.C) + row;
           l.y[k] = wrong.y[from], l.dx[k] = wrong.dx[from];
         }
         l.dgamma = wrong.dgamma, l.dbeta = wrong.dbeta, l.mean = wrong.mean, l.var = wrong.var, l.rstd = wrong.rstd;
         l.running_mean = wrong.running_mean, l.running_var = wrong.running_var;
       }},

      {"dgamma_with_x",
       [](const Images&, Layer& l) {
         l.parameters([](const Value& v) { return v.dy * v.x; }, [](const Value& v) { return v.dy; });
       }},
      {"dgamma_with_deviation",
       [](const Images&, Layer& l) {
         l.parameters([](const Value& v) { return v.dy * (v.x - v.mean); }, [](const Value& v) { return v.dy; });
       }},
      tensor("dgamma_sign", &Layer::dgamma, [](const Images&, double v) { return -v; }),
      tensor("dbeta_sign", &Layer::dbeta, [](const Images&, double v) { return -v; }),
      {"parameters_averaged",
       [](const Images&, Layer& l) {
         l.parameters([](const Value& v) { return v.dy * v.x_hat / v.N; }, [](const Value& v) { return v.dy / v.N; });
       }},
      {"parameters_of_first",
       [](const Images& p, Layer& l) {
         for (std::int64_t c = 0; c < p.C; ++c) {
           const auto k = static_cast<std::size_t>(c);
           l.dbeta[k] = p.dy[p.at(0, c, 0)];
           l.dgamma[k] = l.dbeta[k] * (p.x[p.at(0, c, 0)] - l.mean[k]) * l.rstd[k];
         }
       }},
      {"parameters_of_last",
       [](const Images& p, Layer& l) {
         for (std::int64_t c = 0; c < p.C; ++c) {
           const auto k = static_cast<std::size_t>(c);
           l.dbeta[k] = p.dy[p.at(p.N - 1, c, p.S - 1)];
           l.dgamma[k] = l.dbeta[k] * (p.x[p.at(p.N - 1, c, p.S - 1)] - l.mean[k]) * l.rstd[k];
         }
       }},

      {"momentum_reversed",
       [](const Images& p, Layer& l) {
         const double N = static_cast<double>(p.values()), m = p.momentum;
         for (std::size_t k = 0; k < l.mean.size(); ++k) {
           l.running_mean[k] = m * p.running_mean[k] + (1 - m) * l.mean[k];
           l.running_var[k] = m * p.running_var[k] + (1 - m) * l.var[k] * N / (N - 1);
         }
       }},
      {"momentum_ignored",
       [](const Images& p, Layer& l) {
         const double N = static_cast<double>(p.values());
         for (std::size_t k = 0; k < l.mean.size(); ++k) {
           l.running_mean[k] = l.mean[k];
           l.running_var[k] = l.var[k] * N / (N - 1);
         }
       }},
      {"running_variance_biased",
       [](const Images& p, Layer& l) {
         for (std::size_t k = 0; k < l.mean.size(); ++k)
           l.running_var[k] = (1 - p.momentum) * p.running_var[k] + p.momentum * l.var[k];
       }},
      {"running_statistics_used",
       [](const Images& p, Layer& l) {
         l.write(l.y, [](const Value&) { return 0.0; });
         for (std::int64_t n = 0; n < p.N; ++n) {
           for (std::int64_t c = 0; c < p.C; ++c) {
             const auto k = static_cast<std::size_t>(c);
             for (std::int64_t s = 0; s < p.S; ++s) {
               l.y[p.at(n, c, s)] =
                   p.gamma[k] * (p.x[p.at(n, c, s)] - p.running_mean[k]) / std::sqrt(p.running_var[k] + p.eps) +
                   p.beta[k];
             }
           }
         }
       }},

      {"train_forgotten",
       [](const Images& p, Layer& l) {
         const std::vector<double> before = p.running_mean, before_var = p.running_var;
         l.mean = before, l.var = before_var;
         for (std::size_t k = 0; k < before.size(); ++k) l.rstd[k] = 1 / std::sqrt(before_var[k] + p.eps);
         l.compute();
         l.write(l.dx, [](const Value& v) { return v.gamma * v.rstd * v.dy; });
         l.running_mean = before, l.running_var = before_var;
         const Layer right(p);
         l.mean = right.mean, l.var = right.var;
       }},

      tensor("std_for_var", &Layer::var, [](const Images& p, double v) { return std::sqrt(v + p.eps); }),
      tensor("rstd_for_var", &Layer::var, [](const Images& p, double v) { return 1 / std::sqrt(v + p.eps); }),
      tensor("std_for_rstd", &Layer::rstd, [](const Images&, double v) { return 1 / v; }),
      tensor("inverse_variance_for_rstd", &Layer::rstd, [](const Images&, double v) { return v * v; }),
      tensor("var_for_rstd", &Layer::rstd, [](const Images& p, double v) { return 1 / (v * v) - p.eps; }),

      {"statistics_of_another_batch",
       [](const Images& p, Layer& l) {
         for (std::size_t k = 0; k < l.mean.size(); ++k) {
           l.mean[k] += 0.2 + 0.1 * static_cast<double>(k);
           l.rstd[k] *= 1.3 + 0.1 * static_cast<double>(k);
           l.var[k] = 1 / (l.rstd[k] * l.rstd[k]) - p.eps;
         }
         l.compute();
       }},
      {"stale_x_hat",
       [](const Images& p, Layer& l) {
         const Images before(99);
         const Layer old(before);
         for (std::int64_t c = 0; c < p.C; ++c) {
           const auto k = static_cast<std::size_t>(c);
           const double N = static_cast<double>(p.values());
           double sum = 0, products = 0;
           const auto each = [&](const auto& f) {
             for (std::int64_t n = 0; n < p.N; ++n) {
               for (std::int64_t s = 0; s < p.S; ++s) {
                 const std::size_t i = p.at(n, c, s);
                 f(i, (before.x[i] - old.mean[k]) / std::sqrt(old.var[k]));
               }
             }
           };
           each([&](std::size_t i, double stale) { sum += p.dy[i], products += p.dy[i] * stale; });
           each([&](std::size_t i, double stale) {
             l.dx[i] = p.gamma[k] * l.rstd[k] * (p.dy[i] - sum / N - stale * products / N);
           });
         }
       }},
  };
}

}  // namespace unitvar::test
