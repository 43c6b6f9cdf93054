#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "bench/suites.hpp"
#include "cpu/plan/row_schedule.hpp"
#include "cpu/plan/schedule.hpp"
#include "cpu/plan/shares.hpp"
#include "math/partition.hpp"
#include "ops/group_norm/group_arguments.hpp"

/// How evenly the schedules share the tensors of the suites among many threads: this needs no such machine.
namespace unitvar {
namespace {

using bench::Layout;
using bench::Shape;
using std::int64_t;

constexpr int64_t kFloat = 4;
/// Of one tensor, for each thread: with fewer, a tile is a large part of a share.
constexpr int64_t kBytesOfAShare = 256 << 10;

/// The thread with most has at most 1.1 times the mean; a little more where threads wait for each other after blocks
/// that are themselves too small for such shares.
double most_of(const cpu::Schedule& s) {
  const bool small_blocks = s.together && s.block_parts * s.tiling.extent.count() * kFloat < s.threads * kBytesOfAShare;
  return small_blocks ? 1.2 : 1.1;
}

std::vector<Shape> shapes_of(const char* suite, int64_t images) {
  std::vector<Shape> shapes = bench::find_suite(suite).shapes;
  for (Shape& shape : shapes) shape.n *= images;
  return shapes;
}

/// f(input) for passes, threads and caches that give each thread enough of `size` elements.
template <class F>
void for_machines(int64_t size, const F& f) {
  for (const int64_t l2 : {512 << 10, 1 << 20, 2 << 20}) {
    for (int threads = 4; threads <= 128 && size * kFloat >= threads * kBytesOfAShare; threads += 1 + threads / 16) {
      for (const int64_t tensors : {1, 2}) {
        SCOPED_TRACE(testing::Message() << threads << " threads, " << tensors << " tensors read, L2 " << l2);
        f(cpu::ScheduleInput{
            .bytes_per_element = kFloat, .tensors_read = tensors, .cache = {32 << 10, l2}, .threads = threads});
      }
    }
  }
}

void expect_even_shares(const Shape& shape) {
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    SCOPED_TRACE(shape_text(shape) + " " + std::string(layout_name(layout)));
    const Extent extent = bench::extent_of(shape, layout);
    for_machines(extent.size(), [&](cpu::ScheduleInput input) {
      for (const Walk walk : {Walk::automatic, Walk::streamed}) {
        input.walk = walk;
        const cpu::Schedule s = cpu::make_schedule(extent, input);
        EXPECT_EQ(input.threads, s.threads);
        EXPECT_LE(cpu::largest_share(s), most_of(s)) << cpu::describe(s);
        EXPECT_LE(s.together ? cpu::largest_share(cpu::without_sums(s)) : 1, 1.1) << cpu::describe(s);
      }
    });
  }
}

TEST(Shares, OfBatchNormAreEven) {
  for (const Shape& shape : shapes_of("resnet_50", 1)) expect_even_shares(shape);
  for (const Shape& shape : shapes_of("densenet_121", 32)) expect_even_shares(shape);
}

TEST(Shares, OfGroupAndInstanceNormAreEven) {
  for (const Shape& shape : shapes_of("groups", 1)) {
    for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
      for (const int64_t groups : {int64_t{32}, int64_t{0}}) {
        SCOPED_TRACE(shape_text(shape) + " " + std::string(layout_name(layout)) +
                     ", groups: " + std::to_string(groups));
        const math::Partition p = ops::partition_of(bench::sample_groups(shape, layout, groups));
        for_machines(p.extent.size(), [&](cpu::ScheduleInput input) {
          input.group_channels = p.group_parts;
          input.sub_batches = p.sub_batches();
          const cpu::Schedule s = cpu::make_schedule(p.whole_sub_batch(), input);
          EXPECT_EQ(input.threads, s.threads);
          EXPECT_LE(cpu::largest_share(s), most_of(s)) << cpu::describe(s);
        });
      }
    }
  }
}

/// A tile of rows is not cut, for its column sums are added by one thread.
TEST(Shares, OfLayerNormAreEvenUpToOneTileOfRows) {
  for (const Shape& shape : shapes_of("rows", 1)) {
    SCOPED_TRACE(shape_text(shape));
    for_machines(shape.n * shape.c, [&](const cpu::ScheduleInput& input) {
      const cpu::RowSchedule s = cpu::make_row_schedule({shape.n, shape.c}, input, input.tensors_read > 1);
      const int64_t most = input.tensors_read > 1 ? s.tiling.tiles : shape.n;
      EXPECT_EQ(std::min<int64_t>(input.threads, most), s.threads);
      const double mean = static_cast<double>(shape.n) / s.threads;
      EXPECT_LE(cpu::largest_share(s), std::max(1.1, 1 + static_cast<double>(s.share_rows) / mean)) << cpu::describe(s);
    });
  }
}

TEST(Shares, OfLayerNormAreEvenAmongPowersOfTwoOfThreads) {
  for (const Shape& shape : shapes_of("rows", 1)) {
    for (const int threads : {4, 8, 16, 32, 64}) {
      for (const int64_t tensors : {1, 2}) {
        const cpu::RowSchedule s = cpu::make_row_schedule(
            {shape.n, shape.c},
            {.bytes_per_element = kFloat, .tensors_read = tensors, .cache = {32 << 10, 1 << 20}, .threads = threads},
            tensors > 1);
        EXPECT_LE(cpu::largest_share(s), 1.1) << cpu::describe(s);
      }
    }
  }
}

}  // namespace
}  // namespace unitvar
