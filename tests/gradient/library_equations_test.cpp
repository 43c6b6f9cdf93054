#include <gtest/gtest.h>

#include "gradient/cases.hpp"
#include "unitvar/phases.hpp"
#include "unitvar/running_statistics.hpp"

/// (B7), (B8), (B31) in the library: running statistics, the merge, and the four phases over a batch cut in two.
namespace unitvar::test {
namespace {

struct Running {
  std::vector<double> mean = {1, -2}, var = {3, 0.5};
  std::int64_t batches = 0;
  void update(const RunningPolicy& policy, double count = 10) {
    const std::vector<double> batch_mean = {2, 5}, batch_var = {0.9, 1.8};
    update_running_statistics({mean, var, &batches}, count, batch_mean, batch_var, policy);
  }
};

void expect_values(const std::vector<double>& actual, double first, double second) {
  EXPECT_NEAR(actual[0], first, 1e-14);
  EXPECT_NEAR(actual[1], second, 1e-14);
}

TEST(LibraryEquations, B7WeightOfNewIsPyTorchsMomentumWithTheUnbiasedVariance) {
  Running r;
  r.update({.momentum = 0.1});
  expect_values(r.mean, 0.9 * 1 + 0.1 * 2, 0.9 * -2 + 0.1 * 5);
  expect_values(r.var, 0.9 * 3 + 0.1 * (0.9 * 10 / 9), 0.9 * 0.5 + 0.1 * (1.8 * 10 / 9));
}

TEST(LibraryEquations, B7WeightOfOldWithTheBiasedVarianceIsOnnxsUpdate) {
  Running r;
  r.update({.momentum = 0.9, .sense = MomentumSense::weight_of_old, .variance = VarianceKind::biased});
  expect_values(r.mean, 0.9 * 1 + 0.1 * 2, 0.9 * -2 + 0.1 * 5);
  expect_values(r.var, 0.9 * 3 + 0.1 * 0.9, 0.9 * 0.5 + 0.1 * 1.8);
}

TEST(LibraryEquations, B7CumulativeAverageForgetsWhereItBeganAndAveragesTheRest) {
  Running r;
  const RunningPolicy policy{.average = RunningAverage::cumulative, .variance = VarianceKind::biased};
  for (int k = 0; k < 4; ++k) r.update(policy);
  expect_values(r.mean, 2, 5);
  expect_values(r.var, 0.9, 1.8);
  EXPECT_EQ(r.batches, 4);
}

TEST(LibraryEquations, B7EqualsTheReferenceUpdate) {
  Running r;
  r.update({.momentum = 0.3});
  const double unbiased = reference::unbiased_variance(reference::Moments<double>{10, 2, 9});
  EXPECT_NEAR(r.mean[0], reference::running_update(1.0, 2.0, 0.3), 1e-15);
  EXPECT_NEAR(r.var[0], reference::running_update(3.0, unbiased, 0.3), 1e-15);
}

TEST(LibraryEquations, B8MergeEqualsTheReferenceMergeAndTheMomentsOfTheWhole) {
  Random random(7);
  const auto x = normal_values<double>(50, random, 100);
  const std::span<const double> all = x;
  const auto a = reference::moments<double>(all.first(18)), b = reference::moments<double>(all.subspan(18));
  std::vector<double> mean = {a.mean}, m2 = {a.m2};
  const std::vector<double> mean_b = {b.mean}, m2_b = {b.m2};
  EXPECT_EQ(merge_moments(18, mean, m2, 32, mean_b, m2_b), 50);
  const auto by_reference = reference::merge(a, b);
  EXPECT_NEAR(mean[0], by_reference.mean, 1e-13);
  EXPECT_NEAR(m2[0], by_reference.m2, 1e-12);
  const auto whole = reference::moments<double>(all);
  EXPECT_NEAR(mean[0], whole.mean, 1e-13);
  EXPECT_NEAR(m2[0], whole.m2, 1e-12);
}

/// The elements before `cut`, or from there on.
template <class V>
auto half(V& values, std::int64_t cut, int rank) {
  std::span all(values);
  return rank == 0 ? all.first(to_size(cut)) : all.subspan(to_size(cut));
}

/// A batch cut in two along its outer axis, as two ranks would hold it.
class TwoRanks {
 public:
  explicit TwoRanks(Case<double> problem)
      : whole_(std::move(problem)), cut_(whole_.extent.outer / 3 * whole_.extent.channels * whole_.extent.inner) {
    for (int rank = 0; rank < 2; ++rank) {
      Extent& e = extent_[rank] = whole_.extent;
      e.outer = rank == 0 ? whole_.extent.outer / 3 : whole_.extent.outer - whole_.extent.outer / 3;
      count_[rank] = static_cast<double>(e.count());
    }
  }

