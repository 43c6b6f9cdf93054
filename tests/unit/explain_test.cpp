#include <gtest/gtest.h>

#include "support/expect_error.hpp"
#include "unitvar/error.hpp"
#include "unitvar/schedule.hpp"
#include "unitvar/thread_group.hpp"

namespace unitvar {
namespace {

using test::expect_error;

TEST(Explain, CountsTheTensorsThatEachWalkMoves) {
  const Extent extent = Extent::nchw(50, 64, 56, 56);
  for (const Walk walk : {Walk::resident, Walk::streamed}) {
    const bool streamed = walk == Walk::streamed;
    const Explanation forward = explain(extent, 4, Pass::forward, {.cpu = {.threads = 1, .walk = walk}});
    EXPECT_EQ(forward.walk, walk);
    EXPECT_EQ(forward.reads, streamed ? 2 : 1);
    EXPECT_EQ(explain(extent, 4, Pass::backward, {.cpu = {.threads = 1, .walk = walk}}).reads, streamed ? 4 : 2);
    EXPECT_EQ(forward.writes, 1);
    EXPECT_NE(forward.text.find(streamed ? "streamed" : "resident"), std::string::npos) << forward.text;
  }
}

TEST(Explain, KnowsThatInferencePassesOnce) {
  const Explanation inference =
      explain(Extent::nhwc(50, 112, 112, 64), 4, Pass::inference, {.cpu = {.threads = 1, .walk = Walk::streamed}});
  EXPECT_EQ(inference.walk, Walk::resident);
  EXPECT_EQ(inference.reads, 1);
  EXPECT_NE(inference.text.find("; resident, one pass over 64 channels x "), std::string::npos) << inference.text;
  for (const Walk walk : {Walk::automatic, Walk::resident, Walk::streamed}) {
    for (const int threads : {1, 2}) {
      const Options options{.cpu = {.threads = threads, .walk = walk}};
      const Explanation planar = explain(Extent::nchw(50, 64, 112, 112), 4, Pass::inference, options);
      EXPECT_EQ(planar.walk, Walk::resident);
      EXPECT_NE(planar.text.find("resident, one pass"), std::string::npos) << planar.text;
      EXPECT_EQ(planar.text.find("streamed, "), std::string::npos) << planar.text;
      EXPECT_EQ(planar.text.find("block"), std::string::npos) << planar.text;
    }
  }
}

TEST(Explain, KnowsThatRanksWaitBetweenThePasses) {
  ThreadGroup group(2);
  const Explanation forward = explain(Extent::nchw(50, 64, 28, 28), 4, Pass::forward,
                                      {.cpu = {.threads = 1}, .communicator = &group.communicator(0)});
  EXPECT_EQ(forward.walk, Walk::streamed);
  EXPECT_EQ(forward.reads, 2);
}

TEST(Explain, LeavesSmallWorkToOneThread) {
  EXPECT_EQ(explain(Extent::nchw(12, 4, 8, 8), 4, Pass::forward, {.cpu = {.threads = 8}}).threads, 1);
  EXPECT_EQ(explain(Extent::nchw(50, 64, 112, 112), 4, Pass::forward, {.cpu = {.threads = 8}}).threads, 8);
}

TEST(Explain, SaysWhatTheThreadWithMostTakes) {
  const Extent extent = Extent::nchw(50, 64, 56, 56);
  EXPECT_EQ(explain(extent, 4, Pass::forward, {.cpu = {.threads = 1}}).largest_share, 1);
  const Explanation three = explain(extent, 4, Pass::forward, {.cpu = {.threads = 3}});
  EXPECT_GT(three.largest_share, 1);
  EXPECT_LT(three.largest_share, 1.1);
  EXPECT_NE(three.text.find("largest share 1.0"), std::string::npos) << three.text;
}

TEST(Explain, KnowsGroupsAndRows) {
  const Groups groups{Extent::nhwc(32, 56, 56, 64), 56 * 56, 8};
  const Explanation samples = explain_groups(groups, 4, Pass::backward, {.cpu = {.threads = 2}});
  EXPECT_NE(samples.text.find("32 sub-batches"), std::string::npos) << samples.text;
  EXPECT_EQ(samples.largest_share, 1);
  const Explanation rows = explain_rows({4096, 1024}, 4, Pass::backward, {.cpu = {.threads = 2}});
  EXPECT_EQ(rows.walk, Walk::resident);
  EXPECT_EQ(rows.reads, 2);
  EXPECT_EQ(rows.threads, 2);
  EXPECT_EQ(rows.largest_share, 1);
  EXPECT_NE(rows.text.find("rows: 4096 x 1024"), std::string::npos) << rows.text;
}

TEST(Explain, RefusesInferenceOfLayersThatHaveNone) {
  expect_error(ErrorCode::bad_argument, {"explain_rows", "pass is inference"}, [] {
    (void)explain_rows({8, 8}, 4, Pass::inference);
  });
  expect_error(ErrorCode::bad_argument, {"explain_groups", "pass is inference"}, [] {
    (void)explain_groups({{8, 8, 4}}, 4, Pass::inference);
  });
}

TEST(Explain, RefusesElementsThatNoStorageTypeHas) {
  for (const std::int64_t bytes : {-4, 0, 1, 3, 16}) {
    expect_error(ErrorCode::bad_argument, {"explain", "bytes_per_element is " + std::to_string(bytes), "2, 4 or 8"},
                 [&] {
                   (void)explain({8, 1, 1}, bytes, Pass::forward);
                 });
  }
}

TEST(Explain, RefusesAPassThatIsNone) {
  expect_error(ErrorCode::bad_argument, {"explain", "pass is 7"}, [] {
    (void)explain({8, 1, 1}, 4, static_cast<Pass>(7));
  });
}

TEST(Explain, RefusesWhatTheCallsRefuse) {
  EXPECT_THROW((void)explain({1, 0, 1}, 4, Pass::forward), Error);
  EXPECT_THROW((void)explain({1, 1, 1}, 4, Pass::forward, {.cpu = {.threads = -1}}), Error);
}

}  // namespace
}  // namespace unitvar
