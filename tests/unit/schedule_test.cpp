#include "cpu/plan/schedule.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

#include "cpu/plan/row_schedule.hpp"
#include "cpu/plan/shares.hpp"
#include "math/merge.hpp"

namespace unitvar::norm {
namespace {

using std::int64_t;

const std::vector<Extent> kExtents = {{1, 1, 1},       {2, 3, 1},       {60, 100, 1},    {5000, 3, 1}, {32, 64, 3136},
                                      {32, 2048, 49},  {3, 5, 4097},    {1, 4096, 768},  {7, 16, 63},  {9, 16, 63},
                                      {100352, 64, 1}, {2, 3, 100000},  {1000, 1, 17},   {8, 1, 1},    {33, 7, 64},
                                      {1, 1, 999999},  {1, 100000, 64}, {1568, 2048, 1}, {65, 3, 1},   {257, 9, 1}};

cpu::ScheduleInput input(int threads, int64_t tensors = 1) {
  return {.bytes_per_element = 4, .tensors_read = tensors, .cache = {32 << 10, 1 << 20}, .threads = threads};
}

TEST(Tiling, CoversEveryValueOfAChannelOnce) {
  for (const Extent& extent : kExtents) {
    SCOPED_TRACE(testing::Message() << extent.outer << " x " << extent.channels << " x " << extent.inner);
    const cpu::Tiling tiling = cpu::make_tiling(extent);
    std::vector<int> seen(static_cast<std::size_t>(extent.count()));
    for (int64_t t = 0; t < tiling.tiles(); ++t) {
      const cpu::Tile tile = tiling.tile(t);
      for (int64_t r = tile.row; r < tile.row + tile.rows; ++r) {
        for (int64_t k = tile.col; k < tile.col + tile.cols; ++k) {
          ++seen[static_cast<std::size_t>(r * tiling.extent.inner + k)];
        }
      }
    }
    EXPECT_EQ(std::vector<int>(seen.size(), 1), seen);
  }
}

TEST(Tiling, CountsTheValuesBeforeEachTile) {
  for (const Extent& extent : kExtents) {
    const cpu::Tiling tiling = cpu::make_tiling(extent);
    int64_t before = 0;
    for (int64_t t = 0; t < tiling.tiles(); ++t) {
      ASSERT_EQ(before, tiling.values_before(t));
      const cpu::Tile tile = tiling.tile(t);
      ASSERT_GT(tile.rows * tile.cols, 0);
      before += tile.rows * tile.cols;
    }
    EXPECT_EQ(extent.count(), before);
    EXPECT_EQ(extent.count(), tiling.values_before(tiling.tiles()));
    EXPECT_EQ(extent.count(), tiling.values_before(tiling.tiles() + 5));
  }
}

TEST(Tiling, OfAnEmptyBatchHasNoTiles) { EXPECT_EQ(0, cpu::make_tiling({0, 3, 5}).tiles()); }

TEST(Tiling, TakesFewRowsAsOneTileAndSomeMoreAsEqualOnesForTwoThreads) {
  EXPECT_EQ(1, cpu::make_tiling(Extent::nhwc(1, 8, 8, 512)).tiles());
  EXPECT_EQ(2, cpu::make_tiling(Extent::nhwc(1, 15, 15, 512)).tiles());
  EXPECT_EQ(4, cpu::make_tiling(Extent::nhwc(1, 29, 29, 128)).tiles());
  const cpu::Tiling some = cpu::make_tiling(Extent::nhwc(1, 29, 29, 128));
  for (int64_t t = 0; t < some.tiles(); ++t) EXPECT_GE(some.tile(t).rows, 150) << t;
}

TEST(Tiling, SeesShortRowsAsColumnsAndLongRowsAsPlanes) {
  EXPECT_EQ(cpu::Shape::planar, cpu::make_tiling(Extent::nchw(32, 64, 56, 56)).shape);
  EXPECT_EQ(cpu::Shape::interleaved, cpu::make_tiling(Extent::nchw(32, 2048, 7, 7)).shape);
  EXPECT_EQ(cpu::Shape::interleaved, cpu::make_tiling(Extent::nhwc(32, 56, 56, 64)).shape);
  EXPECT_EQ(cpu::Shape::interleaved, cpu::make_tiling(Extent::nc(60, 100)).shape);
  EXPECT_EQ(cpu::Shape::planar, cpu::make_tiling(Extent::nc(1000, 1)).shape)
      << "a single feature is one contiguous row";
  EXPECT_EQ(cpu::Shape::planar, cpu::make_tiling(Extent{1, 4096, 49}).shape) << "one row has no columns to add down";
}

TEST(Schedule, BlocksCoverAllChannelsOnce) {
  for (const Extent& extent : kExtents) {
    for (const int threads : {1, 2, 7, 16}) {
      const cpu::Schedule s = cpu::make_schedule(extent, input(threads));
      int64_t next = 0;
      cpu::for_blocks(s, {0, s.parts()}, [&](core::Range block) {
        EXPECT_EQ(next, block.begin);
        EXPECT_LT(block.begin, block.end);
        next = block.end;
      });
      EXPECT_EQ(extent.channels, next);
      EXPECT_NE(Walk::automatic, s.walk);
      EXPECT_GE(s.threads, 1);
      EXPECT_LE(s.threads, threads);
    }
  }
}

TEST(Schedule, KeepsSmallWorkOnTheCallingThread) {
  for (const Extent& extent : {Extent{1, 16, 1}, Extent{12, 4, 64}, Extent{60, 100, 1}}) {
    EXPECT_EQ(1, cpu::make_schedule(extent, input(16)).threads);
  }
  EXPECT_EQ(16, cpu::make_schedule(Extent::nchw(32, 256, 56, 56), input(16)).threads);
}

TEST(Schedule, FinishesAPlanarChannelWhileItIsInTheCache) {
  const cpu::Schedule s = cpu::make_schedule(Extent::nchw(32, 64, 56, 56), input(2));
  EXPECT_EQ(Walk::resident, s.walk);
  EXPECT_EQ(1, s.block_parts);
}

TEST(Schedule, LetsThreadsShareTheChannelsWhereTheyAreTooFewForEachToHaveItsOwn) {
  const Extent few = Extent::nchw(32, 3, 224, 224);
  const cpu::Schedule shared = cpu::make_schedule(few, input(16));
  EXPECT_EQ(Walk::resident, shared.walk);
  EXPECT_TRUE(shared.together);
  EXPECT_EQ(1, shared.block_parts) << "the caches of all threads hold one channel";
  EXPECT_FALSE(cpu::make_schedule(few, input(1)).together);
  EXPECT_FALSE(cpu::make_schedule(few, input(3)).together);
}

TEST(Schedule, StaysResidentWhereTheCachesOfAllThreadsHoldWhatThatOfOneDoesNot) {
  const Extent columns = Extent::nhwc(50, 14, 14, 1024);
  EXPECT_EQ(Walk::streamed, cpu::make_schedule(columns, input(2)).walk);
  const cpu::Schedule many = cpu::make_schedule(columns, input(64));
  EXPECT_EQ(Walk::resident, many.walk);
  EXPECT_TRUE(many.together);
  EXPECT_EQ(1024, many.block_parts);
}

TEST(Schedule, StreamsInterleavedTensorsWhoseColumnsExceedTheCache) {
  EXPECT_EQ(Walk::streamed, cpu::make_schedule(Extent::nhwc(32, 56, 56, 256), input(2)).walk);
  EXPECT_EQ(Walk::resident, cpu::make_schedule(Extent::nc(60, 4096), input(2)).walk);
  EXPECT_EQ(Walk::resident, cpu::make_schedule(Extent::nchw(32, 2048, 7, 7), input(2, 2)).walk);
}

TEST(Schedule, ResidentBlocksOfColumnsFitTheCache) {
  for (const int64_t rows : {8, 60, 256, 1000, 1568, 5000}) {
    for (const int64_t tensors : {1, 2}) {
      const cpu::Schedule s = cpu::make_schedule(Extent{rows, 2048, 1}, input(2, tensors));
      if (s.walk == Walk::resident) {
        EXPECT_LE(rows * s.block_parts * 4 * tensors, (s.together ? s.threads : 1) << 20);
      }
    }
  }
}

TEST(Schedule, ObeysAForcedWalkWithoutChangingTheTiling) {
  for (const Extent& extent : kExtents) {
    for (const Walk walk : {Walk::resident, Walk::streamed}) {
      cpu::ScheduleInput forced = input(2);
      forced.walk = walk;
      const cpu::Schedule s = cpu::make_schedule(extent, forced);
      EXPECT_EQ(walk, s.walk);
      EXPECT_EQ(cpu::make_tiling(extent).tiles(), s.tiling.tiles());
    }
  }
}

TEST(Schedule, StreamsResultsThatWouldNotStayInTheCache) {
  EXPECT_EQ(kernels::Stores::streamed, cpu::make_schedule(Extent::nchw(32, 64, 112, 112), input(1)).access.stores);
  EXPECT_EQ(kernels::Stores::streamed, cpu::make_schedule(Extent::nhwc(32, 56, 56, 64), input(1)).access.stores);
  EXPECT_EQ(kernels::Stores::cached, cpu::make_schedule(Extent::nchw(8, 64, 14, 14), input(1)).access.stores);
}

TEST(Schedule, KeepsResultsInAThirdLevelThatHoldsThemBesideWhatIsRead) {
  const auto largest = [](int64_t l3, int64_t tensors) {
    return cpu::largest_cached_result({32 << 10, 512 << 10, l3}, tensors);
  };
  EXPECT_EQ(2 << 20, largest(0, 1));
  EXPECT_EQ(2 << 20, largest(4 << 20, 1)) << "four L2 caches at least";
  EXPECT_EQ(7 << 19, largest(8 << 20, 1));
  EXPECT_EQ((7 << 20) / 3, largest(8 << 20, 2));
  EXPECT_EQ(14 << 20, largest(32 << 20, 1));
  EXPECT_EQ(14 << 20, largest(300 << 20, 1)) << "a large L3 belongs to others, too";
}

TEST(Schedule, AsksForTheNextBlockOfColumnsWhileOneIsResident) {
  const cpu::Schedule columns = cpu::make_schedule(Extent::nchw(32, 2048, 7, 7), input(1));
  ASSERT_EQ(Walk::resident, columns.walk);
  EXPECT_EQ(columns.block_parts * 49, columns.access.ahead);
  const cpu::Schedule streamed = cpu::make_schedule(Extent::nhwc(32, 56, 56, 256), input(1));
  ASSERT_EQ(Walk::streamed, streamed.walk);
  EXPECT_LT(0, streamed.access.ahead);
}

TEST(Schedule, TakesShortPlanarChannelsInRuns) {
  const auto channels = [](int64_t size, int threads = 1) {
    return cpu::make_schedule(Extent::nchw(32, 256, size, size), input(threads)).block_parts;
  };
  EXPECT_EQ(1, channels(56));
  EXPECT_LT(1, channels(28));
  EXPECT_LT(channels(28), channels(14));
  EXPECT_GT(channels(14), channels(14, 16)) << "threads need work";
}

TEST(Schedule, StreamsPlanarChannelsThatNoCacheHolds) {
  EXPECT_EQ(Walk::resident, cpu::make_schedule(Extent::nchw(32, 64, 112, 112), input(1)).walk);
  EXPECT_EQ(Walk::streamed, cpu::make_schedule(Extent::nchw(1024, 64, 112, 112), input(1)).walk);
}

cpu::ScheduleInput grouped(int threads, int64_t group_channels) {
  cpu::ScheduleInput of_groups = input(threads);
  of_groups.group_channels = group_channels;
  return of_groups;
}

TEST(Schedule, FinishesWholeGroupsInRunsThatACellTakes) {
  struct Case {
    Extent extent;
    int64_t group_channels;
  };
  const Case cases[] = {{{1, 32 * 256, 3136}, 8}, {{1, 32 * 64, 12544}, 2}, {{1, 32 * 512, 784}, 16},
                        {{1, 90, 49}, 3},         {{1, 2 * 96, 784}, 48},   {{49, 2304, 1}, 2304},
                        {{49, 2304, 1}, 9},       {{784, 90, 1}, 5}};
  for (const auto& [extent, group_channels] : cases) {
    for (const int threads : {1, 2}) {
      for (const Walk walk : {Walk::automatic, Walk::resident}) {
        cpu::ScheduleInput of_groups = grouped(threads, group_channels);
        of_groups.walk = walk;
        const cpu::Schedule s = cpu::make_schedule(extent, of_groups);
        if (s.walk == Walk::streamed) continue;
        EXPECT_EQ(0, s.block_parts % group_channels);
        const bool planar = s.tiling.shape == cpu::Shape::planar;
        const int most_of_planar = extent.outer == 1 ? kernels::kMostRunOfARow : kernels::kMostRun;
        EXPECT_LE(s.run_channels, !planar ? 2048 : s.tiling.col_tiles > 1 ? 1 : most_of_planar);
      }
    }
  }
}

TEST(Schedule, AsksForWholeRunsOfShortRowsForward) {
  const cpu::Schedule forward = cpu::make_schedule({1, 32 * 1024, 196}, grouped(1, 1));
  EXPECT_LT(kernels::kMostRun, forward.run_channels);
  EXPECT_EQ(forward.run_channels * 196, forward.access.ahead);
  cpu::ScheduleInput of_backward = grouped(1, 1);
  of_backward.tensors_read = 2;
  const int64_t near = kernels::kNear / of_backward.bytes_per_element;
  EXPECT_EQ(near, cpu::make_schedule({1, 32 * 1024, 196}, of_backward).access.ahead);
  EXPECT_EQ(near, cpu::make_schedule({1, 32 * 64, 12544}, grouped(1, 1)).access.ahead);
  EXPECT_EQ(near, cpu::make_schedule({32, 1024, 196}, grouped(1, 1)).access.ahead);
}

TEST(Schedule, BatchesOfSumsFillAPartOfL2WhereResultsGoPastTheCaches) {
  const auto batch_bytes = [](int64_t rows, int64_t l2, int64_t tensors, bool has_columns) {
    cpu::ScheduleInput of_rows = input(1, tensors);
    of_rows.cache.l2 = l2;
    return cpu::make_row_schedule({rows, 1024}, of_rows, has_columns).batch_rows * 1024 * 4 * tensors;
  };
  for (const int64_t l2 : {512 << 10, 1 << 20, 2 << 20}) {
    EXPECT_EQ(std::min<int64_t>(l2 / 4, 64 * 8192), batch_bytes(1 << 16, l2, 2, false));
    EXPECT_EQ(32 << 10, batch_bytes(1 << 16, l2, 1, false));  // nothing to add
    EXPECT_EQ(32 << 10, batch_bytes(1 << 16, l2, 2, true));   // dy and x
    EXPECT_EQ(32 << 10, batch_bytes(256, l2, 2, false));      // all within the caches
  }
}

TEST(Schedule, StreamsGroupsThatNoCacheHolds) {
  EXPECT_EQ(Walk::resident, cpu::make_schedule({1, 32 * 256, 3136}, grouped(2, 8)).walk);
  EXPECT_EQ(Walk::streamed, cpu::make_schedule({1, 32 * 4096, 3136}, grouped(1, 4096)).walk);
  EXPECT_EQ(Walk::streamed, cpu::make_schedule({3136, 256, 1}, grouped(1, 256)).walk);
}

TEST(Schedule, LetsThreadsShareGroupsThatAreTooFewForThem) {
  const cpu::Schedule own = cpu::make_schedule({1, 2 * 256, 3136}, grouped(2, 256));
  EXPECT_FALSE(own.together);
  const cpu::Schedule shared = cpu::make_schedule({1, 3 * 256, 3136}, grouped(2, 256));
  EXPECT_TRUE(shared.together);
  EXPECT_EQ(256, shared.block_parts);
}

TEST(Schedule, GivesThreadsWholeSubBatchesIfTheseAreEnoughForAll) {
  cpu::ScheduleInput of_samples = grouped(2, 8);
  of_samples.sub_batches = 32;
  const cpu::Schedule own = cpu::make_schedule({3136, 256, 1}, of_samples);
  EXPECT_FALSE(own.together);
  EXPECT_EQ(256, own.share_channels);
  of_samples.sub_batches = 3;
  EXPECT_TRUE(cpu::make_schedule({3136, 256, 1}, of_samples).together);
}

TEST(Schedule, StreamsTheResultsOfAPartAsThoseOfItsWhole) {
  cpu::ScheduleInput part = input(1);
  part.tensor_bytes = int64_t{1} << 26;
  EXPECT_EQ(kernels::Stores::streamed, cpu::make_schedule(Extent::nchw(1, 64, 14, 14), part).access.stores);
}

TEST(Schedule, DescribesItselfInOneLine) {
  const std::string text = cpu::describe(cpu::make_schedule(Extent::nchw(32, 2048, 7, 7), input(2)));
  for (const char* part : {"interleaved", "2048 channels x 49", "resident", "streaming stores", "2 threads"}) {
    EXPECT_NE(std::string::npos, text.find(part)) << text;
  }
}

TEST(MergeTree, LeavesTheSumOfAllLeavesInTheFirst) {
  for (int64_t n = 1; n < 70; ++n) {
    std::vector<int64_t> leaves(static_cast<std::size_t>(n));
    std::iota(leaves.begin(), leaves.end(), 1);
    math::merge_tree(n, [&](int64_t i, int64_t j, int64_t step) {
      EXPECT_EQ(j, i + step);
      leaves[static_cast<std::size_t>(i)] += leaves[static_cast<std::size_t>(j)];
    });
    EXPECT_EQ(n * (n + 1) / 2, leaves[0]);
  }
}

TEST(MergeTree, IsTheSameWhereThreadsMergeTheirOwnLeavesFirst) {
  struct Node {
    math::TreeNode of;
    std::string value;
  };
  for (int64_t n = 1; n < 40; ++n) {
    std::vector<std::string> leaves;
    for (int64_t i = 0; i < n; ++i) leaves.push_back(std::to_string(i));
    const auto add = [n](std::vector<Node>& nodes, const Node& node) {
      math::add_node(nodes, node, n, [](std::string& a, const std::string& b) { a = "(" + a + " " + b + ")"; });
    };
    for (const int64_t threads : {1, 2, 3, 5, 8, 13}) {
      std::vector<Node> root;
      for (int64_t thread = 0; thread < threads; ++thread) {
        std::vector<Node> own;
        const core::Range share = core::share_of(n, threads, thread);
        for (int64_t i = share.begin; i < share.end; ++i) add(own, {{i, 1}, leaves[static_cast<std::size_t>(i)]});
        for (const Node& node : own) add(root, node);
      }
      std::vector<std::string> merged = leaves;
      math::merge_tree(n, [&](int64_t i, int64_t j, int64_t) {
        std::string& a = merged[static_cast<std::size_t>(i)];
        a = "(" + a + " " + merged[static_cast<std::size_t>(j)] + ")";
      });
      ASSERT_EQ(1U, root.size());
      EXPECT_EQ(merged[0], root[0].value);
    }
  }
}

}  // namespace
}  // namespace unitvar::norm
