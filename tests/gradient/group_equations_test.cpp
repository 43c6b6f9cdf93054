#include <gtest/gtest.h>

#include "gradient/cases.hpp"
#include "support/groups.hpp"

/// (B73) to (B79): group and instance norm, the reference and the library, against numeric differentiation.
namespace unitvar::test {
namespace {

/// gamma of both signs, and 0.
GroupProblem<double> problem_of(const Groups& groups, double mean) {
  GroupProblem<double> p = make_group_problem<double>(groups, mean);
  Random random(7);
  p.of.gamma = gamma_of_any_sign(groups.extent.channels, random);
  p.of.eps = 1e-3;
  return p;
}

std::vector<Groups> small_groups() {
  std::vector<Groups> all;
  for (const Layout layout : both_layouts) {
    all.push_back(make_groups(layout, 2, 6, 5, 2));
    all.push_back(make_groups(layout, 2, 6, 5, 6));
    all.push_back(make_groups(layout, 3, 3, 7, 1));
    all.push_back(make_groups(layout, 3, 8, 1, 2));
  }
  return all;
}

template <class Body>
void for_each_problem(const Body& body) {
  for (const Groups& groups : small_groups()) {
    for (const double mean : {0.0, -100.0}) {
      SCOPED_TRACE(describe(groups) + ", mean " + std::to_string(mean));
      auto p = problem_of(groups, mean);
      body(p);
    }
  }
}

reference::GroupForward<double> reference_forward(const GroupProblem<double>& p) {
  return reference::group_norm_forward<double>(p.groups, p.of.x, p.of.gamma, p.of.beta, p.of.eps);
}

TEST(GroupEquations, B73InstanceNormIsTheBatchNormOfEachSample) {
  for (const Layout layout : both_layouts) {
    const auto p = problem_of(make_groups(layout, 3, 4, 6, 4), 1);
    const auto forward = reference_forward(p);
    const Extent& e = p.groups.extent;
    const Extent sample{p.groups.sample_rows, e.channels, e.inner};
    for (std::int64_t n = 0; n < 3; ++n) {
      const auto x = std::span<const double>(p.of.x).subspan(to_size(n * sample.size()), to_size(sample.size()));
      const auto alone = reference::forward<double>(sample, x, p.of.gamma, p.of.beta, p.of.eps);
      for (std::size_t k = 0; k < alone.y.size(); ++k) {
        EXPECT_NEAR(forward.y[to_size(n * sample.size()) + k], alone.y[k], 1e-13);
      }
    }
  }
}

TEST(GroupEquations, B74GroupStatisticsAreTheMergeOfItsChannels) {
  for (const Layout layout : both_layouts) {
    const auto grouped = problem_of(make_groups(layout, 3, 8, 6, 2), 1);
    auto single = grouped;
    single.groups.groups = 8;
    const auto groups = reference_forward(grouped).cache, channels = reference_forward(single).cache;
    for (std::size_t g = 0; g < groups.mean.size(); ++g) {
      reference::Moments<double> merged{};
      for (std::size_t c = g * 4; c < (g + 1) * 4; ++c) {
        merged = reference::merge<double>(merged, {6, channels.mean[c], 6 * channels.var[c]});
      }
      EXPECT_NEAR(groups.mean[g], merged.mean, 1e-13);
      EXPECT_NEAR(groups.var[g], reference::biased_variance(merged), 1e-13);
    }
  }
}

/// Per group, the mean of term(k) over its elements k.
template <class Term>
std::vector<double> group_means(const Groups& groups, const Term& term) {
  std::vector<double> means(to_size(groups.size()));
  for (std::size_t k = 0; k < to_size(groups.extent.size()); ++k) {
    means[place_of(groups, k).group] += term(k) / static_cast<double>(groups.count());
  }
  return means;
}

TEST(GroupEquations, B75BackwardMatchesNumericDifferentiationOfForward) {
  for_each_problem([](GroupProblem<double>& p) {
    const auto loss = [&p](std::span<const double>) { return loss_of(p.of.dy, reference_forward(p).y); };
    const auto analytic = reference::group_norm_backward<double>(reference_forward(p).cache, p.of.dy);
    EXPECT_LE(gradcheck(loss, p.of.x, analytic.dx).l2_error, 1e-9) << "dx";
    EXPECT_LE(gradcheck(loss, p.of.gamma, analytic.dgamma).l2_error, 1e-9) << "dgamma";
    EXPECT_LE(gradcheck(loss, p.of.beta, analytic.dbeta).l2_error, 1e-9) << "dbeta";
  });
}

TEST(GroupEquations, B76MapPerChannelIsTheBackwardWhateverGammaIs) {
  for_each_problem([](GroupProblem<double>& p) {
    const auto cache = reference_forward(p).cache;
    const auto gamma_dy = [&](std::size_t k) { return p.of.gamma[place_of(p.groups, k).channel] * p.of.dy[k]; };
    const auto level = group_means(p.groups, gamma_dy);
    const auto along = group_means(p.groups, [&](std::size_t k) { return gamma_dy(k) * cache.x_hat[k]; });
    std::vector<double> dx(p.of.dy.size());
    for (std::size_t k = 0; k < dx.size(); ++k) {
      const auto [c, g] = place_of(p.groups, k);
      const double gamma = p.of.gamma[c], r = cache.rstd[g], xmu = p.of.x[k] - cache.mean[g];
      dx[k] = gamma == 0 ? -r * level[g] - xmu * r * r * along[g]
                         : gamma * r * (p.of.dy[k] - level[g] / gamma - xmu * r * along[g] / gamma);
    }
    EXPECT_LE(relative_l2(dx, reference::group_norm_backward<double>(cache, p.of.dy).dx), 1e-12);
  });
}

TEST(LibraryGroupGradient, BackwardMatchesNumericDifferentiationOfForward) {
  for_each_problem([](GroupProblem<double>& p) {
    const auto loss = [&p](std::span<const double>) { return loss_of(p.of.dy, run_forward(p).y); };
    const auto analytic = run_backward(p, run_forward(p));
    EXPECT_LE(gradcheck(loss, p.of.x, analytic.dx).l2_error, 1e-9) << "dx";
    EXPECT_LE(gradcheck(loss, p.of.gamma, analytic.dgamma).l2_error, 1e-9) << "dgamma";
    EXPECT_LE(gradcheck(loss, p.of.beta, analytic.dbeta).l2_error, 1e-9) << "dbeta";
  });
}

/// sum(v dx) + sum(u dgamma) + sum(w dbeta): the second loss.
template <class Gradients>
double second_loss(const GroupCotangents<double>& in, const Gradients& g) {
  return loss_of(in.grad_dx, g.dx) + loss_of(in.grad_dgamma, g.dgamma) + loss_of(in.grad_dbeta, g.dbeta);
}

TEST(GroupEquations, B77SecondLossIsMadeOfGroupMeansOfProducts) {
  for_each_problem([](GroupProblem<double>& p) {
    const auto in = make_cotangents<double>(p.groups);
    const auto cache = reference_forward(p).cache;
    const auto mean = [&](const auto& term) {
      return group_means(p.groups, [&](std::size_t k) { return term(k, place_of(p.groups, k).channel); });
    };
    const auto& v = in.grad_dx;
    const auto& x_hat = cache.x_hat;
    const auto g = [&](std::size_t k, std::size_t c) { return p.of.gamma[c] * p.of.dy[k]; };
    const auto vg = mean([&](auto k, auto c) { return v[k] * g(k, c); }), mean_g = mean(g);
    const auto mean_v = mean([&](auto k, auto) { return v[k]; });
    const auto along_v = mean([&](auto k, auto) { return v[k] * x_hat[k]; });
    const auto along_g = mean([&](auto k, auto c) { return g(k, c) * x_hat[k]; });
    const auto parameters =
        mean([&](auto k, auto c) { return p.of.dy[k] * (in.grad_dgamma[c] * x_hat[k] + in.grad_dbeta[c]); });
    double sum = 0, terms = 0;
    for (std::size_t k = 0; k < vg.size(); ++k) {
      const double covariance = vg[k] - mean_v[k] * mean_g[k];
      const double of_dx = cache.rstd[k] * (covariance - along_v[k] * along_g[k]);
      sum += static_cast<double>(p.groups.count()) * (of_dx + parameters[k]);
      terms += static_cast<double>(p.groups.count()) * (std::abs(of_dx) + std::abs(parameters[k]));
    }
    EXPECT_NEAR(sum, second_loss(in, reference::group_norm_backward<double>(cache, p.of.dy)), 1e-12 * terms);
  });
}

TEST(GroupEquations, B78RstdAndMeansOfTheNormalizedByInputMatchNumericDifferentiation) {
  for_each_problem([](GroupProblem<double>& p) {
    const std::vector<double>& a = p.of.dy;
    const auto along = [&](const auto& cache) {
      return group_means(p.groups, [&](std::size_t k) { return a[k] * cache.x_hat[k]; });
    };
    // Both are numbers per group; weights of each group's own tell a group from its neighbour.
    Random random(3);
    const auto weight = normal_values<double>(p.groups.size(), random);
    const auto cache = reference_forward(p).cache;
    const auto level = group_means(p.groups, [&](std::size_t k) { return a[k]; }), mean = along(cache);
    std::vector<double> of_rstd(a.size()), of_mean(a.size());
    for (std::size_t k = 0; k < a.size(); ++k) {
      const std::size_t g = place_of(p.groups, k).group;
      const double r = cache.rstd[g], share = weight[g] / static_cast<double>(p.groups.count());
      of_rstd[k] = -share * r * r * cache.x_hat[k];
      of_mean[k] = share * r * (a[k] - level[g] - cache.x_hat[k] * mean[g]);
    }
    const auto rstd = [&](std::span<const double>) { return loss_of(weight, reference_forward(p).cache.rstd); };
    const auto means = [&](std::span<const double>) { return loss_of(weight, along(reference_forward(p).cache)); };
    EXPECT_LE(gradcheck(rstd, p.of.x, of_rstd, {.step = 0.03125}).l2_error, 1e-9) << "rstd";
    EXPECT_LE(gradcheck(means, p.of.x, of_mean, {.step = 0.03125}).l2_error, 1e-9) << "mean of a x_hat";
  });
}

void expect_double_gradients(GroupProblem<double>& p, const ScalarFunction& loss, const std::vector<double>& grad_x,
                             const std::vector<double>& grad_dy, const std::vector<double>& grad_gamma) {
  EXPECT_LE(gradcheck(loss, p.of.x, grad_x, {.step = 0.03125}).l2_error, 1e-9) << "grad_x";
  EXPECT_LE(gradcheck(loss, p.of.dy, grad_dy, {.step = 0.03125}).l2_error, 1e-9) << "grad_dy";
  EXPECT_LE(gradcheck(loss, p.of.gamma, grad_gamma, {.step = 0.03125}).l2_error, 1e-9) << "grad_gamma";
}

TEST(GroupEquations, B79DoubleBackwardMatchesNumericDifferentiationOfBackward) {
  for_each_problem([](GroupProblem<double>& p) {
    const auto in = make_cotangents<double>(p.groups);
    const auto loss = [&](std::span<const double>) {
      return second_loss(in, reference::group_norm_backward<double>(reference_forward(p).cache, p.of.dy));
    };
    const auto analytic = reference::group_norm_double_backward<double>(reference_forward(p).cache, p.of.dy, in.grad_dx,
                                                                        in.grad_dgamma, in.grad_dbeta);
    expect_double_gradients(p, loss, analytic.grad_x, analytic.grad_dy, analytic.grad_gamma);
  });
}

TEST(LibraryGroupGradient, DoubleBackwardMatchesNumericDifferentiationOfBackward) {
  for_each_problem([](GroupProblem<double>& p) {
    auto in = make_cotangents<double>(p.groups);
    for (const bool has_v : {true, false}) {
      if (!has_v) in.grad_dx.clear();
      const auto loss = [&](std::span<const double>) {
        BackwardResult<double> gradients = run_backward(p, run_forward(p));
        if (!has_v) gradients.dx.clear();
        return second_loss(in, gradients);
      };
      const auto analytic = run_double_backward(p, run_forward(p), in);
      // Of dgamma and dbeta alone, gamma is no part.
      if (!has_v) {
        EXPECT_EQ(analytic.grad_gamma, std::vector<double>(p.of.gamma.size()));
      }
      expect_double_gradients(p, loss, analytic.grad_x, analytic.grad_dy, analytic.grad_gamma);
    }
  });
}

}  // namespace
}  // namespace unitvar::test
