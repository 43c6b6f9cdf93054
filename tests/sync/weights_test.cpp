// Samples with weights, and ghost batches, on ranks.
#include <gtest/gtest.h>

#include <algorithm>

#include "support/expect_error.hpp"
#include "sync/family.hpp"
#include "sync/threads.hpp"
#include "unitvar/ghost.hpp"

namespace unitvar::test {
namespace {

TEST(SyncWeights, MayBeOnOneRankAlone) {
  Inputs whole = inputs_of({6, 4, 5});
  std::fill(whole.weight.begin() + 10, whole.weight.end(), 0.0);  // of 30: those of the first two samples
  const Outputs wanted = weights(whole, {});
  ThreadGroup group(3, {.parameter_gradients = ParameterGradients::global});
  on_all_ranks(group, [&](Communicator& ranks) {
    const Outputs seen =
        weights(part_of(whole, {2, 2, 2}, ranks.rank()), {.cpu = {.threads = 1}, .communicator = &ranks});
    expect_near("mean", seen.channels.end()[-4], wanted.channels.end()[-4], 1e-13);
    expect_near("dgamma", seen.channels[0], wanted.channels[0], 1e-13);
  });
}

TEST(SyncWeights, UpToTheLargestAndFromTheSmallestThatRanksTake) {
  Inputs whole = inputs_of({6, 4, 5});
  std::fill(whole.weight.begin(), whole.weight.end(), 1.0);
  for (double& x : whole.x) x *= 0x1p63;
  const Outputs wanted = weights(whole, {});
  for (const double weight : {0x1p-200, 0x1p200}) {
    SCOPED_TRACE(weight);
    std::fill(whole.weight.begin(), whole.weight.end(), weight);
    ThreadGroup group(3, {.parameter_gradients = ParameterGradients::global});
    on_all_ranks(group, [&](Communicator& ranks) {
      const Outputs seen =
          weights(part_of(whole, {2, 2, 2}, ranks.rank()), {.cpu = {.threads = 1}, .communicator = &ranks});
      expect_near("mean", seen.channels.end()[-4], wanted.channels.end()[-4], 1e-13);
      expect_near("var", seen.channels.end()[-3], wanted.channels.end()[-3], 1e-13);
      expect_near("dgamma", seen.channels[0], wanted.channels[0], 1e-13);
    });
  }
}

TEST(SyncWeights, OfWhichDoublesMayNotHoldSumsAreRefusedByAllRanks) {
  for (const double weight : {1e-300, 1e-61, 1e61, 1e300}) {
    SCOPED_TRACE(weight);
    Inputs whole = inputs_of({6, 4, 5});
    std::fill(whole.weight.begin(), whole.weight.begin() + 10, weight);  // those of the first rank
    ThreadGroup group(3);
    on_all_ranks(group, [&](Communicator& ranks) {
      const Inputs part = part_of(whole, {2, 2, 2}, ranks.rank());
      std::vector<double> y(part.x.size(), 7.0);
      const auto call = [&] {
        batch_norm_weighted_forward<double>({.extent = part.extent, .x = part.x, .weight = part.weight, .y = y},
                                            {.cpu = {.threads = 1}, .communicator = &ranks});
      };
      expect_error(ranks.rank() == 0 ? ErrorCode::bad_argument : ErrorCode::disagreement,
                   {"batch_norm_weighted_forward: the largest weight is 1e",
                    "want one from 6.223015277861142e-61 to 1.6069380442589903e+60 where ranks share a batch"},
                   call);
      EXPECT_EQ(std::vector<double>(y.size(), 7.0), y) << "nothing is written";
    });
  }
}

TEST(SyncGhostBatches, AreCommunicatorsOfTheirRanks) {
  const Inputs whole = inputs_of({12, 5, 9});
  const Split split{3, 3, 3, 3};
  std::vector<double> wanted(whole.x.size());
  batch_norm_ghost_forward<double>({.extent = whole.extent, .ghost = 6, .x = whole.x, .y = wanted});
  for (const int half : {0, 1}) {
    ThreadGroup group(2);
    on_all_ranks(group, [&](Communicator& ranks) {
      const int rank = 2 * half + ranks.rank();
      const Inputs part = part_of(whole, split, rank);
      std::vector<double> y(part.x.size());
      batch_norm_forward<double>({.extent = part.extent, .x = part.x, .y = y},
                                 {.cpu = {.threads = 1}, .communicator = &ranks});
      expect_near("y", y, rows_of(wanted, whole.extent, split, rank), 1e-13);
    });
  }
}

}  // namespace
}  // namespace unitvar::test
