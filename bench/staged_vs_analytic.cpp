#include <cmath>
#include <cstdio>
#include <utility>
#include <vector>

#include "bench/array.hpp"
#include "bench/data.hpp"
#include "bench/timing.hpp"
#include "unitvar/reference.hpp"
#include "unitvar/unitvar.hpp"

/// "2 to 4 times faster": the analytic backward pass of batch normalization against the staged graph. Both as
/// whole-array C++ with a new array for every operation, as a NumPy user writes them; then the library, which walks
/// memory itself.
namespace unitvar::bench {
namespace {

constexpr double eps = 1e-5;

/// What the forward leaves behind for both.
struct Stages {
  Array gamma, xmu, var, sqrtvar, rstd, x_hat;
};

Stages forward(const Array& x, const Array& gamma) {
  const auto n = static_cast<double>(x.rows());
  Array xmu = x - sum_rows(x) / n;
  Array var = sum_rows(xmu * xmu) / n;
  Array sqrtvar = sqrt(var + eps);
  Array rstd = 1.0 / sqrtvar;
  Array x_hat = xmu * rstd;
  return {1.0 * gamma, std::move(xmu), std::move(var), std::move(sqrtvar), std::move(rstd), std::move(x_hat)};
}

struct Gradients {
  Array dx, dgamma, dbeta;
};

/// (B33), line for line as the staged graph is written in NumPy.
Gradients staged(const Stages& s, const Array& dy) {
  const std::size_t rows = dy.rows(), columns = dy.columns();
  const auto n = static_cast<double>(rows);
  Array dbeta = sum_rows(dy);
  Array dgamma = sum_rows(dy * s.x_hat);
  const Array dx_hat = dy * s.gamma;
  const Array drstd = sum_rows(dx_hat * s.xmu);
  const Array dxmu1 = dx_hat * s.rstd;
  const Array dsqrtvar = -1.0 / (s.sqrtvar * s.sqrtvar) * drstd;
  const Array dvar = 0.5 / sqrt(s.var + eps) * dsqrtvar;
  const Array dsq = 1.0 / n * ones(rows, columns) * dvar;
  const Array dxmu2 = 2.0 * s.xmu * dsq;
  const Array dx1 = dxmu1 + dxmu2;
  const Array dmean = -1.0 * sum_rows(dxmu1 + dxmu2);
  const Array dx2 = 1.0 / n * ones(rows, columns) * dmean;
  return {dx1 + dx2, std::move(dgamma), std::move(dbeta)};
}

/// (B29), batchnorm_backward_alt.
Gradients analytic(const Stages& s, const Array& dy) {
  const auto n = static_cast<double>(dy.rows());
  Array dbeta = sum_rows(dy);
  Array dgamma = sum_rows(s.x_hat * dy);
  Array dx = s.gamma * s.rstd / n * (n * dy - s.x_hat * dgamma - dbeta);
  return {std::move(dx), std::move(dgamma), std::move(dbeta)};
}

/// The library on its own copy of the problem.
template <class T>
class Library {
 public:
  Library(Extent extent, const std::vector<double>& x, const std::vector<double>& dy, const std::vector<double>& gamma)
      : extent_(extent),
        x_(x.begin(), x.end()),
        dy_(dy.begin(), dy.end()),
        gamma_(gamma.begin(), gamma.end()),
        y_(x.size()),
        dx_(x.size()),
        dgamma_(gamma.size()),
        dbeta_(gamma.size()),
        mean_(gamma.size()),
        rstd_(gamma.size()) {
    batch_norm_forward<T>(
        {.extent = extent_, .x = x_, .gamma = gamma_, .y = y_, .mean = mean_, .rstd = rstd_, .eps = eps},
        {.cpu = {.threads = 1}});
  }

  void backward() {
    batch_norm_backward<T>({.extent = extent_,
                            .x = x_,
                            .dy = dy_,
                            .mean = mean_,
                            .rstd = rstd_,
                            .gamma = gamma_,
                            .dx = dx_,
                            .dgamma = dgamma_,
                            .dbeta = dbeta_},
                           {.cpu = {.threads = 1}});
  }

  [[nodiscard]] const std::vector<T>& dx() const { return dx_; }
  [[nodiscard]] const std::vector<T>& dgamma() const { return dgamma_; }

 private:
  Extent extent_;
  std::vector<T> x_, dy_, gamma_, y_, dx_, dgamma_, dbeta_;
  std::vector<double> mean_, rstd_;
};

void measure(std::int64_t rows, std::int64_t columns) {
  const Extent extent = Extent::nc(rows, columns);
  const auto x = random_values<double>(extent.size(), 3, 2, 1), dy = random_values<double>(extent.size(), 0, 1, 2);
  const auto gamma = random_values<double>(columns, 1, 0.5, 3);
  const auto n = static_cast<std::size_t>(rows), d = static_cast<std::size_t>(columns);
  const Array dy_array(n, d, dy);
  const Stages stages = forward(Array(n, d, x), Array(1, d, gamma));
  Library<double> f64(extent, x, dy, gamma);
  Library<float> f32(extent, x, dy, gamma);

  f64.backward();
  f32.backward();
  const auto truth = reference::backward<double>(reference::forward<double>(extent, x, gamma, {}, eps).cache, dy);
  for (const auto& [what, g] :
       {std::pair{"staged", staged(stages, dy_array)}, {"analytic", analytic(stages, dy_array)}}) {
    require_close(what, g.dx, truth.dx, 1e-12);
    require_close(what, g.dgamma, truth.dgamma, 1e-12);
  }
  require_close("unitvar f64", f64.dx(), truth.dx, 1e-13);
  require_close("unitvar f32", f32.dx(), truth.dx, 1e-6);

  const auto t = median_seconds({[&] { (void)staged(stages, dy_array); }, [&] { (void)analytic(stages, dy_array); },
                                 [&] { f64.backward(); }, [&] { f32.backward(); }},
                                1.5);
  std::printf("| %lld x %lld | %.3f | %.3f | %.1f | %.3f | %.1f | %.1f | %.3f | %.1f |\n", static_cast<long long>(rows),
              static_cast<long long>(columns), t[0] * 1e3, t[1] * 1e3, t[0] / t[1], t[2] * 1e3, t[0] / t[2],
              t[1] / t[2], t[3] * 1e3, t[0] / t[3]);
}

}  // namespace
}  // namespace unitvar::bench

int main() {
  std::printf(
      "| N x D | staged, ms | analytic, ms | staged / analytic | unitvar f64, ms | staged / unitvar | "
      "analytic / unitvar | unitvar f32, ms | staged / unitvar f32 |\n|---|---|---|---|---|---|---|---|---|\n");
  for (const auto& [rows, columns] : {std::pair{60, 100}, {200, 100}, {100, 500}, {1000, 1000}, {4096, 1024}}) {
    unitvar::bench::measure(rows, columns);
  }
}
