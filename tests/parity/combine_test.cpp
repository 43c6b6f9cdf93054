// The linear map of up to three tensors against its formula, on every instruction set and in both memory shapes.
#include <gtest/gtest.h>

#include <vector>

#include "cpu/passes/pass_runner.hpp"
#include "support/dtypes.hpp"
#include "support/isas.hpp"
#include "support/oracle.hpp"

namespace unitvar::test {
namespace {

template <class T>
class Combine : public ::testing::Test {};
TYPED_TEST_SUITE(Combine, AllDtypes);

/// Coefficients of which every one matters, for `channels` channels.
struct Coefficients {
  std::vector<double> values[7];

  explicit Coefficients(std::int64_t channels, double scale = 1) {
    Random random(7);
    for (auto& of : values) of = normal_values<double>(channels, random, 0, scale);
  }
  [[nodiscard]] math::CombineArrays arrays(bool with_b) const {
    const auto at = [&](int i) { return values[i].data(); };
    return {at(0), at(1), at(2), at(3), with_b ? at(4) : nullptr, with_b ? at(5) : nullptr, at(6)};
  }
};

template <class T>
void expect_formula(const Extent& extent, bool with_b, double scale) {
  using R = oracle_t<T>;
  const auto p = make_problem<T>(extent);
  const auto third = make_problem<T>(ProblemSpec{.extent = extent, .seed = 3}).x;
  const Coefficients c(extent.channels, scale);
  std::vector<R> want(p.x.size());
  R size = 0;
  for (std::size_t k = 0; k < want.size(); ++k) {
    const std::size_t j = k / to_size(extent.inner) % to_size(extent.channels);
    const auto term = [&](const std::vector<T>& of, int i) {
      const R value = (static_cast<R>(of[k]) - static_cast<R>(c.values[i][j])) * static_cast<R>(c.values[i + 1][j]);
      size += value * value;
      return value;
    };
    want[k] = term(p.x, 0) + term(p.dy, 2) + (with_b ? term(third, 4) : R(0)) + static_cast<R>(c.values[6][j]);
  }
  for_each_isa([&](Isa isa) {
    cpu::PassRunner<T> runner(extent, cpu::in_one_pass({.cpu = {.threads = 2, .isa = isa}}), 3);
    std::vector<T> out(p.x.size());
    runner.traversal().apply(
        runner.combine({p.x.data(), p.dy.data(), with_b ? third.data() : nullptr}, out.data(), c.arrays(with_b)));
    expect_within<T>(Quantity::dx, relative_l2(out, want, std::sqrt(size)), 0);
  });
}

TYPED_TEST(Combine, IsTheSumOfItsTermsInEveryShape) {
  for (const Extent& extent : few_extents()) {
    SCOPED_TRACE(describe(extent));
    expect_formula<TypeParam>(extent, true, 1);
    expect_formula<TypeParam>(extent, false, 1);
  }
}

TEST(CombineOfFloats, GoesToDoubleWhereACoefficientIsBeyondFloat) {
  for (const Extent& extent : few_extents()) {
    SCOPED_TRACE(describe(extent));
    const auto p = make_problem<float>(extent);
    const std::vector<double> huge(to_size(extent.channels), 1e35), tiny(to_size(extent.channels), 1e-35);
    const std::vector<double> zero(to_size(extent.channels), 0.0), one(to_size(extent.channels), 1.0);
    for_each_isa([&](Isa isa) {
      cpu::PassRunner<float> runner(extent, cpu::in_one_pass({.cpu = {.isa = isa}}), 2);
      std::vector<float> out(p.x.size());
      // (x - 1e35) * 1e-35 + dy = dy - 1 but for x's 35 digits behind.
      runner.traversal().apply(
          runner.combine({p.x.data(), p.dy.data(), nullptr}, out.data(),
                         {huge.data(), tiny.data(), zero.data(), one.data(), nullptr, nullptr, zero.data()}));
      for (std::size_t k = 0; k < out.size(); ++k) EXPECT_EQ(static_cast<float>(double{p.dy[k]} - 1), out[k]);
    });
  }
}

}  // namespace
}  // namespace unitvar::test