  void forward() {
    std::vector<double> mean[2], m2[2];
    for (int rank = 0; rank < 2; ++rank) {
      mean[rank].resize(channels()), m2[rank].resize(channels());
      moments<double>({.extent = extent_[rank], .x = half(whole_.x, cut_, rank), .mean = mean[rank], .m2 = m2[rank]});
    }
    total_ = merge_moments(count_[0], mean[0], m2[0], count_[1], mean[1], m2[1]);
    mean_ = mean[0];
    rstd_.resize(channels());
    finish_moments(total_, m2[0], whole_.eps, {}, rstd_);
    y_.resize(whole_.x.size());
    for (int rank = 0; rank < 2; ++rank) {
      normalize<double>({.extent = extent_[rank],
                         .x = half(whole_.x, cut_, rank),
                         .mean = mean_,
                         .rstd = rstd_,
                         .gamma = whole_.gamma,
                         .beta = whole_.beta,
                         .y = half(y_, cut_, rank)});
    }
  }

  reference::Gradients<double> backward() {
    std::vector<double> sum_dy(channels()), sum_dy_xmu(channels());
    for (int rank = 0; rank < 2; ++rank) add_sums(rank, sum_dy, sum_dy_xmu);
    std::vector<double> dx(whole_.x.size());
    for (int rank = 0; rank < 2; ++rank) {
      input_gradient<double>({.extent = extent_[rank],
                              .x = half(whole_.x, cut_, rank),
                              .dy = half(whole_.dy, cut_, rank),
                              .mean = mean_,
                              .rstd = rstd_,
                              .gamma = whole_.gamma,
                              .sum_dy = sum_dy,
                              .sum_dy_xmu = sum_dy_xmu,
                              .count = total_,
                              .dx = half(dx, cut_, rank)});
    }
    for (std::size_t c = 0; c < channels(); ++c) sum_dy_xmu[c] *= rstd_[c];
    return {dx, sum_dy_xmu, sum_dy};
  }

  [[nodiscard]] const std::vector<double>& y() const { return y_; }

 private:
  [[nodiscard]] std::size_t channels() const { return to_size(whole_.extent.channels); }

  void add_sums(int rank, std::vector<double>& sum_dy, std::vector<double>& sum_dy_xmu) const {
    std::vector<double> dy(channels()), dy_xmu(channels());
    gradient_sums<double>({.extent = extent_[rank],
                           .x = half(whole_.x, cut_, rank),
                           .dy = half(whole_.dy, cut_, rank),
                           .mean = mean_,
                           .sum_dy = dy,
                           .sum_dy_xmu = dy_xmu});
    for (std::size_t c = 0; c < channels(); ++c) sum_dy[c] += dy[c], sum_dy_xmu[c] += dy_xmu[c];
  }

  Case<double> whole_;
  std::int64_t cut_;  ///< in elements
  Extent extent_[2];
  double count_[2] = {}, total_ = 0;
  std::vector<double> mean_, rstd_, y_;
};

TEST(LibraryEquations, B31PhasesOverTwoRanksGiveTheWholeBatch) {
  for (const auto& c : all_cases<double>()) {
    SCOPED_TRACE(c.name);
    TwoRanks ranks(c);
    ranks.forward();
    const auto f = forward_of(c);
    EXPECT_LE(relative_l2(ranks.y(), f.y), 1e-11);
    expect_same_gradients<double>(ranks.backward(), reference::backward<double>(f.cache, c.dy),
                                  terms_of_dx(f.cache, c.dy), 1e-11);
  }
}

}  // namespace
}  // namespace unitvar::test
