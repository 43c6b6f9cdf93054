#include <gtest/gtest.h>

#include <functional>

#include "gradient/cases.hpp"

/// (B12) to (B15), (B26) to (B33), (B42): every form of the backward pass against every other, and against numeric
/// differentiation. The staged graph is the measure of the analytic forms: it is derived step by step, none skipped.
namespace unitvar::test {
namespace {

using namespace reference;

template <class R>
using Form = std::function<Gradients<R>(const Case<R>&)>;

template <class R>
Gradients<R> by_staged_graph(const Case<R>& c) {
  const auto d = staged_backward<R>(staged_forward<R>(c.extent, c.x, c.gamma, c.beta, c.eps), c.dy);
  return {d.dx, d.dgamma, d.dbeta};
}

/// In double to 1e-12 of the terms of dx; in long double to 1e-10 of dx itself, however much of its terms cancels.
template <class R>
void expect_form_matches_staged_graph(const Form<R>& form) {
  const bool wide = sizeof(R) > sizeof(double);
  for (const Case<R>& c : all_cases<R>()) {
    SCOPED_TRACE(c.name);
    const R terms = wide ? R{0} : terms_of_dx(forward_of(c).cache, c.dy);
    expect_same_gradients<R>(form(c), by_staged_graph(c), terms, wide ? 1e-10 : 1e-12);
  }
}

#define EXPECT_FORM_MATCHES_STAGED_GRAPH(form)                                         \
  do {                                                                                 \
    expect_form_matches_staged_graph<double>([](const auto& c) { return form; });      \
    expect_form_matches_staged_graph<long double>([](const auto& c) { return form; }); \
  } while (false)

template <class R>
std::span<const R> view(const std::vector<R>& values) {
  return values;
}

TEST(BackwardEquations, B12JacobianTransposedTimesDyMatchesStagedGraph) {
  EXPECT_FORM_MATCHES_STAGED_GRAPH(backward_jacobian(forward_of(c).cache, view(c.dy)));
}

TEST(BackwardEquations, B26SumOverThePartialsMatchesStagedGraph) {
  EXPECT_FORM_MATCHES_STAGED_GRAPH(backward_partials(forward_of(c).cache, view(c.x), view(c.dy)));
}

TEST(BackwardEquations, B27OneLineMatchesStagedGraph) {
  EXPECT_FORM_MATCHES_STAGED_GRAPH(backward_one_line(forward_of(c).cache, view(c.dy)));
}

TEST(BackwardEquations, B28ClosedFormWithDxHatMatchesStagedGraph) {
  EXPECT_FORM_MATCHES_STAGED_GRAPH(backward_dx_hat_form(forward_of(c).cache, view(c.dy)));
}

TEST(BackwardEquations, B29ClosedFormInParameterGradientsMatchesStagedGraph) {
  EXPECT_FORM_MATCHES_STAGED_GRAPH(backward_sums_form(forward_of(c).cache, view(c.dy)));
}

template <class R>
Gradients<R> by_matrix_form(const Case<R>& c) {
  const auto cache = forward_of(c).cache;
  return backward_matrix_form<R>(c.extent, c.x, cache.mean, cache.var, c.gamma, c.eps, c.dy);
}

TEST(BackwardEquations, B30MatrixFormWithoutXHatMatchesStagedGraph) {
  EXPECT_FORM_MATCHES_STAGED_GRAPH(by_matrix_form(c));
}

template <class R>
Gradients<R> by_phases_form(const Case<R>& c) {
  const auto cache = forward_of(c).cache;
  return backward_phases_form<R>(c.extent, c.x, cache.mean, cache.rstd, c.gamma, c.dy);
}

TEST(BackwardEquations, B31SumsAboutTheMeanMatchStagedGraph) { EXPECT_FORM_MATCHES_STAGED_GRAPH(by_phases_form(c)); }

TEST(BackwardEquations, B32StagedForwardMatchesForward) {
  for (const auto& c : all_cases<double>()) {
    SCOPED_TRACE(c.name);
    const auto stages = staged_forward<double>(c.extent, c.x, c.gamma, c.beta, c.eps);
    const auto f = forward_of(c);
    EXPECT_LE(relative_l2(stages.y, f.y), 1e-12);
    EXPECT_LE(relative_l2(stages.x_hat, f.cache.x_hat), 1e-12);
    EXPECT_LE(relative_l2(stages.var, f.cache.var), 1e-12);
    EXPECT_LE(relative_l2(stages.rstd, f.cache.rstd), 1e-12);
    EXPECT_LE(relative_l2(stages.mean, f.cache.mean, 1.0), 1e-12);
  }
}

TEST(BackwardEquations, B27OneLineMatchesNumericDifferentiation) {
  for (auto& c : all_cases<double>()) {
    const auto wide = as_case<long double>(c);
    const auto analytic = as<double>(backward_one_line<long double>(forward_of(wide).cache, wide.dy).dx);
    const auto report = gradcheck(change_of_y(c), c.x, c.dy, analytic);
    EXPECT_LE(report.l2_error, 1e-9) << c;
    EXPECT_LE(report.max_rel_error, 1e-7) << c << ", element " << report.worst;
  }
}

TEST(BackwardEquations, B33StagedGraphMatchesNumericDifferentiationOfTheForwardInDouble) {
  for (auto& c : all_cases<double>()) {
    // Two values leave eps / var of their terms (B41): too little for differences of a y in double.
    if (c.extent.count() == 2 && c.eps < 1e-3) continue;
    const auto report = gradcheck(y_of_x(c), c.x, c.dy, by_staged_graph(c).dx);
    EXPECT_LE(report.l2_error, 1e-9) << c;
  }
}

TEST(BackwardEquations, B14B15ParameterGradientsMatchNumericDifferentiation) {
  for (auto& c : all_cases<double>()) {
    const auto analytic = backward<double>(forward_of(c).cache, c.dy);
    const ScalarFunction loss = [&](std::span<const double>) { return loss_of(c.dy, forward_of(c).y); };
    EXPECT_LE(gradcheck(loss, c.gamma, analytic.dgamma).l2_error, 1e-9) << c;
    EXPECT_LE(gradcheck(loss, c.beta, analytic.dbeta).l2_error, 1e-9) << c;
  }
}

TEST(BackwardEquations, B13GradientOfTheNormalizedMatchesNumericDifferentiation) {
  const auto c = make_case<double>(Extent::nc(7, 1), 0, 1e-3);
  auto x_hat = forward_of(c).cache.x_hat;
  const auto stages = staged_backward<double>(staged_forward<double>(c.extent, c.x, c.gamma, c.beta, c.eps), c.dy);
  const ScalarFunction loss = [&](std::span<const double> at) {
    double sum = 0;
    for (std::size_t i = 0; i < at.size(); ++i) sum += c.dy[i] * (c.gamma[0] * at[i] + c.beta[0]);
    return sum;
  };
  EXPECT_LE(gradcheck(loss, x_hat, stages.dx_hat).max_rel_error, 1e-9);
}

/// L as a function of the step called `var`, and of the step called `mean`, all that follows it included.
struct FromTheMiddle {
  Case<double> c = make_case<double>(Extent::nc(7, 1), 2, 1e-2);
  StagedForward<double> s = staged_forward<double>(c.extent, c.x, c.gamma, c.beta, c.eps);
  StagedBackward<double> d = staged_backward<double>(s, c.dy);

