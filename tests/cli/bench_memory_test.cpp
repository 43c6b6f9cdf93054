#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "bench/bare_loop.hpp"
#include "bench/element_order.hpp"
#include "bench/expectation.hpp"
#include "bench/library.hpp"
#include "bench/roofline.hpp"
#include "bench/traffic_simd.hpp"

namespace unitvar::testing {
namespace {

using bench::Buffer;
using bench::Layout;
using bench::Moving;
using ::testing::HasSubstr;

constexpr Moving all_ways[] = {{false, false}, {false, true}, {true, false}, {true, true}};

std::vector<std::byte> noise(std::size_t size, std::uint64_t stream) {
  std::vector<std::byte> bytes(size);
  for (std::size_t k = 0; k < size; ++k) bytes[k] = static_cast<std::byte>(bench::data::hash(k, stream));
  return bytes;
}

TEST(BenchTraffic, MovesEveryByteAndNoOther) {
  for (const std::size_t size : {0U, 1U, 63U, 64U, 255U, 256U, 257U, 1000U, 4096U, 70'001U}) {
    const auto x = noise(size, 1), dy = noise(size, 2);
    for (const Moving how : all_ways) {
      Buffer<std::byte> out(size + 64);
      std::memset(out.data(), 0x5a, out.bytes());
      bench::copy_bytes(x.data(), out.data(), size, how);
      EXPECT_TRUE(std::equal(x.begin(), x.end(), out.data()));
      bench::triad_bytes(x.data(), dy.data(), out.data(), size, how);
      for (std::size_t k = 0; k < size; ++k) {
        ASSERT_EQ(out.data()[k], x[k] ^ dy[k]) << k << " of " << size;
      }
      for (std::size_t k = size; k < out.size(); ++k) ASSERT_EQ(out.data()[k], std::byte{0x5a});
      (void)bench::read_bytes(x.data(), size, how);
    }
  }
}

TEST(BenchRoofline, MovesTheWholeTensorHoweverManyThreads) {
  const std::size_t size = 1'000'003;
  Buffer<std::byte> x(size), dy(size), out(size);
  std::memcpy(x.data(), noise(size, 1).data(), size);
  std::memcpy(dy.data(), noise(size, 2).data(), size);
  for (const Pass pass : {Pass::forward, Pass::backward, Pass::inference}) {
    for (const Walk walk : {Walk::resident, Walk::streamed}) {
      for (const int threads : {1, 2, 3}) {
        for (const auto& rival : bench::roofline_rivals({x.data(), dy.data(), out.data(), size, pass, walk, threads})) {
          std::memset(out.data(), 0, size);
          rival.run();
          std::size_t wrong = 0;
          for (std::size_t k = 0; k < size; ++k) {
            wrong += out.data()[k] != (pass == Pass::backward ? x.data()[k] ^ dy.data()[k] : x.data()[k]) ? 1 : 0;
          }
          EXPECT_EQ(wrong, 0U) << rival.name;
        }
      }
    }
  }
}

TEST(BenchElementOrder, KeepsEveryElementAtItsPlace) {
  const bench::Shape shape{.n = 2, .c = 19, .d = 1, .h = 7, .w = 43};
  const std::int64_t S = shape.points(), blocks = 2;
  std::vector<float> nchw(static_cast<std::size_t>(shape.n * shape.c * S));
  std::iota(nchw.begin(), nchw.end(), 1.0F);
  std::vector<float> nhwc(nchw.size()), blocked(static_cast<std::size_t>(shape.n * blocks * 16 * S)), back(nchw.size());
  bench::copy_elements(nchw.data(), {shape, 1}, nhwc.data(), {shape, shape.c}, sizeof(float));
  bench::copy_elements(nhwc.data(), {shape, shape.c}, blocked.data(), {shape, 16}, sizeof(float));
  bench::copy_elements(blocked.data(), {shape, 16}, back.data(), {shape, 1}, sizeof(float));
  EXPECT_EQ(back, nchw);
  const auto at = [&](std::int64_t n, std::int64_t c, std::int64_t s) {
    return nchw[static_cast<std::size_t>((n * shape.c + c) * S + s)];
  };
  EXPECT_EQ(nhwc[static_cast<std::size_t>((1 * S + 5) * shape.c + 17)], at(1, 17, 5));
  EXPECT_EQ(blocked[static_cast<std::size_t>(((1 * blocks + 1) * S + 5) * 16 + 1)], at(1, 17, 5));
}

// The same numbers as in bench/pytorch_compare.py, which makes the data anew.
TEST(BenchData, AreThoseOfOtherImplementations) {
  EXPECT_DOUBLE_EQ(bench::data::noise(0, 1), -0.40301578925503245);
  EXPECT_DOUBLE_EQ(bench::data::noise(1000, 2), -0.12183768040302313);
  EXPECT_DOUBLE_EQ(bench::data::noise(0, 3), -1.6695990854881084);
  EXPECT_DOUBLE_EQ(bench::data::noise(1000, 4), 0.265955006051111);
}

template <class T>
class BenchProblem : public ::testing::Test {};
using Types = ::testing::Types<float, double, bf16, f16>;
TYPED_TEST_SUITE(BenchProblem, Types);

TYPED_TEST(BenchProblem, HoldsTheSameValuesInBothLayouts) {
  const bench::Shape shape{.n = 3, .c = 5, .d = 2, .h = 3, .w = 4};
  const bench::Problem<TypeParam> first(shape, Layout::channels_first), last(shape, Layout::channels_last);
  const std::int64_t S = shape.points();
  for (std::int64_t n = 0; n < shape.n; ++n) {
    for (std::int64_t c = 0; c < shape.c; ++c) {
      for (std::int64_t s = 0; s < S; ++s) {
        const auto a = static_cast<std::size_t>((n * shape.c + c) * S + s);
        const auto b = static_cast<std::size_t>((n * S + s) * shape.c + c);
        ASSERT_EQ(first.x.data()[a], last.x.data()[b]);
        ASSERT_EQ(first.dy.data()[a], last.dy.data()[b]);
      }
    }
  }
}

TYPED_TEST(BenchProblem, IsSolvedByTheLibraryAndByBareLoops) {
  using bench::Expectation;
  for (const Layout layout : {Layout::channels_first, Layout::channels_last}) {
    bench::Problem<TypeParam> problem({.n = 6, .c = 4, .d = 1, .h = 5, .w = 5}, layout);
    const Expectation<TypeParam> expectation(problem);
    for (const Pass pass : {Pass::forward, Pass::backward, Pass::inference}) {
      problem.poison();
      bench::run_library(problem, pass, {.cpu = {.threads = 1}});
      EXPECT_NO_THROW(expectation.check(pass, problem, "unitvar", Expectation<TypeParam>::promised()));
      problem.poison();
      bench::run_bare_loop(problem, pass);
      EXPECT_NO_THROW(expectation.check(pass, problem, "the loop", Expectation<TypeParam>::same_thing()));
    }
  }
}

TYPED_TEST(BenchProblem, IsNotSolvedByOneWrongValueOrOneMissing) {
  bench::Problem<TypeParam> problem({.n = 6, .c = 4, .d = 1, .h = 5, .w = 5}, Layout::channels_first);
  const bench::Expectation<TypeParam> expectation(problem);
  bench::run_library(problem, Pass::forward, {.cpu = {.threads = 1}});
  const auto refusal = [&](TypeParam value) {
    problem.out.data()[311] = value;
    try {
      expectation.check(Pass::forward, problem, "who", bench::Expectation<TypeParam>::promised());
    } catch (const tool::Failure& failure) {
      return std::string(failure.what());
    }
    return std::string("nothing refused");
  };
  EXPECT_THAT(refusal(TypeParam(9)), HasSubstr("who: relative L2 error of y is "));
  EXPECT_THAT(refusal(TypeParam(std::numeric_limits<double>::quiet_NaN())), HasSubstr("who: "));
}

TEST(BenchJudgement, TakesAllOfASmallTensorAndWholeChannelsOfALargeOne) {
  EXPECT_EQ(bench::judged_channels({2, 3, 5}).size(), 3U);
  const auto channels = bench::judged_channels({50, 64, 12'544});
  EXPECT_GE(channels.size(), 4U);
  EXPECT_LT(channels.size(), 64U);
  EXPECT_EQ(channels.front(), 0);
  EXPECT_EQ(channels.back(), 63);
}

}  // namespace
}  // namespace unitvar::testing
