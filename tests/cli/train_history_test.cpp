#include "train/history.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "train/evaluation.hpp"
#include "train/monitor.hpp"
#include "train/summary.hpp"
#include "train/trainer.hpp"

namespace unitvar::testing {
namespace {

using train::evaluation_due;
using train::HistoryRow;

const std::vector<HistoryRow> rows = {
    {10, 2.5, 0.25, 0.5, {-1, 0, 1}}, {20, 1.25, 0.75, 1, {-2, 0.5, 2}}, {30, 1, 0.5, 1.5, {-3, 0.5, 3}}};

TEST(History, HasTheDocumentedColumns) {
  EXPECT_EQ(train::history_csv({{"batch", rows}}),
            "network,step,train_loss,test_accuracy,seconds\n"
            "batch,10,2.5,0.25,0.500000\nbatch,20,1.25,0.75,1.000000\nbatch,30,1,0.5,1.500000\n");
  EXPECT_EQ(train::percentiles_csv({{"none", rows}}),
            "network,step,p15,p50,p85\nnone,10,-1,0,1\nnone,20,-2,0.5,2\nnone,30,-3,0.5,3\n");
}

TEST(History, WritesNanWithoutASign) {
  const double nan = std::copysign(std::numeric_limits<double>::quiet_NaN(), -1.0);
  EXPECT_EQ(train::history_csv({{"none", {{10, nan, 0.1, 0.5, {}}}}}),
            "network,step,train_loss,test_accuracy,seconds\nnone,10,nan,0.1,0.500000\n");
  EXPECT_EQ(train::percentiles_csv({{"none", {{10, nan, 0.1, 0.5, {nan, nan, nan}}}}}),
            "network,step,p15,p50,p85\nnone,10,nan,nan,nan\n");
}

TEST(History, KnowsWhenAnAccuracyWasReached) {
  EXPECT_EQ(train::steps_to(rows, 0.5), 20);
  EXPECT_EQ(train::steps_to(rows, 0.75), 20);
  EXPECT_FALSE(train::steps_to(rows, 0.8));
  EXPECT_EQ(train::best_row(rows).step, 20);
}

TEST(Evaluations, ComeEarlyThenRegularlyThenAtTheEnd) {
  std::vector<std::int64_t> due;
  for (std::int64_t step = 1; step <= 235; ++step) {
    if (evaluation_due(step, 100, 235)) due.push_back(step);
  }
  EXPECT_EQ(due, (std::vector<std::int64_t>{10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 200, 235}));
  EXPECT_TRUE(evaluation_due(3, 1, 10));
  EXPECT_FALSE(evaluation_due(3, 9, 10));
}

TEST(Percentiles, AreInterpolated) {
  std::vector<float> values = {5, 1, 3, 2, 4};
  const train::Percentiles found = train::percentiles_of(values);
  EXPECT_DOUBLE_EQ(found[0], 1.6);
  EXPECT_DOUBLE_EQ(found[1], 3);
  EXPECT_DOUBLE_EQ(found[2], 4.4);
}

TEST(Percentiles, OfNanAreNan) {
  std::vector<float> values = {1, std::numeric_limits<float>::quiet_NaN(), 2};
  EXPECT_TRUE(std::isnan(train::percentiles_of(values)[1]));
}

TEST(Summary, HasAColumnForEachNetwork) {
  train::TrainingState state;
  state.step = 30;
  state.train_seconds = 1.5;
  state.norm_seconds = {0.25, 0.5};
  state.rows = rows;
  const std::string table = train::summary_table({{"batch", state}, {"none", state}});
  EXPECT_NE(table.find("steps to 75 % test accuracy                   20                  20"), std::string::npos);
  EXPECT_NE(table.find("steps to 80 % test accuracy                never               never"), std::string::npos);
  EXPECT_NE(table.find("milliseconds a training step              50.000              50.000"), std::string::npos);
  EXPECT_NE(table.find("seconds in BN backward                      0.50                   -"), std::string::npos);
}

TEST(ProgressLine, KeepsSpeedAndTimeLeftOnNarrowTerminals) {
  const train::Progress progress = {"batch",          "step 25,000 of 50,000", "  loss 0.1234",
                                    "  test 88.06 %", "  12,345 steps/s",      "  1:02 left"};
  const std::string position = "step 25,000 of 50,000", speed = "12,345 steps/s  1:02 left";
  EXPECT_EQ(train::progress_line(progress, 0.5, 120),
            "batch [============>...........] " + position + "  loss 0.1234  test 88.06 %  " + speed);
  EXPECT_EQ(train::progress_line(progress, 0.5, 95),
            "batch [=====>.....] " + position + "  loss 0.1234  test 88.06 %  " + speed);
  EXPECT_EQ(train::progress_line(progress, 0.5, 81), "batch " + position + "  loss 0.1234  test 88.06 %  " + speed);
  EXPECT_EQ(train::progress_line(progress, 0.5, 79), "batch [====>...] " + position + "  test 88.06 %  " + speed);
  EXPECT_EQ(train::progress_line(progress, 0.5, 60), "batch " + position + "  " + speed);
  EXPECT_EQ(train::progress_line(progress, 0.5, 10), "batch step");
  EXPECT_EQ(train::progress_line(progress, 1, 120).substr(0, 33), "batch [========================] ");
}

TEST(Numbers, AreShownForPeople) {
  EXPECT_EQ(train::count_text(999), "999");
  EXPECT_EQ(train::count_text(1'234'567), "1,234,567");
  EXPECT_EQ(train::clock_text(61.2), "1:02");
  EXPECT_EQ(train::clock_text(3723), "1:02:03");
}

}  // namespace
}  // namespace unitvar::testing
