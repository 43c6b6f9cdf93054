#include "unitvar/batch_norm_layer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "support/expect_error.hpp"
#include "support/measure.hpp"
#include "support/run.hpp"
#include "unitvar/frozen.hpp"

namespace unitvar::test {
namespace {

template <class V>
auto copy_of(std::span<V> values) {
  return std::vector<std::remove_const_t<V>>(values.begin(), values.end());
}

/// Everything a layer holds that a caller can see.
template <class T>
struct State {
  explicit State(BatchNorm<T>& layer)
      : gamma(copy_of(layer.gamma())),
        beta(copy_of(layer.beta())),
        dgamma(copy_of(layer.dgamma())),
        dbeta(copy_of(layer.dbeta())),
        running_mean(copy_of(layer.running_mean())),
        running_var(copy_of(layer.running_var())),
        saved_mean(copy_of(layer.saved_mean())),
        saved_var(copy_of(layer.saved_var())),
        saved_rstd(copy_of(layer.saved_rstd())),
        batches(layer.batches_tracked()) {}
  friend bool operator==(const State&, const State&) = default;

  std::vector<T> gamma, beta, dgamma, dbeta;
  std::vector<double> running_mean, running_var, saved_mean, saved_var, saved_rstd;
  std::int64_t batches;
};

template <class T>
class BatchNormLayer : public ::testing::Test {
 protected:
  void set_parameters(BatchNorm<T>& layer) {
    std::copy(p.gamma.begin(), p.gamma.end(), layer.gamma().begin());
    std::copy(p.beta.begin(), p.beta.end(), layer.beta().begin());
  }

