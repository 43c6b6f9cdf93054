// The backward of group norm's backward against the reference, and the same bits however it is run.
#include <gtest/gtest.h>

#include <vector>

#include "support/dtypes.hpp"
#include "support/groups.hpp"
#include "support/isas.hpp"
#include "support/measure.hpp"

namespace unitvar::test {
namespace {

/// Odd groups, rows around the vectors, more channels than a cell takes, several tiles, enough for threads.
std::vector<Groups> few_groups() {
  std::vector<Groups> all;
  for (const Layout layout : both_layouts) {
    for (const auto& [n, c, s, groups] : std::vector<std::array<std::int64_t, 4>>{{3, 15, 49, 5},
                                                                                  {3, 15, 49, 15},
                                                                                  {2, 34, 17, 1},
                                                                                  {33, 4, 9, 2},
                                                                                  {2, 4, 4097, 2},
                                                                                  {2, 6, 1, 2},
                                                                                  {16, 24, 400, 4}}) {
      all.push_back(make_groups(layout, n, c, s, groups));
    }
  }
  return all;
}

/// The reference's results, and the size of the terms that they are sums of.
template <class T, class R = oracle_t<T>>
struct Wanted {
  reference::DoubleGradients<R> gradients;
  R grad_x_scale = 0, grad_dy_scale = 0, grad_gamma_scale = 0;
  double mean_over_std;
};

template <class T>
Wanted<T> wanted(const GroupProblem<T>& p, const GroupCotangents<T>& in) {
  using R = oracle_t<T>;
  const auto e = expected(p);
  const reference::GroupCache<R>& cache = e.forward.cache;
  const std::vector<R> dy = as<R>(p.of.dy), v = as<R>(in.grad_dx), u = as<R>(in.grad_dgamma), w = as<R>(in.grad_dbeta);
  Wanted<T> result;
  result.gradients = reference::group_norm_double_backward<R>(cache, dy, v, u, w);
  result.mean_over_std = e.mean_over_std;
  const Extent& extent = p.groups.extent;
  const std::size_t sample = to_size(extent.channels * extent.inner * p.groups.sample_rows);
  const auto group_of = [&](std::size_t k) {
    const std::size_t c = k / to_size(extent.inner) % to_size(extent.channels);
    return k / sample * to_size(p.groups.per_sample()) + c / to_size(p.groups.group_channels());
  };
  // |v|, |gy| and |v gy| of each group: what its means are at most.
  std::vector<R> v2(cache.rstd.size()), gy2(v2);
  for (std::size_t k = 0; k < dy.size(); ++k) {
    const R gamma = cache.gamma[k / to_size(extent.inner) % to_size(extent.channels)];
    v2[group_of(k)] += v[k] * v[k], gy2[group_of(k)] += gamma * gamma * dy[k] * dy[k];
  }
  for (std::size_t k = 0; k < dy.size(); ++k) {
    const std::size_t c = k / to_size(extent.inner) % to_size(extent.channels), g = group_of(k);
    const R r = cache.rstd[g], x_hat = cache.x_hat[k], n = static_cast<R>(p.groups.count());
    const R u_part = r * u[c] * dy[k], along = r * r * std::sqrt(v2[g] * gy2[g]) / n;
    result.grad_x_scale += u_part * u_part + along * along;
    result.grad_dy_scale += std::pow(cache.gamma[c] * r * v[k], R(2)) + std::pow(u[c] * x_hat, R(2)) + w[c] * w[c];
    result.grad_gamma_scale += std::pow(dy[k] * r, R(2)) * std::max(v[k] * v[k], v2[g] / n);
  }
  for (R* s : {&result.grad_x_scale, &result.grad_dy_scale, &result.grad_gamma_scale}) *s = std::sqrt(*s);
  return result;
}

template <class T>
class GroupNormDoubleBackwardParity : public ::testing::Test {};
TYPED_TEST_SUITE(GroupNormDoubleBackwardParity, AllDtypes);

TYPED_TEST(GroupNormDoubleBackwardParity, MatchesReferenceWithTheSameBitsHoweverItIsRun) {
  using T = TypeParam;
  for (const double mean : {1.0, 1e4}) {
    for (const Groups& groups : few_groups()) {
      SCOPED_TRACE(describe(groups) + ", mean " + std::to_string(mean));
      auto p = make_group_problem<T>(groups, mean);
      p.of.gamma[1] = 0;
      const auto in = make_cotangents<T>(groups);
      const auto want = wanted(p, in);
      const auto forward = run_forward(p);
      const auto seen = run_double_backward(p, forward, in);
      const double ratio = want.mean_over_std;
      expect_within<T>(Quantity::dx, relative_l2(seen.grad_x, want.gradients.grad_x, want.grad_x_scale), ratio);
      expect_within<T>(Quantity::dx, relative_l2(seen.grad_dy, want.gradients.grad_dy, want.grad_dy_scale), ratio);
      expect_within<T>(Quantity::dgamma, relative_l2(seen.grad_gamma, want.gradients.grad_gamma, want.grad_gamma_scale),
                       ratio);
      for_each_isa([&](Isa isa) {
        for (const int threads : {1, 3}) {
          const auto again = run_double_backward(p, forward, in, {.cpu = {.threads = threads, .isa = isa}});
          EXPECT_TRUE(same_bits(again.grad_x, seen.grad_x));
          EXPECT_TRUE(same_bits(again.grad_dy, seen.grad_dy));
          EXPECT_TRUE(same_bits(again.grad_gamma, seen.grad_gamma));
        }
      });
    }
  }
}

TEST(GroupNormDoubleBackward, GivesEachOutputAloneTheBitsItHasInCompany) {
  const auto p = make_group_problem<float>(make_groups(Layout::channels_first, 3, 6, 49, 2), 3);
  const auto forward = run_forward(p);
  const auto in = make_cotangents<float>(p.groups);
  const auto all = run_double_backward(p, forward, in);
  const GroupNormDoubleBackward<float> args{.groups = p.groups,
                                            .x = p.of.x,
                                            .dy = p.of.dy,
                                            .mean = forward.mean,
                                            .rstd = forward.rstd,
                                            .gamma = p.of.gamma,
                                            .grad_dx = in.grad_dx,
                                            .grad_dgamma = in.grad_dgamma,
                                            .grad_dbeta = in.grad_dbeta};
  std::vector<float> grad_x(p.of.x.size()), grad_dy(p.of.x.size()), grad_gamma(6);
  auto alone = args;
  alone.grad_x = grad_x;
  group_norm_double_backward(alone);
  alone = args, alone.grad_dy = grad_dy;
  group_norm_double_backward(alone);
  alone = args, alone.grad_gamma = grad_gamma;
  group_norm_double_backward(alone);
  EXPECT_EQ(grad_x, all.grad_x);
  EXPECT_EQ(grad_dy, all.grad_dy);
  EXPECT_EQ(grad_gamma, all.grad_gamma);
}

TEST(GroupNormDoubleBackward, OfInstancesIsThatOfGroupsOfOneChannel) {
  auto p = make_group_problem<float>(make_groups(Layout::channels_last, 3, 6, 20, 6), 3);
  const auto forward = run_forward(p);
  const auto in = make_cotangents<float>(p.groups);
  std::vector<float> grad_x(p.of.x.size());
  instance_norm_double_backward<float>({.groups = make_groups(Layout::channels_last, 3, 6, 20, 0),
                                        .x = p.of.x,
                                        .dy = p.of.dy,
                                        .mean = forward.mean,
                                        .rstd = forward.rstd,
                                        .gamma = p.of.gamma,
                                        .grad_dx = in.grad_dx,
                                        .grad_dgamma = in.grad_dgamma,
                                        .grad_dbeta = in.grad_dbeta,
                                        .grad_x = grad_x});
  EXPECT_EQ(grad_x, run_double_backward(p, forward, in).grad_x);
}

}  // namespace
}  // namespace unitvar::test
