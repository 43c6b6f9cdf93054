// Rows that are written past the caches: the bits of those alone, wherever memory begins.
#include <gtest/gtest.h>

#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "support/dtypes.hpp"
#include "support/fenced.hpp"
#include "support/guarded.hpp"
#include "support/isas.hpp"
#include "support/measure.hpp"
#include "support/past_caches.hpp"
#include "support/rows.hpp"

namespace unitvar::test {
namespace {

template <class T>
class RowNormsPastTheCaches : public ::testing::Test {};
TYPED_TEST_SUITE(RowNormsPastTheCaches, AllDtypes);

/// Results larger than four second-level caches are written past the caches; rows that are no whole lines of memory
/// too.
TYPED_TEST(RowNormsPastTheCaches, AreThoseOfTheirRowsAlone) {
  using T = TypeParam;
  for (const std::int64_t length : {64, 1000}) {
    const RowExtent extent{past_caches<T>() / length, length};
    const auto p = make_row_problem<T>(RowNorm::layer, extent, 1);
    const auto f = run_forward(p);
    const auto b = run_backward(p, f);
    for (const std::int64_t r : {std::int64_t{0}, std::int64_t{1}, extent.rows / 3, extent.rows - 1}) {
      const auto row_of = [&](const std::vector<T>& v) {
        return std::vector<T>(v.begin() + r * length, v.begin() + (r + 1) * length);
      };
      RowProblem<T> one{RowNorm::layer, {1, length}, row_of(p.x), row_of(p.dy), p.gamma, p.beta};
      const auto own = run_forward(one);
      EXPECT_TRUE(same_bits(own.y, row_of(f.y)));
      EXPECT_TRUE(same_bits(run_backward(one, own).dx, row_of(b.dx)));
    }
  }
}

/// dgamma and dbeta of one column, added up here.
template <class T>
void expect_sums_of_column(const RowProblem<T>& p, const RowForwardResult<T>& f, const BackwardResult<T>& b,
                           std::int64_t column) {
  double dgamma = 0, dbeta = 0, size = 0;
  for (std::int64_t r = 0; r < p.extent.rows; ++r) {
    const auto k = to_size(r * p.extent.length + column);
    const auto dy = static_cast<double>(p.dy[k]);
    const double x_hat = (static_cast<double>(p.x[k]) - f.mean[to_size(r)]) * f.rstd[to_size(r)];
    dgamma += dy * x_hat;
    dbeta += dy;
    size += std::abs(dy);
  }
  EXPECT_NEAR(static_cast<double>(b.dgamma[to_size(column)]), dgamma, 1e-7 * size) << column;
  EXPECT_NEAR(static_cast<double>(b.dbeta[to_size(column)]), dbeta, 1e-7 * size) << column;
}

/// Rows larger than the caches meet within lines of memory, unless they are whole ones; columns are added up beside dx
/// unless it takes the place of dy; columns whose sums float does not hold are added again.
TYPED_TEST(RowNormsPastTheCaches, AreTheSameWhereverMemoryBegins) {
  using T = TypeParam;
  for (const std::int64_t length : thinned<std::int64_t>({32, 96, 1000, 1001, 4128}, 3)) {
    const RowExtent extent{past_caches<T>() / length, length};
    auto p = make_row_problem<T>(RowNorm::layer, extent, 1);
    if constexpr (!std::is_same_v<T, f16>) {
      for (const std::int64_t column : {std::int64_t{0}, length / 2, length - 1}) {
        p.gamma[to_size(column)] = param_t<T>(0x1p-30);
        for (std::int64_t r = 0; r < extent.rows; ++r) {
          T& dy = p.dy[to_size(r * length + column)];
          dy = static_cast<T>(static_cast<double>(dy) * 0x1p110);
        }
      }
    }
    const auto f = run_forward(p);
    BackwardResult<T> b{p.dy, std::vector<param_t<T>>(to_size(length)), std::vector<param_t<T>>(to_size(length))};
    run_backward_into<T>(p, b.dx, f, b.dx, b.dgamma, b.dbeta);
    for (const std::int64_t column : {std::int64_t{0}, length / 2, length - 1}) expect_sums_of_column(p, f, b, column);
    for_each_isa([&](Isa isa) {
      for (const std::int64_t offset : {0, 1, 6}) {
        SCOPED_TRACE(describe(p.norm, extent) + ", " + std::to_string(offset) + " elements behind a line");
        const Options options{.cpu = {.threads = 2, .isa = isa}};
        Guarded<T> y(extent.size(), offset), dx(extent.size(), offset);
        std::vector<param_t<T>> dgamma(b.dgamma.size()), dbeta(b.dgamma.size());
        layer_norm_forward<T>(
            {.extent = extent, .x = p.x, .gamma = p.gamma, .beta = p.beta, .y = y.span(), .eps = p.eps}, options);
        EXPECT_TRUE(same_bits(y.values(), f.y));
        run_backward_into<T>(p, p.dy, f, dx.span(), dgamma, dbeta, options);
        EXPECT_TRUE(same_bits(dx.values(), b.dx));
        EXPECT_TRUE(same_bits(dgamma, b.dgamma));
        EXPECT_TRUE(same_bits(dbeta, b.dbeta));
        run_backward_into<T>(p, p.dy, f, dx.span(), {}, {}, options);
        EXPECT_TRUE(same_bits(dx.values(), b.dx));
        EXPECT_TRUE(y.guards_intact() && dx.guards_intact());
      }
    });
  }
}

/// Absent parameters begin again after 2048 columns, also in rows that begin and end with a cache line.
TYPED_TEST(RowNormsPastTheCaches, HaveTheSameBitsWithoutOneParameterAsWithOnesOrZeros) {
  using T = TypeParam;
  for (const std::int64_t length : {96, 4128}) {
    const RowExtent extent{past_caches<T>() / length, length};
    const auto p = make_row_problem<T>(RowNorm::layer, extent, 1);
    const std::vector<param_t<T>> ones(p.gamma.size(), 1), zeros(p.gamma.size(), 0);
    using Parameter = std::span<const param_t<T>>;
    const auto run = [&](Parameter gamma, Parameter beta, Guarded<T>& y) {
      layer_norm_forward<T>({.extent = extent, .x = p.x, .gamma = gamma, .beta = beta, .y = y.span()});
      return y.values();
    };
    for (const std::int64_t offset : {0, 6}) {
      Guarded<T> y(extent.size(), offset);
      EXPECT_TRUE(same_bits(run(Parameter(), p.beta, y), run(ones, p.beta, y)));
      EXPECT_TRUE(same_bits(run(p.gamma, Parameter(), y), run(p.gamma, zeros, y)));
    }
  }
}

/// Rows shorter than a cache line: no parameter is read beyond its end.
TYPED_TEST(RowNormsPastTheCaches, ReadNothingBesideShortParameters) {
  using T = TypeParam;
  const RowExtent extent{past_caches<T>() / 9, 9};
  const auto p = make_row_problem<T>(RowNorm::layer, extent, 1);
  Fenced<param_t<T>> gamma(p.gamma, Fence::after), beta(p.beta, Fence::after);
  const auto f = run_forward(p);
  std::vector<T> y(p.x.size()), dx(p.x.size());
  layer_norm_forward<T>({.extent = extent, .x = p.x, .gamma = gamma.span(), .beta = beta.span(), .y = y});
  layer_norm_backward<T>(
      {.extent = extent, .x = p.x, .dy = p.dy, .mean = f.mean, .rstd = f.rstd, .gamma = gamma.span(), .dx = dx});
  EXPECT_TRUE(same_bits(y, f.y));
  EXPECT_TRUE(same_bits(dx, run_backward(p, f).dx));
}

}  // namespace
}  // namespace unitvar::test
