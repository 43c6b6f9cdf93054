#include <gtest/gtest.h>

#include "unitvar/error.hpp"
#include "unitvar/schedule.hpp"
#include "unitvar/thread_group.hpp"

namespace unitvar {
namespace {

TEST(Explain, CountsTheTensorsThatEachWalkMoves) {
  const Extent extent = Extent::nchw(50, 64, 56, 56);
  for (const Walk walk : {Walk::resident, Walk::streamed}) {
    const bool streamed = walk == Walk::streamed;
    const Explanation forward = explain(extent, 4, Pass::forward, {.threads = 1, .walk = walk});
    EXPECT_EQ(forward.walk, walk);
    EXPECT_EQ(forward.reads, streamed ? 2 : 1);
    EXPECT_EQ(explain(extent, 4, Pass::backward, {.threads = 1, .walk = walk}).reads, streamed ? 4 : 2);
    EXPECT_EQ(forward.writes, 1);
    EXPECT_NE(forward.text.find(streamed ? "streamed" : "resident"), std::string::npos) << forward.text;
  }
}

TEST(Explain, KnowsThatInferencePassesOnce) {
  const Explanation inference =
      explain(Extent::nhwc(50, 112, 112, 64), 4, Pass::inference, {.threads = 1, .walk = Walk::streamed});
  EXPECT_EQ(inference.walk, Walk::resident);
  EXPECT_EQ(inference.reads, 1);
}

TEST(Explain, KnowsThatRanksWaitBetweenThePasses) {
  ThreadGroup group(2);
  const Explanation forward =
      explain(Extent::nchw(50, 64, 28, 28), 4, Pass::forward, {.threads = 1, .communicator = &group.communicator(0)});
  EXPECT_EQ(forward.walk, Walk::streamed);
  EXPECT_EQ(forward.reads, 2);
}

TEST(Explain, LeavesSmallWorkToOneThread) {
  EXPECT_EQ(explain(Extent::nchw(12, 4, 8, 8), 4, Pass::forward, {.threads = 8}).threads, 1);
  EXPECT_EQ(explain(Extent::nchw(50, 64, 112, 112), 4, Pass::forward, {.threads = 8}).threads, 8);
}

TEST(Explain, RefusesWhatTheCallsRefuse) {
  EXPECT_THROW((void)explain({1, 0, 1}, 4, Pass::forward), Error);
  EXPECT_THROW((void)explain({1, 1, 1}, 4, Pass::forward, {.threads = -1}), Error);
}

}  // namespace
}  // namespace unitvar
