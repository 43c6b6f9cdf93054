#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "support/expect_error.hpp"
#include "unitvar/extent.hpp"
#include "unitvar/group_norm.hpp"
#include "unitvar/row_extent.hpp"

namespace unitvar::test {
namespace {

using Shape = std::vector<std::int64_t>;
constexpr std::int64_t big = std::int64_t{1} << 40;
constexpr std::int64_t largest = std::numeric_limits<std::int64_t>::max();

TEST(Extent, ChannelsFirstMakersFoldTheInnerAxes) {
  EXPECT_EQ(Extent::nc(5, 7), (Extent{5, 7, 1}));
  EXPECT_EQ(Extent::ncl(5, 7, 11), (Extent{5, 7, 11}));
  EXPECT_EQ(Extent::nchw(5, 7, 11, 13), (Extent{5, 7, 143}));
  EXPECT_EQ(Extent::ncdhw(5, 7, 2, 11, 13), (Extent{5, 7, 286}));
}

TEST(Extent, ChannelsLastMakersFoldTheOuterAxes) {
  EXPECT_EQ(Extent::nlc(5, 11, 7), (Extent{55, 7, 1}));
  EXPECT_EQ(Extent::nhwc(5, 11, 13, 7), (Extent{715, 7, 1}));
  EXPECT_EQ(Extent::ndhwc(5, 2, 11, 13, 7), (Extent{1430, 7, 1}));
}

TEST(Extent, ShapesOfRankTwoToFiveGiveWhatTheNamedMakersGive) {
  EXPECT_EQ(Extent::channels_first(Shape{5, 7}), Extent::nc(5, 7));
  EXPECT_EQ(Extent::channels_first(Shape{5, 7, 11}), Extent::ncl(5, 7, 11));
  EXPECT_EQ(Extent::channels_first(Shape{5, 7, 11, 13}), Extent::nchw(5, 7, 11, 13));
  EXPECT_EQ(Extent::channels_first(Shape{5, 7, 2, 11, 13}), Extent::ncdhw(5, 7, 2, 11, 13));
  EXPECT_EQ(Extent::channels_last(Shape{5, 7}), Extent::nc(5, 7));
  EXPECT_EQ(Extent::channels_last(Shape{5, 11, 7}), Extent::nlc(5, 11, 7));
  EXPECT_EQ(Extent::channels_last(Shape{5, 11, 13, 7}), Extent::nhwc(5, 11, 13, 7));
  EXPECT_EQ(Extent::channels_last(Shape{5, 2, 11, 13, 7}), Extent::ndhwc(5, 2, 11, 13, 7));
}

TEST(Extent, CountSizeAndIndexAreSixtyFourBit) {
  const Extent e = Extent::nchw(70000, 3, 300, 200);
  EXPECT_EQ(e.count(), 4'200'000'000);
  EXPECT_EQ(e.size(), 12'600'000'000);
  EXPECT_EQ(e.index(69999, 2, 59999), e.size() - 1);
  EXPECT_EQ(e.index(0, 0, 0), 0);
  EXPECT_EQ((Extent{2, 3, 4}).index(1, 2, 3), 23);
}

TEST(Extent, AnEmptyBatchIsLegal) {
  EXPECT_EQ(Extent::nchw(0, 3, 4, 5), (Extent{0, 3, 20}));
  EXPECT_EQ(Extent::nhwc(0, 4, 5, 3), (Extent{0, 3, 1}));
  EXPECT_EQ(Extent::nc(0, 3).size(), 0);
  EXPECT_NO_THROW(check_extent("op", {0, 3, 4}, 4));
}

struct Refusal {
  std::string maker, axis, seen;
  std::function<void()> call;
};

void expect_bad_extent(const Refusal& refusal) {
  SCOPED_TRACE(refusal.maker + ", axis " + refusal.axis);
  expect_error(ErrorCode::bad_extent, {refusal.maker, refusal.axis, refusal.seen}, refusal.call);
}

TEST(Extent, MakersNameTheAxisThatIsNegative) {
  const std::vector<Refusal> refusals = {
      {"nc", "N", "-3", [] { Extent::nc(-3, 2); }},
      {"nc", "C", "-3", [] { Extent::nc(2, -3); }},
      {"ncl", "L", "-3", [] { Extent::ncl(2, 2, -3); }},
      {"nchw", "H", "-3", [] { Extent::nchw(2, 2, -3, 2); }},
      {"nchw", "W", "-3", [] { Extent::nchw(2, 2, 2, -3); }},
      {"ncdhw", "D", "-3", [] { Extent::ncdhw(2, 2, -3, 2, 2); }},
      {"nlc", "L", "-3", [] { Extent::nlc(2, -3, 2); }},
      {"nhwc", "N", "-3", [] { Extent::nhwc(-3, 2, 2, 2); }},
      {"nhwc", "H", "-3", [] { Extent::nhwc(2, -3, 2, 2); }},
      {"nhwc", "C", "-3", [] { Extent::nhwc(2, 2, 2, -3); }},
      {"ndhwc", "D", "-3", [] { Extent::ndhwc(2, -3, 2, 2, 2); }},
      {"ndhwc", "W", "-3", [] { Extent::ndhwc(2, 2, 2, -3, 2); }},
  };
  for (const Refusal& refusal : refusals) expect_bad_extent(refusal);
}

TEST(Extent, MakersRefuseZeroChannelsAndZeroInnerAxes) {
  const std::vector<Refusal> refusals = {
      {"nc", "C", "0", [] { Extent::nc(2, 0); }},
      {"ncl", "C", "0", [] { Extent::ncl(2, 0, 2); }},
      {"ncl", "L", "0", [] { Extent::ncl(2, 2, 0); }},
      {"nchw", "H", "0", [] { Extent::nchw(2, 2, 0, 2); }},
      {"nchw", "W", "0", [] { Extent::nchw(0, 2, 2, 0); }},
      {"ncdhw", "D", "0", [] { Extent::ncdhw(2, 2, 0, 2, 2); }},
      {"nlc", "C", "0", [] { Extent::nlc(2, 2, 0); }},
      {"nhwc", "C", "0", [] { Extent::nhwc(2, 2, 2, 0); }},
      {"ndhwc", "C", "0", [] { Extent::ndhwc(0, 2, 2, 2, 0); }},
  };
  for (const Refusal& refusal : refusals) expect_bad_extent(refusal);
}

TEST(Extent, TwoNegativeAxesDoNotMakeAPositiveProduct) {
  expect_error(ErrorCode::bad_extent, {"nhwc"}, [] { Extent::nhwc(2, -1, -3, 4); });
  expect_error(ErrorCode::bad_extent, {"nchw"}, [] { Extent::nchw(2, 4, -1, -3); });
  expect_error(ErrorCode::bad_extent, {"op"}, [] { check_extent("op", {-2, -3, 4}, 4); });
  expect_error(ErrorCode::bad_extent, {"op"}, [] { check_extent("op", {2, -3, -4}, 4); });
}

TEST(Extent, MakersRefuseProductsBeyondSixtyFourBits) {
  expect_error(ErrorCode::overflow, {"nc"}, [] { Extent::nc(big, big); });
  expect_error(ErrorCode::overflow, {"nchw"}, [] { Extent::nchw(1, 1, big, big); });
  expect_error(ErrorCode::overflow, {"nchw"}, [] { Extent::nchw(0, 1, big, big); });
  expect_error(ErrorCode::overflow, {"nhwc"}, [] { Extent::nhwc(big, 1, big, 1); });
  expect_error(ErrorCode::overflow, {"ndhwc"}, [] { Extent::ndhwc(1 << 20, 1 << 20, 1 << 20, 8, 1); });
  expect_error(ErrorCode::overflow, {"ncdhw"}, [] { Extent::ncdhw(1 << 20, 1 << 20, 1 << 20, 4, 2); });
  expect_error(ErrorCode::overflow, {"channels_first"}, [] { Extent::channels_first(Shape{big, 3, big, 1}); });
  expect_error(ErrorCode::overflow, {"channels_last"}, [] { Extent::channels_last(Shape{big, 1, big, 1}); });
}

TEST(Extent, TheLargestProductsThatFitAreAccepted) {
  EXPECT_EQ(Extent::nc(largest, 1).outer, largest);
  EXPECT_EQ(Extent::nchw(1, 1, 1, largest).inner, largest);
  EXPECT_EQ(Extent::ncdhw(1 << 20, 1 << 20, 1 << 20, 2, 1).size(), std::int64_t{1} << 61);
}

TEST(Extent, RanksOtherThanTwoToFiveAreRefusedWithTheRankSeen) {
  expect_error(ErrorCode::bad_extent, {"channels_first", "1"}, [] { Extent::channels_first(Shape{5}); });
  expect_error(ErrorCode::bad_extent, {"channels_first", "0"}, [] { Extent::channels_first(Shape{}); });
  expect_error(ErrorCode::bad_extent, {"channels_first", "6"}, [] { Extent::channels_first(Shape{1, 2, 3, 4, 5, 6}); });
  expect_error(ErrorCode::bad_extent, {"channels_last", "6"}, [] { Extent::channels_last(Shape{1, 2, 3, 4, 5, 6}); });
}

/// As PyTorch's BatchNorm1d: a vector could be N values of one channel or one sample of C.
TEST(Extent, AVectorHasNoAxisOfChannels) {
  for (const std::int64_t size : {0, 1, 7}) {
    const auto refused = [](const char* maker, auto&& call) {
      expect_error(ErrorCode::bad_extent, {maker, "shape has rank 1, want 2 to 5, N and C at least", "{1, C}"}, call);
    };
    refused("Extent::channels_first", [&] { Extent::channels_first(Shape{size}); });
    refused("Extent::channels_last", [&] { Extent::channels_last(Shape{size}); });
    refused("Extent::channels_first", [&] { Groups::channels_first(Shape{size}, 1); });
    refused("Extent::channels_last", [&] { Groups::channels_last(Shape{size}, 1); });
  }
  EXPECT_EQ(Extent::channels_first(Shape{1, 7}), Extent::channels_last(Shape{1, 7}));
}

TEST(Extent, ShapeMakersNameThemselvesAndTheValueSeen) {
  expect_error(ErrorCode::bad_extent, {"channels_first", "-3"}, [] { Extent::channels_first(Shape{2, -3, 4}); });
  expect_error(ErrorCode::bad_extent, {"channels_last", "-3"}, [] { Extent::channels_last(Shape{2, -3, 4}); });
  expect_error(ErrorCode::bad_extent, {"channels_last", "0"}, [] { Extent::channels_last(Shape{2, 4, 0}); });
}

TEST(CheckExtent, NamesTheOperationAndTheValueSeen) {
  expect_error(ErrorCode::bad_extent, {"my_operation", "channels", "0"}, [] {
    check_extent("my_operation", {2, 0, 4}, 4);
  });
  expect_error(ErrorCode::bad_extent, {"my_operation", "inner", "-7"}, [] {
    check_extent("my_operation", {2, 3, -7}, 4);
  });
  expect_error(ErrorCode::bad_extent, {"my_operation", "outer", "-7"}, [] {
    check_extent("my_operation", {-7, 3, 2}, 4);
  });
}

TEST(CheckExtent, RefusesElementsWithoutBytes) {
  for (const std::int64_t bytes : {std::int64_t{-4}, std::int64_t{0}}) {
    expect_error(ErrorCode::bad_argument, {"op", "bytes_per_element is " + std::to_string(bytes)}, [&] {
      check_extent("op", Extent{8, 1, 1}, bytes);
    });
    expect_error(ErrorCode::bad_argument, {"op", "bytes_per_element is " + std::to_string(bytes)}, [&] {
      check_extent("op", RowExtent{8, 1}, bytes);
    });
  }
}

TEST(CheckExtent, CountsBytesNotOnlyElements) {
  const Extent e{std::int64_t{1} << 30, 1 << 10, 1 << 20};  // 2^60 elements
  EXPECT_NO_THROW(check_extent("op", e, 4));
  expect_error(ErrorCode::overflow, {"op"}, [&] { check_extent("op", e, 8); });
  EXPECT_NO_THROW(check_extent("op", {largest / 8, 1, 1}, 8));
  expect_error(ErrorCode::overflow, {"op"}, [] { check_extent("op", {largest / 8 + 1, 1, 1}, 8); });
  expect_error(ErrorCode::overflow, {"op"}, [] { check_extent("op", {big, big, big}, 4); });
  expect_error(ErrorCode::overflow, {"op"}, [] { check_extent("op", {largest, largest, largest}, 1); });
}

}  // namespace
}  // namespace unitvar::test
