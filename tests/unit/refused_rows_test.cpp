#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <string>
#include <vector>

#include "support/arena.hpp"
#include "support/expect_error.hpp"
#include "support/guarded.hpp"
#include "support/rows.hpp"

namespace unitvar::test {
namespace {

/// Legal calls on 3 rows of 20; each test spoils one argument, and nothing may have been written.
class RowNormsRefuse : public ::testing::Test {
 protected:
  LayerNormForward<float> forward() {
    return {.extent = p.extent,
            .x = p.x,
            .gamma = p.gamma,
            .beta = p.beta,
            .y = y.span(),
            .mean = mean.span(),
            .rstd = rstd.span()};
  }
  LayerNormBackward<float> backward() {
    return {.extent = p.extent,
            .x = p.x,
            .dy = p.dy,
            .mean = ones,
            .rstd = ones,
            .gamma = p.gamma,
            .dx = y.span(),
            .dgamma = dgamma.span(),
            .dbeta = dbeta.span()};
  }

  template <class Call>
  void refused(ErrorCode code, std::initializer_list<std::string> parts, const Call& call) {
    expect_error(code, parts, call);
    EXPECT_TRUE(y.untouched() && mean.untouched() && rstd.untouched() && dgamma.untouched() && dbeta.untouched());
    EXPECT_TRUE(arena.untouched());
  }
  void refused(ErrorCode code, std::initializer_list<std::string> parts, const LayerNormForward<float>& spoilt,
               const Options& options = {}) {
    refused(code, {"layer_norm_forward"}, [&] { layer_norm_forward<float>(spoilt, options); });
    refused(code, parts, [&] { layer_norm_forward<float>(spoilt, options); });
  }
  void refused(ErrorCode code, std::initializer_list<std::string> parts, const LayerNormBackward<float>& spoilt,
               const Options& options = {}) {
    refused(code, {"layer_norm_backward"}, [&] { layer_norm_backward<float>(spoilt, options); });
    refused(code, parts, [&] { layer_norm_backward<float>(spoilt, options); });
  }

