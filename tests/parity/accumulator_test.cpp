// Statistics and gradient sums that are fed tile by tile, with the bits of the plain calls.
#include "unitvar/accumulator.hpp"

#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "support/dtypes.hpp"
#include "support/expect_error.hpp"
#include "support/fenced.hpp"
#include "support/isas.hpp"
#include "support/measure.hpp"
#include "support/phases.hpp"
#include "support/run.hpp"

namespace unitvar::test {
namespace {

using std::int64_t;

/// Both shapes, several tiles in both directions, a last tile that is shorter, one channel, nothing.
std::vector<Extent> tiled_extents() {
  return {{1000, 37, 1}, {300, 20, 1}, {40, 9, 49}, {600, 3, 7},  {11, 19, 784}, {2, 5, 9001},
          {3, 1, 5000},  {2, 3, 65},   {1, 4, 3},   {5000, 1, 1}, {0, 3, 5}};
}

/// Channels [begin, end) of tile t.
struct Piece {
  int64_t t, begin, end;
};

/// All tiles of all channels, channels cut anywhere, in any order.
std::vector<Piece> random_pieces(int64_t tiles, int64_t channels, Random& random) {
  std::vector<Piece> pieces;
  for (int64_t t = 0; t < tiles; ++t) {
    for (int64_t begin = 0; begin < channels;) {
      const int64_t end = random.coin() ? channels : random.integer(begin + 1, channels);
      pieces.push_back({t, begin, end});
      begin = end;
    }
  }
  for (std::size_t k = pieces.size(); k > 1; --k) {
    std::swap(pieces[k - 1], pieces[to_size(random.integer(0, static_cast<int64_t>(k) - 1))]);
  }
  return pieces;
}

/// Calls add(piece) from so many threads.
template <class Add>
void in_parallel(int threads, const std::vector<Piece>& pieces, const Add& add) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (std::size_t k = 0; k < pieces.size(); ++k) add(pieces[k]);
}

/// A piece in memory of its own, that ends with a forbidden page; NaN stands between its rows.
template <class T>
Fenced<T> packed(const std::vector<T>& x, const Extent& e, const TileRange& tile, const Piece& p, int64_t stride) {
  const int64_t row = (p.end - p.begin) * tile.inners;
  std::vector<T> block(to_size((tile.outers - 1) * stride + row), T(std::numeric_limits<float>::quiet_NaN()));
  for (int64_t o = 0; o < tile.outers; ++o) {
    for (int64_t c = p.begin; c < p.end; ++c) {
      const auto from = x.begin() + e.index(tile.outer + o, c, tile.inner);
      std::copy_n(from, tile.inners, block.begin() + o * stride + (c - p.begin) * tile.inners);
    }
  }
  return Fenced<T>(block, Fence::after);
}

int64_t wide_stride(const TileRange& tile, const Piece& p) { return (p.end - p.begin + p.t % 3) * tile.inners; }

/// Two numbers per channel, of either accumulator.
struct Pair {
  std::vector<double> first, second;
};

template <class Accumulator>
Pair finished(Accumulator& a) {
  Pair r{std::vector<double>(to_size(a.extent().channels)), std::vector<double>(to_size(a.extent().channels))};
  a.finish(r.first, r.second);
  return r;
}

template <class T>
class Accumulators : public ::testing::Test {
 protected:
  /// body(problem, what the phases give, the pieces in some order, options)
  template <class Body>
  void for_each_case(const Body& body) {
    Random random(17);
    for (const Extent& extent : tiled_extents()) {
      SCOPED_TRACE(describe(extent));
      const auto p = make_problem<T>(extent, is_half<T> ? 3 : 1e4);
      const PhaseResults<T> want = run_phases(p);
      const MomentsAccumulator<T> a(extent);
      for_each_isa([&](Isa isa) {
        for (const int threads : {1, 2, 4}) {
          body(p, want, random_pieces(a.tiles(), extent.channels, random),
               Options{.cpu = {.threads = threads, .isa = isa}});
        }
      });
    }
  }
};
TYPED_TEST_SUITE(Accumulators, AllDtypes);

TYPED_TEST(Accumulators, MomentsOfTilesInAnyOrderHaveTheBitsOfThePlainCall) {
  using T = TypeParam;
  this->for_each_case([](const Problem<T>& p, const PhaseResults<T>& want, const std::vector<Piece>& pieces,
                         const Options& options) {
    MomentsAccumulator<T> a(p.extent, options);
    in_parallel(options.cpu.threads, pieces, [&](const Piece& piece) { a.add(piece.t, piece.begin, piece.end, p.x); });
    const Pair whole = finished(a);
    EXPECT_TRUE(same_bits(whole.first, want.mean));
    EXPECT_TRUE(same_bits(whole.second, want.m2));
    in_parallel(options.cpu.threads, pieces, [&](const Piece& piece) {
      const TileRange tile = a.tile(piece.t);
      const int64_t stride = wide_stride(tile, piece);
      auto block = packed(p.x, a.extent(), tile, piece, stride);
      a.add_block(piece.t, piece.begin, piece.end, block.span(), stride);
    });
    const Pair blocks = finished(a);
    EXPECT_TRUE(same_bits(blocks.first, want.mean));
    EXPECT_TRUE(same_bits(blocks.second, want.m2));
  });
}

TYPED_TEST(Accumulators, GradientSumsOfTilesInAnyOrderHaveTheBitsOfThePlainCall) {
  using T = TypeParam;
  this->for_each_case(
      [](const Problem<T>& p, const PhaseResults<T>& want, const std::vector<Piece>& pieces, const Options& options) {
        GradientSumsAccumulator<T> a(p.extent, want.mean, options);
        in_parallel(options.cpu.threads, pieces,
                    [&](const Piece& piece) { a.add(piece.t, piece.begin, piece.end, p.x, p.dy); });
        const Pair whole = finished(a);
        EXPECT_TRUE(same_bits(whole.first, want.sum_dy));
        EXPECT_TRUE(same_bits(whole.second, want.sum_dy_xmu));
        in_parallel(options.cpu.threads, pieces, [&](const Piece& piece) {
          const TileRange tile = a.tile(piece.t);
          const int64_t stride = wide_stride(tile, piece);
          auto x = packed(p.x, a.extent(), tile, piece, stride), dy = packed(p.dy, a.extent(), tile, piece, stride);
          a.add_block(piece.t, piece.begin, piece.end, x.span(), dy.span(), stride);
        });
        const Pair blocks = finished(a);
        EXPECT_TRUE(same_bits(blocks.first, want.sum_dy));
        EXPECT_TRUE(same_bits(blocks.second, want.sum_dy_xmu));
      });
}

TEST(AccumulatorCases, OnePassMoreGivesTheBitsOfBatchNorm) {
  for (const Extent& extent : tiled_extents()) {
    if (extent.outer == 0) continue;
    SCOPED_TRACE(describe(extent));
    const auto p = make_problem<float>(extent, 5);
    MomentsAccumulator<float> forward(extent);
    for (int64_t t = 0; t < forward.tiles(); ++t) forward.add(t, 0, extent.channels, p.x);
    const Pair m = finished(forward);
    const auto count = static_cast<double>(extent.count());
    std::vector<double> rstd(m.first.size());
    finish_moments(count, m.second, p.eps, {}, rstd);
    std::vector<float> y(p.x.size()), dx(p.x.size());
    normalize<float>(
        {.extent = extent, .x = p.x, .mean = m.first, .rstd = rstd, .gamma = p.gamma, .beta = p.beta, .y = y});
    const auto want = run_forward(p);
    EXPECT_TRUE(same_bits(y, want.y));
    EXPECT_TRUE(same_bits(m.first, want.mean));
    EXPECT_TRUE(same_bits(rstd, want.rstd));

    GradientSumsAccumulator<float> backward(extent, m.first);
    for (int64_t t = backward.tiles(); t-- > 0;) backward.add(t, 0, extent.channels, p.x, p.dy);
    const Pair s = finished(backward);
    input_gradient<float>({.extent = extent,
                           .x = p.x,
                           .dy = p.dy,
                           .mean = m.first,
                           .rstd = rstd,
                           .gamma = p.gamma,
                           .sum_dy = s.first,
                           .sum_dy_xmu = s.second,
                           .count = count,
                           .dx = dx});
    EXPECT_TRUE(same_bits(dx, run_backward(p).dx));
  }
}

TEST(AccumulatorCases, TilesCoverEachElementOnceAndTheLargestFitsASecondLevelCache) {
  for (const Extent& extent : tiled_extents()) {
    SCOPED_TRACE(describe(extent));
    const MomentsAccumulator<float> a(extent);
    EXPECT_EQ(a.extent().size(), extent.size());
    std::vector<int> seen(to_size(a.extent().count()));
    for (int64_t t = 0; t < a.tiles(); ++t) {
      const TileRange tile = a.tile(t);
      EXPECT_LE(tile.outers * tile.inners, 16384);
      for (int64_t o = tile.outer; o < tile.outer + tile.outers; ++o) {
        for (int64_t i = tile.inner; i < tile.inner + tile.inners; ++i) ++seen[to_size(o * a.extent().inner + i)];
      }
    }
    EXPECT_EQ(seen, std::vector<int>(seen.size(), 1));
  }
}

TEST(AccumulatorCases, ClearingForgetsAndMovingKeeps) {
  const auto p = make_problem<float>(Extent{600, 3, 1}, 2), other = make_problem<float>(Extent{600, 3, 1}, 4);
  const PhaseResults<float> want = run_phases(p);
  MomentsAccumulator<float> first(p.extent);
  first.add(0, 0, 3, other.x);
  first.clear();
  first.add(0, 0, 2, p.x);
  MomentsAccumulator<float> second = std::move(first);
  second.add(0, 2, 3, p.x);
  for (int64_t t = 1; t < second.tiles(); ++t) second.add(t, 0, 3, p.x);
  EXPECT_TRUE(same_bits(finished(second).first, want.mean));
}

class AccumulatorRefuses : public ::testing::Test {
 protected:
  Problem<float> p = make_problem<float>(Extent{20, 4, 784}, 2);
  const PhaseResults<float> want = run_phases(p);
  MomentsAccumulator<float> a{p.extent};
  GradientSumsAccumulator<float> g{p.extent, want.mean};
  std::vector<double> mean = std::vector<double>(4, 7.0), m2 = mean;
};

TEST_F(AccumulatorRefuses, TilesThatAreMissingOrCameBefore) {
  ASSERT_EQ(a.tiles(), 4);
  for (const int64_t t : {3, 0, 1}) a.add(t, 0, 4, p.x), g.add(t, 0, 4, p.x, p.dy);
  a.add(2, 0, 1, p.x), g.add(2, 0, 1, p.x, p.dy);
  a.add(2, 2, 4, p.x), g.add(2, 2, 4, p.x, p.dy);
  expect_error(ErrorCode::bad_state, {"MomentsAccumulator::finish", "tile 2", "channel 1", "missing"},
               [&] { a.finish(mean, m2); });
  expect_error(ErrorCode::bad_state, {"GradientSumsAccumulator::finish", "tile 2", "channel 1", "missing"},
               [&] { g.finish(mean, m2); });
  EXPECT_EQ(mean, std::vector<double>(4, 7.0));
  expect_error(ErrorCode::bad_state, {"MomentsAccumulator::add", "tile 2", "channel 2", "before"},
               [&] { a.add(2, 1, 4, p.x); });
  expect_error(ErrorCode::bad_state, {"GradientSumsAccumulator::add", "tile 0", "channel 3", "before"},
               [&] { g.add(0, 3, 4, p.x, p.dy); });
  a.add(2, 1, 2, p.x), g.add(2, 1, 2, p.x, p.dy);
  a.finish(mean, m2);
  EXPECT_TRUE(same_bits(mean, want.mean));
  g.finish(mean, m2);
  EXPECT_TRUE(same_bits(m2, want.sum_dy_xmu));
  expect_error(ErrorCode::bad_state, {"tile 0", "channel 0", "missing"}, [&] { a.finish(mean, m2); });
}

TEST_F(AccumulatorRefuses, TilesAndChannelsThatAreNotThere) {
  expect_error(ErrorCode::bad_argument, {"tile is 4", "tile < 4"}, [&] { a.add(4, 0, 4, p.x); });
  expect_error(ErrorCode::bad_argument, {"tile is -1", "tile < 4"}, [&] { (void)a.tile(-1); });
  for (const auto& [begin, end] : {std::pair{-1, 2}, {3, 2}, {0, 5}}) {
    expect_error(ErrorCode::bad_argument, {"channels", std::to_string(begin), std::to_string(end), "C = 4"},
                 [&, begin = begin, end = end] { g.add(0, begin, end, p.x, p.dy); });
  }
}

TEST_F(AccumulatorRefuses, DataThatDoNotFit) {
  const std::span<const float> x = p.x;
  expect_error(ErrorCode::wrong_length, {"x", "N*C*S"}, [&] { a.add(0, 0, 4, x.first(100)); });
  expect_error(ErrorCode::wrong_length, {"dy", "N*C*S"}, [&] { g.add(0, 0, 4, x, x.first(100)); });
  const int64_t length = 4 * 3 * 784 + 2 * 784;  // five rows of three channels, of which two are added
  expect_error(ErrorCode::wrong_length, {"block", std::to_string(length - 1), std::to_string(length), "more"},
               [&] { a.add_block(0, 0, 2, x.first(to_size(length - 1)), 3 * 784); });
  EXPECT_NO_THROW(a.add_block(0, 0, 2, x.first(to_size(length)), 3 * 784));
  expect_error(ErrorCode::wrong_length, {"dy"},
               [&] { g.add_block(0, 0, 2, x, x.first(to_size(length - 1)), 3 * 784); });
  for (const int64_t stride : {int64_t{784}, int64_t{3} * 784 + 1, int64_t{-784}, int64_t{784} << 53}) {
    expect_error(ErrorCode::bad_argument, {"stride", std::to_string(stride), "784", "1568"},
                 [&] { a.add_block(1, 0, 2, x, stride); });
  }
  const std::span<const float> nowhere(static_cast<const float*>(nullptr), to_size(length));
  expect_error(ErrorCode::null_data, {"block"}, [&] { a.add_block(1, 0, 2, nowhere, 3 * 784); });
}

TEST_F(AccumulatorRefuses, AFinishAndIsAsBefore) {
  for (int64_t t = 0; t < 4; ++t) a.add(t, 0, 4, p.x);
  expect_error(ErrorCode::wrong_length, {"m2", "3", "4"}, [&] { a.finish(mean, std::span(m2).first(3)); });
  a.finish(mean, m2);
  EXPECT_TRUE(same_bits(m2, want.m2));
}

}  // namespace
}  // namespace unitvar::test
