// Infinities in dy: no product makes a NaN that the formulas do not have.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "support/dtypes.hpp"
#include "support/groups.hpp"
#include "support/isas.hpp"
#include "support/oracle.hpp"
#include "support/rows.hpp"
#include "support/weighted.hpp"
#include "unitvar/activation.hpp"

namespace unitvar::test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// Where the formula gives an infinity, so do the results; where it gives a number, they are finite.
template <class A, class R>
void expect_infinite_alike(const char* name, const std::vector<A>& seen, const std::vector<R>& want) {
  ASSERT_EQ(seen.size(), want.size());
  for (std::size_t k = 0; k < want.size(); ++k) {
    const auto value = static_cast<double>(seen[k]);
    if (std::isinf(want[k])) {
      ASSERT_EQ(static_cast<double>(want[k]), value) << name << " " << k;
    } else {
      ASSERT_EQ(std::isfinite(want[k]), std::isfinite(value)) << name << " " << k << " is " << value;
    }
  }
}
template <class T, class R>
void expect_infinite_alike(const BackwardResult<T>& seen, const reference::Gradients<R>& want) {
  expect_infinite_alike("dx", seen.dx, want.dx);
  expect_infinite_alike("dgamma", seen.dgamma, want.dgamma);
  expect_infinite_alike("dbeta", seen.dbeta, want.dbeta);
}

/// Behind a ReLU that lets through what the mask says.
template <class T>
BackwardResult<T> run_act_backward(const Problem<T>& p, const ForwardResult<T>& f,
                                   const std::vector<std::uint8_t>& mask, const Options& options) {
  const std::vector<param_t<T>> c(to_size(p.extent.channels));
  BackwardResult<T> b{std::vector<T>(p.x.size()), c, c};
  batch_norm_act_backward<T>({.extent = p.extent,
                              .x = p.x,
                              .dy = p.dy,
                              .mask = mask,
                              .mean = f.mean,
                              .rstd = f.rstd,
                              .gamma = p.gamma,
                              .dx = b.dx,
                              .dgamma = b.dgamma,
                              .dbeta = b.dbeta},
                             options);
  return b;
}

template <class T>
class InfiniteDy : public ::testing::Test {
 protected:
  /// Below the mean, and every other element of the channel's sums is ordinary.
  static void put(std::vector<T>& x, std::vector<T>& dy) {
    x[0] = T(-100);
    dy[0] = static_cast<T>(infinity);
  }
};
TYPED_TEST_SUITE(InfiniteDy, AllDtypes);

TYPED_TEST(InfiniteDy, GivesWhatTheFormulasGiveInBatchNorm) {
  using T = TypeParam;
  for (const Extent& extent : few_extents()) {
    SCOPED_TRACE(describe(extent));
    auto p = make_problem<T>(extent);
    this->put(p.x, p.dy);
    const auto want = expected(p).backward;
    const std::vector<param_t<T>> ones(to_size(extent.count()), 1);
    const std::vector<std::uint8_t> mask(to_size(batch_norm_act_mask_bytes(extent)), 0xff);
    for_each_isa([&](Isa isa) {
      for (const Walk walk : all_walks) {
        const Options options{.cpu = {.isa = isa, .walk = walk}};
        expect_infinite_alike(run_backward(p, options), want);
        expect_infinite_alike(run_weighted(p, ones, options).backward, want);
        const auto f = run_forward(p, options);
        expect_infinite_alike(run_act_backward(p, f, mask, options), want);
      }
    });
  }
}

TYPED_TEST(InfiniteDy, IsNothingWhereNothingOfItIsUsed) {
  using T = TypeParam;
  for (const Extent& extent : few_extents()) {
    if (extent.count() == 2) continue;  // one weight is not enough
    SCOPED_TRACE(describe(extent));
    auto p = make_problem<T>(extent);
    this->put(p.x, p.dy);
    std::vector<param_t<T>> weight(to_size(extent.count()), 1);
    weight[0] = 0;
    const std::vector<std::uint8_t> mask(to_size(batch_norm_act_mask_bytes(extent)), 0xfe);
    for_each_isa([&](Isa isa) {
      const auto w = run_weighted(p, weight, {.cpu = {.isa = isa}}).backward;
      EXPECT_TRUE(all_finite(w.dx) && all_finite(w.dgamma) && all_finite(w.dbeta));
      const auto f = run_forward(p, {.cpu = {.isa = isa}});
      const auto b = run_act_backward(p, f, mask, {.cpu = {.isa = isa}});
      EXPECT_TRUE(all_finite(b.dx) && all_finite(b.dgamma) && all_finite(b.dbeta));
    });
  }
}

TYPED_TEST(InfiniteDy, GivesWhatTheFormulasGiveInGroupsAndRows) {
  using T = TypeParam;
  for (const Layout layout : both_layouts) {
    for (const std::int64_t groups : {1, 3, 6}) {
      auto p = make_group_problem<T>(make_groups(layout, 3, 6, 40, groups));
      this->put(p.of.x, p.of.dy);
      SCOPED_TRACE(describe(p.groups));
      const auto want = expected(p).backward;
      for_each_isa([&](Isa isa) {
        expect_infinite_alike(run_backward(p, run_forward(p, {.cpu = {.isa = isa}}), {.cpu = {.isa = isa}}), want);
      });
    }
  }
  for (const RowNorm norm : both_row_norms) {
    for (const RowExtent& extent : {RowExtent{40, 7}, {9, 64}, {3, 1000}}) {
      auto p = make_row_problem<T>(norm, extent);
      this->put(p.x, p.dy);
      SCOPED_TRACE(describe(norm, extent));
      const auto want = expected(p).backward;
      for_each_isa([&](Isa isa) {
        expect_infinite_alike(run_backward(p, run_forward(p, {.cpu = {.isa = isa}}), {.cpu = {.isa = isa}}), want);
      });
    }
  }
}

}  // namespace
}  // namespace unitvar::test
