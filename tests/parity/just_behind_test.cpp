// Results past the caches that begin just behind their input, counted within a page of memory: another walk, equal
// bits.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "support/dtypes.hpp"
#include "support/guarded.hpp"
#include "support/isas.hpp"
#include "support/measure.hpp"
#include "support/past_caches.hpp"
#include "support/problem.hpp"
#include "support/run.hpp"
#include "support/shapes.hpp"
#include "unitvar/layer_norm.hpp"

namespace unitvar::test {
namespace {

/// Its offset counts from the beginning of a page.
template <class T>
using Placed = Guarded<T, 4096>;

template <class T>
std::int64_t elements(std::size_t bytes) {
  return static_cast<std::int64_t>(bytes / sizeof(T));
}

template <class T>
class JustBehind : public ::testing::Test {};
TYPED_TEST_SUITE(JustBehind, AllDtypes);

TYPED_TEST(JustBehind, ResultsOfBatchNormAreTheSame) {
  using T = TypeParam;
  for (const Extent& row :
       {Extent{1, 16, 784}, Extent{1, 256, 1}, Extent{1, 96, 1}, Extent{1, 40, 1}, Extent{1, 3, 1}}) {
    const Extent extent{past_caches<T>() / row.size() + 1, row.channels, row.inner};
    const auto p = make_problem<T>(extent, 1);
    const auto f = run_forward(p);
    const auto b = run_backward(p, f.mean, f.rstd);
    Placed<T> x(extent.size()), dy(extent.size(), elements<T>(2048));
    x.fill_with(p.x), dy.fill_with(p.dy);
    for_each_isa([&](Isa isa) {
      for (const std::size_t bytes : {16U, 64U, 2064U}) {
        SCOPED_TRACE(describe(extent) + ", " + std::to_string(bytes) + " bytes behind x");
        const Options options{.cpu = {.threads = 2, .isa = isa}};
        Placed<T> y(extent.size(), elements<T>(bytes)), dx(extent.size(), elements<T>(bytes));
        batch_norm_forward<T>(
            {.extent = extent, .x = x.span(), .gamma = p.gamma, .beta = p.beta, .y = y.span(), .eps = p.eps}, options);
        EXPECT_TRUE(same_bits(y.values(), f.y));
        batch_norm_backward<T>({.extent = extent,
                                .x = x.span(),
                                .dy = dy.span(),
                                .mean = f.mean,
                                .rstd = f.rstd,
                                .gamma = p.gamma,
                                .dx = dx.span()},
                               options);
        EXPECT_TRUE(same_bits(dx.values(), b.dx));
        EXPECT_TRUE(y.guards_intact() && dx.guards_intact());
      }
    });
  }
}

TYPED_TEST(JustBehind, ResultsOfLayerNormAreTheSame) {
  using T = TypeParam;
  const RowExtent extent{past_caches<T>() / 1000 + 1, 1000};
  const auto p = make_problem<T>(Extent{extent.rows, extent.length, 1}, 1);
  Placed<T> x(extent.size());
  x.fill_with(p.x);
  const auto y_at = [&](std::size_t bytes, Isa isa) {
    Placed<T> y(extent.size(), elements<T>(bytes));
    layer_norm_forward<T>({.extent = extent, .x = x.span(), .gamma = p.gamma, .beta = p.beta, .y = y.span()},
                          {.cpu = {.isa = isa}});
    return y.values();
  };
  const auto far = y_at(2048, Isa::portable);
  for_each_isa([&](Isa isa) {
    for (const std::size_t bytes : {16U, 64U}) EXPECT_TRUE(same_bits(y_at(bytes, isa), far)) << bytes;
  });
}

}  // namespace
}  // namespace unitvar::test