  RowProblem<float> p = make_row_problem<float>(RowNorm::layer, {3, 20});
  std::vector<double> ones = {1, 1, 1};
  Guarded<float> y{60}, dgamma{20}, dbeta{20};
  Guarded<double> mean{3}, rstd{3};
  Arena arena;
};

TEST_F(RowNormsRefuse, NothingAboutTheLegalCalls) {
  EXPECT_NO_THROW(layer_norm_forward<float>(forward()));
  EXPECT_NO_THROW(layer_norm_backward<float>(backward()));
  EXPECT_FALSE(y.untouched() || mean.untouched() || rstd.untouched() || dgamma.untouched() || dbeta.untouched());
}

TEST_F(RowNormsRefuse, NullDataAndWrongLengthsForward) {
  auto spoilt = forward();
  spoilt.x = nowhere<const float>(60);
  refused(ErrorCode::null_data, {"x", "60"}, spoilt);
  spoilt = forward(), spoilt.x = spoilt.x.first(59);
  refused(ErrorCode::wrong_length, {"x", "59", "rows*D = 60"}, spoilt);
  spoilt = forward(), spoilt.gamma = spoilt.gamma.first(3);
  refused(ErrorCode::wrong_length, {"gamma", "3", "D = 20"}, spoilt);
  spoilt = forward(), spoilt.beta = spoilt.beta.first(19);
  refused(ErrorCode::wrong_length, {"beta", "19", "20"}, spoilt);
  spoilt = forward(), spoilt.y = {};
  refused(ErrorCode::wrong_length, {"y", "0", "60"}, spoilt);
  spoilt = forward(), spoilt.mean = spoilt.mean.first(2);
  refused(ErrorCode::wrong_length, {"mean", "2", "rows = 3"}, spoilt);
  spoilt = forward(), spoilt.rstd = spoilt.rstd.first(1);
  refused(ErrorCode::wrong_length, {"rstd", "1", "3"}, spoilt);
}

TEST_F(RowNormsRefuse, NullDataAndWrongLengthsBackward) {
  auto spoilt = backward();
  spoilt.dy = nowhere<const float>(60);
  refused(ErrorCode::null_data, {"dy", "60"}, spoilt);
  spoilt = backward(), spoilt.mean = {};
  refused(ErrorCode::wrong_length, {"mean", "0", "3"}, spoilt);
  spoilt = backward(), spoilt.rstd = spoilt.rstd.first(2);
  refused(ErrorCode::wrong_length, {"rstd", "2", "3"}, spoilt);
  spoilt = backward(), spoilt.dgamma = spoilt.dgamma.first(2);
  refused(ErrorCode::wrong_length, {"dgamma", "2", "20"}, spoilt);
  spoilt = backward(), spoilt.dx = spoilt.dx.first(20);
  refused(ErrorCode::wrong_length, {"dx", "20", "60"}, spoilt);
}

TEST_F(RowNormsRefuse, ExtentsThatAreNone) {
  auto spoilt = forward();
  spoilt.extent = {3, 0};
  refused(ErrorCode::bad_extent, {"length", "0"}, spoilt);
  spoilt.extent = {-1, 20};
  refused(ErrorCode::bad_extent, {"rows", "-1"}, spoilt);
  spoilt.extent = {std::int64_t{1} << 40, std::int64_t{1} << 40};
  refused(ErrorCode::overflow, {"64 bits"}, spoilt);
}

TEST_F(RowNormsRefuse, OverlapsButForTheOnesAllowed) {
  auto spoilt = forward();
  spoilt.x = arena.view<float>(4, 60), spoilt.y = arena.view<float>(0, 60);
  refused(ErrorCode::overlap, {"y", "x"}, spoilt);
  spoilt = forward(), spoilt.y = arena.view<float>(0, 60), spoilt.gamma = arena.view<float>(80, 20);
  refused(ErrorCode::overlap, {"y", "gamma"}, spoilt);
  auto gradient = backward();
  gradient.x = gradient.dx = arena.view<float>(0, 60);
  refused(ErrorCode::overlap, {"dx", "x"}, gradient);
  gradient = backward(), gradient.dy = arena.view<float>(4, 60), gradient.dx = arena.view<float>(0, 60);
  refused(ErrorCode::overlap, {"dx", "dy"}, gradient);
}

TEST_F(RowNormsRefuse, EpsilonsThatLeaveNoVariance) {
  auto spoilt = forward();
  spoilt.eps = std::numeric_limits<double>::quiet_NaN();
  refused(ErrorCode::bad_epsilon, {"eps", "nan"}, spoilt);
  std::fill(p.x.begin() + 20, p.x.begin() + 40, 3.0F);
  spoilt = forward(), spoilt.eps = 0;
  refused(ErrorCode::bad_epsilon, {"var + eps is 0 + 0", "row 1"}, spoilt);
  spoilt.eps = -0.01;
  refused(ErrorCode::bad_epsilon, {"row 1", "-0.01"}, spoilt);
  refused(ErrorCode::bad_epsilon, {"rms_norm_forward", "mean(x^2) + eps", "-9.5 in row 0"}, [&] {
    rms_norm_forward<float>({.extent = p.extent, .x = p.x, .y = y.span(), .rstd = rstd.span(), .eps = -9.5});
  });
}

TEST_F(RowNormsRefuse, OptionsOutsideTheirRange) {
  refused(ErrorCode::bad_argument, {"threads", "-1"}, forward(), {.cpu = {.threads = -1}});
  refused(ErrorCode::bad_argument, {"threads", "-1"}, backward(), {.cpu = {.threads = -1}});
  const Isa absent = supported_isas().front() == Isa::neon ? Isa::avx2 : Isa::neon;
  refused(ErrorCode::unsupported_isa, {std::string(isa_name(absent))}, forward(), {.cpu = {.isa = absent}});
}

TEST_F(RowNormsRefuse, SpoiltDoubleBackwards) {
  LayerNormDoubleBackward<float> args{.extent = p.extent, .x = p.x, .dy = p.dy, .mean = ones, .rstd = ones};
  args.grad_dx = p.x, args.grad_x = y.span();
  const auto call = [&] { layer_norm_double_backward<float>(args); };
  args.grad_dx = args.grad_dx.first(59);
  refused(ErrorCode::wrong_length, {"layer_norm_double_backward", "grad_dx", "59", "60"}, call);
  args.grad_dx = {}, args.grad_dbeta = p.beta, args.grad_dbeta = args.grad_dbeta.first(19);
  refused(ErrorCode::wrong_length, {"grad_dbeta", "19", "D = 20"}, call);
  args.grad_dbeta = {}, args.mean = {};
  refused(ErrorCode::wrong_length, {"mean", "0", "3"}, call);
  args.mean = ones, args.grad_x = args.grad_dy = arena.view<float>(0, 60);
  refused(ErrorCode::overlap, {"grad_dy", "grad_x"}, call);
}

TEST(RowNorms, NegativeEpsilonIsLegalWhileVarianceOutweighsIt) {
  auto p = make_row_problem<float>(RowNorm::layer, {3, 100});
  p.eps = -0.25;
  expect_results(run_forward(p), run_backward(p, run_forward(p)), expected(p));
}

TEST(RowNorms, AnEmptyBatchGivesZeroParameterGradients) {
  for (const RowNorm norm : both_row_norms) {
    const auto p = make_row_problem<float>(norm, {0, 20});
    const auto f = run_forward(p);
    EXPECT_TRUE(f.y.empty());
    std::vector<float> dgamma(20, 7), dbeta(20, 7);
    run_backward_into<float>(p, p.dy, f, {}, dgamma, dbeta);
    EXPECT_EQ(dgamma, std::vector<float>(20, 0));
    EXPECT_EQ(dbeta, std::vector<float>(20, 0));
  }
}

TEST(RowExtents, FromAxisMultipliesTheAxesBeforeAndFromIt) {
  const std::array<std::int64_t, 4> shape = {2, 3, 4, 5};
  EXPECT_EQ(RowExtent::from_axis(shape), (RowExtent{24, 5}));
  EXPECT_EQ(RowExtent::from_axis(shape, -2), (RowExtent{6, 20}));
  EXPECT_EQ(RowExtent::from_axis(shape, 1), (RowExtent{2, 60}));
  EXPECT_EQ(RowExtent::from_axis(shape, 0), (RowExtent{1, 120}));
  EXPECT_EQ(RowExtent::from_axis(std::array<std::int64_t, 2>{0, 5}), (RowExtent{0, 5}));
  EXPECT_EQ(RowExtent::from_axis(std::array<std::int64_t, 1>{5}), (RowExtent{1, 5}));
}

TEST(RowExtents, FromAxisRefusesAxesAndShapesThatAreNone) {
  const std::array<std::int64_t, 3> shape = {2, 3, 4}, hole = {2, 3, 0}, negative = {-2, 3, 4};
  expect_error(ErrorCode::bad_argument, {"axis is 3", "-3 to 2"}, [&] { (void)RowExtent::from_axis(shape, 3); });
  expect_error(ErrorCode::bad_argument, {"axis is -4"}, [&] { (void)RowExtent::from_axis(shape, -4); });
  expect_error(ErrorCode::bad_argument, {"rank 0"}, [&] { (void)RowExtent::from_axis({}, 0); });
  expect_error(ErrorCode::bad_extent, {"shape[2] is 0", ">= 1"}, [&] { (void)RowExtent::from_axis(hole); });
  expect_error(ErrorCode::bad_extent, {"shape[0] is 0", ">= 1"},
               [&] { (void)RowExtent::from_axis(std::array<std::int64_t, 1>{0}); });
  expect_error(ErrorCode::bad_extent, {"shape[0] is -2"}, [&] { (void)RowExtent::from_axis(negative); });
  const std::int64_t big = std::int64_t{1} << 32;
  expect_error(ErrorCode::overflow, {"64 bits"}, [&] {
    (void)RowExtent::from_axis(std::array<std::int64_t, 2>{big, big});
  });
}

}  // namespace
}  // namespace unitvar::test