  Extent extent{6, 4, 9};
  Problem<T> p = make_problem<T>(extent, 2);
  std::vector<T> y = std::vector<T>(p.x.size()), dx = std::vector<T>(p.x.size());
};

using Dtypes = ::testing::Types<float, double>;
TYPED_TEST_SUITE(BatchNormLayer, Dtypes);

TYPED_TEST(BatchNormLayer, StartsInTrainingModeAsTheIdentityOfStandardizedInput) {
  BatchNorm<TypeParam> layer(3);
  EXPECT_TRUE(layer.training());
  EXPECT_EQ(layer.channels(), 3);
  EXPECT_EQ(copy_of(layer.gamma()), (std::vector<TypeParam>{1, 1, 1}));
  EXPECT_EQ(copy_of(layer.beta()), (std::vector<TypeParam>{0, 0, 0}));
  EXPECT_EQ(copy_of(layer.running_mean()), (std::vector<double>{0, 0, 0}));
  EXPECT_EQ(copy_of(layer.running_var()), (std::vector<double>{1, 1, 1}));
  EXPECT_EQ(layer.batches_tracked(), 0);
  EXPECT_TRUE(layer.saved_mean().empty() && layer.saved_var().empty() && layer.saved_rstd().empty());
  EXPECT_EQ(layer.config().eps, 1e-5);
}

TYPED_TEST(BatchNormLayer, TrainingForwardAndBackwardAreTheFreeFunctions) {
  BatchNorm<TypeParam> layer(4);
  this->set_parameters(layer);
  layer.forward(this->extent, this->p.x, this->y);
  const auto forward = run_forward(this->p);
  EXPECT_TRUE(same_bits(this->y, forward.y));
  EXPECT_TRUE(same_bits(copy_of(layer.saved_mean()), forward.mean));
  EXPECT_TRUE(same_bits(copy_of(layer.saved_var()), forward.var));
  EXPECT_TRUE(same_bits(copy_of(layer.saved_rstd()), forward.rstd));
  layer.backward(this->extent, this->p.x, this->p.dy, this->dx);
  const auto backward = run_backward(this->p, forward.mean, forward.rstd);
  EXPECT_TRUE(same_bits(this->dx, backward.dx));
  EXPECT_TRUE(same_bits(copy_of(layer.dgamma()), backward.dgamma));
  EXPECT_TRUE(same_bits(copy_of(layer.dbeta()), backward.dbeta));
}

TYPED_TEST(BatchNormLayer, TrainingMovesRunningStatisticsByThePolicy) {
  const RunningPolicy policy{.momentum = 0.7, .sense = MomentumSense::weight_of_old, .variance = VarianceKind::biased};
  BatchNorm<TypeParam> layer(4, {.running = policy});
  std::vector<double> mean(4, 0.0), var(4, 1.0);
  const auto forward = run_forward(this->p);
  for (int step = 1; step <= 3; ++step) {
    layer.forward(this->extent, this->p.x, this->y);
    update_running_statistics({.mean = mean, .var = var}, 54, forward.mean, forward.var, policy);
    EXPECT_TRUE(same_bits(copy_of(layer.running_mean()), mean));
    EXPECT_TRUE(same_bits(copy_of(layer.running_var()), var));
    EXPECT_EQ(layer.batches_tracked(), step);
  }
}

TYPED_TEST(BatchNormLayer, EvalUsesRunningStatisticsAndChangesNothing) {
  BatchNorm<TypeParam> layer(4);
  this->set_parameters(layer);
  layer.forward(this->extent, this->p.x, this->y);
  layer.eval();
  EXPECT_FALSE(layer.training());
  const State<TypeParam> before(layer);
  layer.forward(this->extent, this->p.x, this->y);
  EXPECT_TRUE(State<TypeParam>(layer) == before);
  EXPECT_TRUE(same_bits(this->y, run_inference(this->p, before.running_mean, before.running_var)));
  std::vector<TypeParam> in_place = this->p.x;
  layer.forward(this->extent, in_place, in_place);
  EXPECT_TRUE(same_bits(in_place, this->y));
  layer.train();
  EXPECT_TRUE(layer.training());
}

TYPED_TEST(BatchNormLayer, EvalUsesRunningStatisticsLoadedFromElsewhere) {
  BatchNorm<TypeParam> layer(4, {.eps = 1e-3});
  const std::vector<double> mean = {1, 2, 3, 4}, var = {0.5, 1, 2, 4};
  std::copy(mean.begin(), mean.end(), layer.running_mean().begin());
  std::copy(var.begin(), var.end(), layer.running_var().begin());
  layer.batches_tracked() = 17;
  this->set_parameters(layer);
  this->p.eps = 1e-3;
  layer.eval();
  layer.forward(this->extent, this->p.x, this->y);
  EXPECT_TRUE(same_bits(this->y, run_inference(this->p, mean, var)));
  layer.train();
  layer.forward(this->extent, this->p.x, this->y);
  EXPECT_TRUE(same_bits(this->y, run_forward(this->p).y));
  EXPECT_EQ(layer.batches_tracked(), 18);
}

TYPED_TEST(BatchNormLayer, TheCumulativeAverageOfItsBatches) {
  BatchNorm<TypeParam> layer(4, {.running = {.average = RunningAverage::cumulative}});
  layer.forward(this->extent, this->p.x, this->y);
  const std::vector<double> first = copy_of(layer.saved_mean());
  EXPECT_EQ(copy_of(layer.running_mean()), first);
  layer.forward(this->extent, this->p.dy, this->y);
  for (std::size_t c = 0; c < 4; ++c)
    EXPECT_NEAR(layer.running_mean()[c], (first[c] + layer.saved_mean()[c]) / 2, 1e-14);
}

TYPED_TEST(BatchNormLayer, RunsWithTheOptionsOfItsConfiguration) {
  PrecisionCounts counts;
  BatchNorm<TypeParam> layer(4, {.options = {.cpu = {.counts = &counts}}});
  layer.forward(this->extent, this->p.x, this->y);
  EXPECT_TRUE(counts.sums > 0 && counts.maps > 0);
}

TYPED_TEST(BatchNormLayer, EvalAcceptsOneValuePerChannelWhereTrainingDoesNot) {
  BatchNorm<TypeParam> layer(4);
  const std::vector<TypeParam> x = {1, 2, 3, 4};
  std::vector<TypeParam> out(4);
  expect_error(ErrorCode::too_few_values, {"1"}, [&] { layer.forward({1, 4, 1}, x, out); });
  layer.eval();
  EXPECT_NO_THROW(layer.forward({1, 4, 1}, x, out));
}

TYPED_TEST(BatchNormLayer, WithoutAffineThereAreNoParameters) {
  BatchNorm<TypeParam> layer(4, {.affine = false});
  EXPECT_TRUE(layer.gamma().empty() && layer.beta().empty() && layer.dgamma().empty() && layer.dbeta().empty());
  this->p.gamma.clear(), this->p.beta.clear();
  layer.forward(this->extent, this->p.x, this->y);
  layer.backward(this->extent, this->p.x, this->p.dy, this->dx);
  EXPECT_TRUE(same_bits(this->y, run_forward(this->p).y));
  EXPECT_TRUE(same_bits(this->dx, run_backward(this->p).dx));
  EXPECT_TRUE(layer.dgamma().empty() && layer.dbeta().empty());
}

TYPED_TEST(BatchNormLayer, WithoutTrackingEvalUsesTheBatch) {
  BatchNorm<TypeParam> layer(4, {.track_running_statistics = false});
  this->set_parameters(layer);
  EXPECT_TRUE(layer.running_mean().empty() && layer.running_var().empty());
  layer.eval();
  layer.forward(this->extent, this->p.x, this->y);
  EXPECT_TRUE(same_bits(this->y, run_forward(this->p).y));
  layer.backward(this->extent, this->p.x, this->p.dy, this->dx);
  EXPECT_TRUE(same_bits(this->dx, run_backward(this->p).dx));
  EXPECT_EQ(layer.batches_tracked(), 0);
}

TYPED_TEST(BatchNormLayer, BackwardNeedsAForwardByBatchStatistics) {
  BatchNorm<TypeParam> layer(4);
  const State<TypeParam> before(layer);
  const auto backward = [&] { layer.backward(this->extent, this->p.x, this->p.dy, this->dx); };
  expect_error(ErrorCode::bad_state, {"backward", "forward"}, backward);
  layer.eval();
  layer.forward(this->extent, this->p.x, this->y);
  expect_error(ErrorCode::bad_state, {"backward", "forward"}, backward);
  EXPECT_TRUE(State<TypeParam>(layer) == before);
  EXPECT_EQ(this->dx, std::vector<TypeParam>(this->dx.size()));
}

TYPED_TEST(BatchNormLayer, BackwardNeedsTheForwardsExtent) {
  BatchNorm<TypeParam> layer(4);
  layer.forward(this->extent, this->p.x, this->y);
  const State<TypeParam> before(layer);
  expect_error(ErrorCode::bad_state, {"backward", "9", "6"}, [&] {
    layer.backward({9, 4, 6}, this->p.x, this->p.dy, this->dx);
  });
  EXPECT_TRUE(State<TypeParam>(layer) == before);
  EXPECT_NO_THROW(layer.backward(this->extent, this->p.x, this->p.dy, this->dx));
}

TYPED_TEST(BatchNormLayer, BackwardStillKnowsTheLastTrainingForwardAfterAnEval) {
  BatchNorm<TypeParam> layer(4);
  this->set_parameters(layer);
  layer.forward(this->extent, this->p.x, this->y);
  layer.eval();
  const std::vector<TypeParam> x = {1, 2, 3, 4};
  std::vector<TypeParam> out(4);
  layer.forward({1, 4, 1}, x, out);
  layer.backward(this->extent, this->p.x, this->p.dy, this->dx);
  EXPECT_TRUE(same_bits(this->dx, run_backward(this->p).dx));
}

TYPED_TEST(BatchNormLayer, BackwardOverwritesParameterGradientsAndDxIsOptional) {
  BatchNorm<TypeParam> layer(4);
  this->set_parameters(layer);
  layer.forward(this->extent, this->p.x, this->y);
  layer.backward(this->extent, this->p.x, this->p.dy, {});
  layer.backward(this->extent, this->p.x, this->p.dy, {});
  const auto want = run_backward(this->p);
  EXPECT_TRUE(same_bits(copy_of(layer.dgamma()), want.dgamma));
  EXPECT_TRUE(same_bits(copy_of(layer.dbeta()), want.dbeta));
  std::vector<TypeParam> in_place = this->p.dy;
  layer.backward(this->extent, this->p.x, in_place, in_place);
  EXPECT_TRUE(same_bits(in_place, want.dx));
}

TYPED_TEST(BatchNormLayer, ACallThatThrowsChangesNothing) {
  BatchNorm<TypeParam> layer(4, {.eps = 0});
  layer.forward(this->extent, this->p.x, this->y);
  layer.backward(this->extent, this->p.x, this->p.dy, this->dx);
  const State<TypeParam> before(layer);
  const std::vector<TypeParam> y_before = this->y, dx_before = this->dx, constant(this->p.x.size(), TypeParam(1));
  EXPECT_THROW(layer.forward(this->extent, this->p.x, std::span(this->y).first(10)), Error);
  EXPECT_THROW(layer.forward({6, 5, 9}, this->p.x, this->y), Error);
  EXPECT_THROW(layer.forward({12, 2, 9}, this->p.x, this->y), Error);
  EXPECT_THROW(layer.forward(this->extent, this->y, this->y), Error);
  expect_error(ErrorCode::bad_epsilon, {"eps"}, [&] { layer.forward(this->extent, constant, this->y); });
  EXPECT_THROW(layer.backward(this->extent, this->p.x, this->p.dy, std::span(this->dx).first(10)), Error);
  EXPECT_THROW(layer.backward(this->extent, this->dx, this->p.dy, this->dx), Error);
  layer.batches_tracked() = std::numeric_limits<std::int64_t>::max();
  expect_error(ErrorCode::bad_argument, {"BatchNorm::forward: batches_tracked is 9223372036854775807"},
               [&] { layer.forward(this->extent, this->p.x, this->y); });
  layer.batches_tracked() = before.batches;
  EXPECT_TRUE(State<TypeParam>(layer) == before);
  EXPECT_TRUE(same_bits(this->y, y_before));
  EXPECT_TRUE(same_bits(this->dx, dx_before));
  EXPECT_NO_THROW(layer.backward(this->extent, this->p.x, this->p.dy, this->dx));
}

TYPED_TEST(BatchNormLayer, AConstLayerInfersByRunningStatisticsInEitherMode) {
  BatchNorm<TypeParam> layer(4);
  this->set_parameters(layer);
  layer.forward(this->extent, this->p.x, this->y);
  const BatchNorm<TypeParam>& fixed = layer;
  ASSERT_TRUE(fixed.training());
  fixed.infer(this->extent, this->p.x, this->y);
  EXPECT_TRUE(same_bits(this->y, run_inference(this->p, copy_of(fixed.running_mean()), copy_of(fixed.running_var()))));
  EXPECT_TRUE(same_bits(copy_of(fixed.gamma()), this->p.gamma));
  EXPECT_TRUE(same_bits(copy_of(fixed.beta()), this->p.beta));
  EXPECT_EQ(fixed.batches_tracked(), 1);
}

TYPED_TEST(BatchNormLayer, InferRefusesWithoutRunningStatistics) {
  const BatchNorm<TypeParam> layer(4, {.track_running_statistics = false});
  expect_error(ErrorCode::bad_state, {"BatchNorm::infer", "track_running_statistics"},
               [&] { layer.infer(this->extent, this->p.x, this->y); });
  const BatchNorm<TypeParam> other(5);
  expect_error(ErrorCode::bad_extent, {"BatchNorm::infer", "4", "5"},
               [&] { other.infer(this->extent, this->p.x, this->y); });
}

TYPED_TEST(BatchNormLayer, ACopyIsIndependent) {
  BatchNorm<TypeParam> layer(4);
  this->set_parameters(layer);
  layer.forward(this->extent, this->p.x, this->y);
  const State<TypeParam> before(layer);
  BatchNorm<TypeParam> copy = layer;
  EXPECT_TRUE(State<TypeParam>(copy) == before);
  copy.gamma()[0] = 7;
  copy.forward(this->extent, this->p.dy, this->y);
  copy.backward(this->extent, this->p.dy, this->p.x, this->dx);
  copy.eval();
  EXPECT_TRUE(State<TypeParam>(layer) == before);
  EXPECT_FALSE(State<TypeParam>(copy) == before);
  EXPECT_TRUE(layer.training());
  EXPECT_NE(copy.running_mean().data(), layer.running_mean().data());
}

TYPED_TEST(BatchNormLayer, ARecomputedForwardIsNotTrackedTwiceButSavedAgain) {
  BatchNorm<TypeParam> layer(4);
  this->set_parameters(layer);
  EXPECT_TRUE(layer.tracking());
  layer.forward(this->extent, this->p.x, this->y);
  const State<TypeParam> before(layer);
  layer.forward(this->extent, this->p.dy, this->y);  // another batch in between
  const State<TypeParam> other(layer);
  layer.track(false);
  EXPECT_FALSE(layer.tracking());
  layer.forward(this->extent, this->p.x, this->y);
  EXPECT_TRUE(same_bits(this->y, run_forward(this->p).y));
  EXPECT_EQ(State<TypeParam>(layer).saved_mean, before.saved_mean);
  EXPECT_EQ(State<TypeParam>(layer).running_mean, other.running_mean);
  EXPECT_EQ(State<TypeParam>(layer).running_var, other.running_var);
  EXPECT_EQ(layer.batches_tracked(), 2);
  layer.backward(this->extent, this->p.x, this->p.dy, this->dx);
  EXPECT_TRUE(same_bits(this->dx, run_backward(this->p).dx));
  layer.track();
  layer.forward(this->extent, this->p.x, this->y);
  EXPECT_EQ(layer.batches_tracked(), 3);
}

TYPED_TEST(BatchNormLayer, ABatchWithNanIsSkippedIfThePolicySaysSo) {
  BatchNorm<TypeParam> layer(4, {.running = {.skip_nonfinite = true}});
  layer.forward(this->extent, this->p.x, this->y);
  const State<TypeParam> before(layer);
  std::vector<TypeParam> x = this->p.x;
  x[20] = std::numeric_limits<TypeParam>::quiet_NaN();
  layer.forward(this->extent, x, this->y);
  EXPECT_EQ(State<TypeParam>(layer).running_mean, before.running_mean);
  EXPECT_EQ(State<TypeParam>(layer).running_var, before.running_var);
  EXPECT_EQ(layer.batches_tracked(), 1);
  EXPECT_EQ(layer.batches_skipped(), 1);
  EXPECT_TRUE(std::isnan(layer.saved_mean()[2]));
}

TYPED_TEST(BatchNormLayer, FrozenTrainingTakesRunningStatisticsForConstants) {
  using T = TypeParam;
  BatchNorm<T> layer(4);
  this->set_parameters(layer);
  layer.forward(this->extent, this->p.x, this->y);
  const std::vector<double> mean = copy_of(layer.running_mean()), var = copy_of(layer.running_var());
  layer.freeze();
  EXPECT_TRUE(layer.frozen());
  layer.forward(this->extent, this->p.x, this->y);
  EXPECT_TRUE(same_bits(this->y, run_inference(this->p, mean, var)));
  EXPECT_EQ(copy_of(layer.saved_mean()), mean);
  EXPECT_EQ(copy_of(layer.saved_var()), var);
  EXPECT_EQ(copy_of(layer.running_mean()), mean);
  EXPECT_EQ(layer.batches_tracked(), 1);

  layer.running_mean()[0] = 100;  // what backward takes are the forward's
  layer.freeze(false);
  layer.backward(this->extent, this->p.x, this->p.dy, this->dx);
  std::vector<T> want(this->dx.size()), dgamma(4), dbeta(4);
  batch_norm_frozen_backward<T>({.extent = this->extent,
                                 .x = this->p.x,
                                 .dy = this->p.dy,
                                 .mean = mean,
                                 .var = var,
                                 .gamma = this->p.gamma,
                                 .dx = want,
                                 .dgamma = dgamma,
                                 .dbeta = dbeta});
  EXPECT_TRUE(same_bits(this->dx, want));
  EXPECT_TRUE(same_bits(copy_of(layer.dgamma()), dgamma));
  EXPECT_TRUE(same_bits(copy_of(layer.dbeta()), dbeta));

  layer.forward(this->extent, this->p.x, this->y);
  EXPECT_TRUE(same_bits(this->y, run_forward(this->p).y));
  layer.backward(this->extent, this->p.x, this->p.dy, this->dx);
  EXPECT_TRUE(same_bits(this->dx, run_backward(this->p).dx));
}

TYPED_TEST(BatchNormLayer, AFrozenLayerNeedsRunningStatisticsAndTakesOneValuePerChannel) {
  BatchNorm<TypeParam> without(4, {.track_running_statistics = false});
  expect_error(ErrorCode::bad_state, {"BatchNorm::freeze", "track_running_statistics"}, [&] { without.freeze(); });
  EXPECT_FALSE(without.frozen());
  BatchNorm<TypeParam> layer(4);
  layer.freeze();
  const std::vector<TypeParam> x = {1, 2, 3, 4};
  std::vector<TypeParam> out(4);
  layer.forward({1, 4, 1}, x, out);
  EXPECT_NO_THROW(layer.backward({1, 4, 1}, x, out, out));
}

TYPED_TEST(BatchNormLayer, ConstructorRefusesWhatIsOutsideItsRange) {
  using Layer = BatchNorm<TypeParam>;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  expect_error(ErrorCode::bad_extent, {"channels", "0"}, [] { Layer(0); });
  expect_error(ErrorCode::bad_extent, {"channels", "-4"}, [] { Layer(-4); });
  expect_error(ErrorCode::overflow, {"BatchNorm", "channels is 9223372036854775807", "281474976710656"},
               [] { (void)Layer{std::numeric_limits<std::int64_t>::max()}; });
  expect_error(ErrorCode::bad_argument, {"eps", "nan"}, [&] { Layer(4, {.eps = nan}); });
  expect_error(ErrorCode::bad_argument, {"momentum", "nan"}, [&] { Layer(4, {.running = {.momentum = nan}}); });
  expect_error(ErrorCode::bad_argument, {"BatchNorm: options.cpu.isa is 77"},
               [] { Layer(4, {.options = {.cpu = {.isa = static_cast<Isa>(77)}}}); });
}

}  // namespace
}  // namespace unitvar::test
