// B80 to B85, B86, B87: layer and RMS normalization and their gradients, also behind a residual, the reference's and
// the library's own, against numeric differentiation.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "support/measure.hpp"
#include "support/rows_add.hpp"
#include "unitvar/gradcheck.hpp"

namespace unitvar::test {
namespace {

const RowExtent extents[] = {{1, 3}, {3, 5}, {2, 17}, {5, 40}};

using Problem64 = RowProblem<double>;

reference::RowForward<double> reference_forward(const Problem64& p) {
  const auto f = p.norm == RowNorm::layer ? reference::layer_norm_forward<double> : reference::rms_norm_forward<double>;
  return f(p.extent, p.x, p.gamma, p.beta, p.eps);
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  long double sum = 0;
  for (std::size_t k = 0; k < a.size(); ++k) sum += static_cast<long double>(a[k]) * static_cast<long double>(b[k]);
  return static_cast<double>(sum);
}

template <class Body>
void for_each_problem(const Body& body) {
  for (const RowNorm norm : both_row_norms) {
    for (const RowExtent& extent : extents) {
      for (const double mean : {0.0, 3.0}) {
        SCOPED_TRACE(describe(norm, extent) + ", mean " + std::to_string(mean));
        auto p = make_row_problem<double>(norm, extent, mean);
        p.eps = 1e-2;
        body(p);
      }
    }
  }
}

TEST(RowNormEquations, B80B83ForwardFollowsTheFormula) {
  for_each_problem([](const Problem64& p) {
    const auto f = reference_forward(p);
    const auto D = to_size(p.extent.length);
    for (std::size_t r = 0; r < to_size(p.extent.rows); ++r) {
      double mean = 0, square = 0;
      for (std::size_t i = 0; i < D; ++i) mean += p.x[r * D + i] / static_cast<double>(D);
      if (p.norm == RowNorm::rms) mean = 0;
      for (std::size_t i = 0; i < D; ++i) square += std::pow(p.x[r * D + i] - mean, 2) / static_cast<double>(D);
      for (std::size_t i = 0; i < D; ++i) {
        const double x_hat = (p.x[r * D + i] - mean) / std::sqrt(square + p.eps);
        EXPECT_NEAR(f.y[r * D + i], p.gamma[i] * x_hat + p.beta[i], 1e-13);
      }
    }
  });
}

TEST(RowNormEquations, B81B84BackwardMatchesNumericDifferentiationOfForward) {
  for_each_problem([](Problem64 p) {
    const auto analytic = reference::row_norm_backward<double>(reference_forward(p).cache, p.dy);
    const ScalarFunction loss = [&p](std::span<const double>) { return dot(p.dy, reference_forward(p).y); };
    EXPECT_LE(gradcheck(loss, p.x, analytic.dx).l2_error, 1e-9) << "dx";
    EXPECT_LE(gradcheck(loss, p.gamma, analytic.dgamma).l2_error, 1e-9) << "dgamma";
    EXPECT_LE(gradcheck(loss, p.beta, analytic.dbeta).l2_error, 1e-9) << "dbeta";
  });
}

reference::RowAddForward<double> reference_forward(const RowAddProblem<double>& p) {
  const auto f = p.norm.norm == RowNorm::layer ? reference::layer_norm_add_forward<double>
                                               : reference::rms_norm_add_forward<double>;
  return f(p.norm.extent, p.x, p.residual, p.norm.gamma, p.norm.beta, p.norm.eps);
}

template <class Body>
void for_each_add_problem(const Body& body) {
  for_each_problem([&](const Problem64& norm) {
    auto p = make_row_add_problem<double>(norm.norm, norm.extent, 1);
    p.norm.eps = norm.eps;
    body(p);
  });
}

TEST(RowNormEquations, B86ForwardIsTheSumAndItsNorm) {
  for_each_add_problem([](const RowAddProblem<double>& p) {
    const auto f = reference_forward(p);
    for (std::size_t k = 0; k < p.x.size(); ++k) EXPECT_EQ(f.h[k], p.x[k] + p.residual[k]);
    EXPECT_EQ(f.norm.y, reference_forward(p.norm).y);
  });
}

TEST(RowNormEquations, B87BackwardMatchesNumericDifferentiationByXAndByTheResidual) {
  for_each_add_problem([](RowAddProblem<double> p) {
    const auto analytic = reference::row_norm_add_backward<double>(reference_forward(p).norm.cache, p.norm.dy, p.dh);
    const ScalarFunction loss = [&p](std::span<const double>) {
      const auto f = reference_forward(p);
      return dot(p.norm.dy, f.norm.y) + dot(p.dh, f.h);
    };
    EXPECT_LE(gradcheck(loss, p.x, analytic.dx).l2_error, 1e-9) << "dx";
    EXPECT_LE(gradcheck(loss, p.residual, analytic.dx).l2_error, 1e-9) << "dresidual";
    EXPECT_LE(gradcheck(loss, p.norm.gamma, analytic.dgamma).l2_error, 1e-9) << "dgamma";
    EXPECT_LE(gradcheck(loss, p.norm.beta, analytic.dbeta).l2_error, 1e-9) << "dbeta";
  });
}

TEST(RowNormEquations, B87LibraryBackwardMatchesNumericDifferentiationOfItsForward) {
  for (const bool one_plus_gamma : {false, true}) {
    for_each_add_problem([&](RowAddProblem<double> p) {
      p.one_plus_gamma = one_plus_gamma;
      const auto analytic = run_add_backward(p, run_add_forward(p).norm);
      const ScalarFunction loss = [&p](std::span<const double>) {
        const auto f = run_add_forward(p);
        return dot(p.norm.dy, f.norm.y) + dot(p.dh, f.h);
      };
      EXPECT_LE(gradcheck(loss, p.x, analytic.dx).l2_error, 1e-9) << "dx";
      EXPECT_LE(gradcheck(loss, p.residual, analytic.dx).l2_error, 1e-9) << "dresidual";
      EXPECT_LE(gradcheck(loss, p.norm.gamma, analytic.dgamma).l2_error, 1e-9) << "dgamma";
      EXPECT_LE(gradcheck(loss, p.norm.beta, analytic.dbeta).l2_error, 1e-9) << "dbeta";
    });
  }
}

TEST(RowNormEquations, B82B85DoubleBackwardMatchesNumericDifferentiationOfBackward) {
  for_each_problem([](Problem64 p) {
    const auto c = make_cotangents<double>(p.extent);
    const auto analytic =
        reference::row_norm_double_backward<double>(reference_forward(p).cache, p.dy, c.dx, c.dgamma, c.dbeta);
    const ScalarFunction loss = [&](std::span<const double>) {
      const auto b = reference::row_norm_backward<double>(reference_forward(p).cache, p.dy);
      return dot(c.dx, b.dx) + dot(c.dgamma, b.dgamma) + dot(c.dbeta, b.dbeta);
    };
    EXPECT_LE(gradcheck(loss, p.x, analytic.x).l2_error, 1e-9) << "x";
    EXPECT_LE(gradcheck(loss, p.dy, analytic.dy).l2_error, 1e-9) << "dy";
    EXPECT_LE(gradcheck(loss, p.gamma, analytic.gamma).l2_error, 1e-9) << "gamma";
  });
}

TEST(RowNormEquations, B82B85AbsentCotangentsAreZero) {
  for_each_problem([](const Problem64& p) {
    const auto c = make_cotangents<double>(p.extent);
    const auto cache = reference_forward(p).cache;
    const std::vector<double> none(p.x.size()), no_column(p.gamma.size());
    const auto absent = reference::row_norm_double_backward<double>(cache, p.dy, c.dx, {}, {});
    const auto zero = reference::row_norm_double_backward<double>(cache, p.dy, c.dx, no_column, no_column);
    EXPECT_EQ(absent.x, zero.x);
    EXPECT_EQ(absent.dy, zero.dy);
    EXPECT_EQ(reference::row_norm_double_backward<double>(cache, p.dy, {}, c.dgamma, c.dbeta).x,
              reference::row_norm_double_backward<double>(cache, p.dy, none, c.dgamma, c.dbeta).x);
  });
}

TEST(RowNormEquations, LibraryBackwardMatchesNumericDifferentiationOfItsForward) {
  for_each_problem([](Problem64 p) {
    const auto analytic = run_backward(p, run_forward(p));
    const ScalarFunction loss = [&p](std::span<const double>) { return dot(p.dy, run_forward(p).y); };
    EXPECT_LE(gradcheck(loss, p.x, analytic.dx).l2_error, 1e-9) << "dx";
    EXPECT_LE(gradcheck(loss, p.gamma, analytic.dgamma).l2_error, 1e-9) << "dgamma";
    EXPECT_LE(gradcheck(loss, p.beta, analytic.dbeta).l2_error, 1e-9) << "dbeta";
  });
}

/// In the arithmetic R on T's own inputs.
template <class R, class T>
void expect_double_backward_matches_reference(const RowProblem<T>& p, double tolerance) {
  SCOPED_TRACE(describe(p.norm, p.extent));
  const auto c = make_cotangents<T>(p.extent);
  const auto f = run_forward(p);
  const auto want = reference::row_norm_double_backward<R>(expected<T, R>(p).forward.cache, as<R>(p.dy), as<R>(c.dx),
                                                           as<R>(c.dgamma), as<R>(c.dbeta));
  const auto seen = run_double_backward(p, f, c);
  EXPECT_LE(relative_l2(seen.x, want.x), tolerance) << "x";
  EXPECT_LE(relative_l2(seen.dy, want.dy), tolerance) << "dy";
  EXPECT_LE(relative_l2(seen.gamma, want.gamma), std::min(tolerance, 3e-7)) << "gamma";
}

TEST(RowNormEquations, B82B85LibraryDoubleBackwardMatchesTheReference) {
  for (const RowNorm norm : both_row_norms) {
    for (const RowExtent& extent : {RowExtent{1, 5}, {7, 16}, {130, 33}, {3, 1000}}) {
      expect_double_backward_matches_reference<long double>(make_row_problem<double>(norm, extent, 2), 1e-13);
      expect_double_backward_matches_reference<double>(make_row_problem<float>(norm, extent, 2), 3e-7);
      expect_double_backward_matches_reference<double>(make_row_problem<bf16>(norm, extent, 2), 3e-3);
      expect_double_backward_matches_reference<double>(make_row_problem<f16>(norm, extent, 2), 4e-4);
    }
  }
}

TEST(RowNormEquations, B82B85LibraryDoubleBackwardHasTheSameBitsForEveryThreadCount) {
  for (const RowNorm norm : both_row_norms) {
    const auto p = make_row_problem<float>(norm, {1001, 130}, 2);
    const auto f = run_forward(p);
    const auto c = make_cotangents<float>(p.extent);
    const auto one = run_double_backward(p, f, c, {.cpu = {.threads = 1}});
    for (const int threads : {2, 7}) {
      const auto many = run_double_backward(p, f, c, {.cpu = {.threads = threads}});
      EXPECT_TRUE(same_bits(many.x, one.x) && same_bits(many.dy, one.dy) && same_bits(many.gamma, one.gamma));
    }
  }
}

TEST(RowNormEquations, B82B85LibraryTakesAbsentCotangentsAsZero) {
  for (const RowNorm norm : both_row_norms) {
    const auto p = make_row_problem<double>(norm, {5, 20}, 1);
    const auto f = run_forward(p);
    const Cotangents<double> c{make_cotangents<double>(p.extent).dx, {}, {}};
    const Cotangents<double> zero{c.dx, std::vector<double>(20), std::vector<double>(20)};
    const auto absent = run_double_backward(p, f, c), same = run_double_backward(p, f, zero);
    EXPECT_TRUE(same_bits(absent.x, same.x) && same_bits(absent.gamma, same.gamma));
    EXPECT_EQ(absent.dy, same.dy);
  }
}

}  // namespace
}  // namespace unitvar::test
