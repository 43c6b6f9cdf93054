#include <gtest/gtest.h>

#include "gradient/cases.hpp"
#include "support/groups.hpp"

/// (B86) to (B89): group and instance norm, the reference and the library, against numeric differentiation.
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

TEST(GroupEquations, B86InstanceNormIsTheBatchNormOfEachSample) {
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

TEST(GroupEquations, B87GroupStatisticsAreTheMergeOfItsChannels) {
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

TEST(GroupEquations, B88BackwardMatchesNumericDifferentiationOfForward) {
  for_each_problem([](GroupProblem<double>& p) {
    const auto loss = [&p](std::span<const double>) { return loss_of(p.of.dy, reference_forward(p).y); };
    const auto analytic = reference::group_norm_backward<double>(reference_forward(p).cache, p.of.dy);
    EXPECT_LE(gradcheck(loss, p.of.x, analytic.dx).l2_error, 1e-9) << "dx";
    EXPECT_LE(gradcheck(loss, p.of.gamma, analytic.dgamma).l2_error, 1e-9) << "dgamma";
    EXPECT_LE(gradcheck(loss, p.of.beta, analytic.dbeta).l2_error, 1e-9) << "dbeta";
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

void expect_double_gradients(GroupProblem<double>& p, const ScalarFunction& loss, const std::vector<double>& grad_x,
                             const std::vector<double>& grad_dy, const std::vector<double>& grad_gamma) {
  EXPECT_LE(gradcheck(loss, p.of.x, grad_x, {.step = 0.03125}).l2_error, 1e-9) << "grad_x";
  EXPECT_LE(gradcheck(loss, p.of.dy, grad_dy, {.step = 0.03125}).l2_error, 1e-9) << "grad_dy";
  EXPECT_LE(gradcheck(loss, p.of.gamma, grad_gamma, {.step = 0.03125}).l2_error, 1e-9) << "grad_gamma";
}

TEST(GroupEquations, B89DoubleBackwardMatchesNumericDifferentiationOfBackward) {
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
      if (!has_v) EXPECT_EQ(analytic.grad_gamma, std::vector<double>(p.of.gamma.size()));
      expect_double_gradients(p, loss, analytic.grad_x, analytic.grad_dy, analytic.grad_gamma);
    }
  });
}

}  // namespace
}  // namespace unitvar::test