  [[nodiscard]] double loss(double mean, double var) const {
    double sum = 0;
    for (std::size_t i = 0; i < c.x.size(); ++i) {
      sum += c.dy[i] * (c.gamma[0] * (c.x[i] - mean) / std::sqrt(var + c.eps) + c.beta[0]);
    }
    return sum;
  }
};

TEST(BackwardEquations, B33NamedStepsAreTheGradientsOfTheirNamesakes) {
  FromTheMiddle m;
  const auto by_var = numeric_gradient([&](std::span<const double> v) { return m.loss(m.s.mean[0], v[0]); }, m.s.var);
  EXPECT_NEAR(m.d.dvar[0], by_var.value[0], 1e-10);
  const auto through_var = [&](std::span<const double> mean) {
    double m2 = 0;
    for (const double x : m.c.x) m2 += (x - mean[0]) * (x - mean[0]);
    return m.loss(mean[0], m2 / 7);
  };
  EXPECT_NEAR(m.d.dmean[0], numeric_gradient(through_var, m.s.mean).value[0], 1e-10);
  const auto by_rstd = [&](std::span<const double> rstd) {
    return m.loss(m.s.mean[0], 1 / (rstd[0] * rstd[0]) - m.c.eps);
  };
  EXPECT_NEAR(m.d.drstd[0], numeric_gradient(by_rstd, m.s.rstd).value[0], 1e-10);
  const auto by_root = [&](std::span<const double> root) { return m.loss(m.s.mean[0], root[0] * root[0] - m.c.eps); };
  EXPECT_NEAR(m.d.dsqrtvar[0], numeric_gradient(by_root, m.s.sqrtvar).value[0], 1e-10);
}

TEST(BackwardEquations, B42FrozenStatisticsMatchNumericDifferentiationOfInference) {
  for (auto& c : all_cases<double>()) {
    const std::vector<double> mean(to_size(c.extent.channels), 0.7), var(to_size(c.extent.channels), 2.5);
    const std::vector<double> rstd(var.size(), 1 / std::sqrt(2.5 + c.eps));
    const auto analytic = backward_frozen<double>(c.extent, c.x, mean, rstd, c.gamma, c.dy);
    const ScalarFunction loss = [&](std::span<const double>) {
      return loss_of(c.dy, inference<double>(c.extent, c.x, mean, var, c.gamma, c.beta, c.eps));
    };
    EXPECT_LE(gradcheck(loss, c.x, analytic.dx).l2_error, 1e-9) << c;
    EXPECT_LE(gradcheck(loss, c.gamma, analytic.dgamma).l2_error, 1e-9) << c;
    EXPECT_LE(gradcheck(loss, c.beta, analytic.dbeta).l2_error, 1e-9) << c;
  }
}

}  // namespace
}  // namespace unitvar::test
