#include "bench/verdict.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace unitvar::testing {
namespace {

using bench::Baseline;
using bench::Fall;
using bench::OldRow;
using bench::Peers;
using bench::Quantity;
using bench::Row;
using bench::RowKey;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// A made-up row of C channels. Its roofline takes a second, we take 1 / `fraction` seconds, our faster quartile
/// `spread` of that less.
Row row_of(std::int64_t channels, double fraction, double spread = 0.01) {
  Row row{};
  row.op = bench::Op::batch_norm;
  row.suite = "made up";
  row.shape = {2, channels, 1, 3, 3, 4};
  row.dtype = "f32";
  row.threads = 1;
  row.roofline = {1, 1, 1};
  row.ours = {1 / fraction, (1 - spread) / fraction, (1 + spread) / fraction};
  return row;
}

Row against_onednn(Row row, double same_ratio, double best_ratio) {
  const auto spread = [&](double ratio) {
    const double seconds = ratio * row.ours.median;
    return bench::Spread{seconds, seconds, seconds};
  };
  row.onednn_same = spread(same_ratio);
  row.onednn_best = spread(best_ratio);
  return row;
}

/// The rows as an earlier file has them.
Baseline file_of(const std::vector<Row>& rows) {
  Baseline before;
  for (const Row& row : rows) {
    before.rows.push_back(
        {key_of(row), row.shape.count, row.suite, row.roofline_fraction(), row.same_ratio(), row.best_ratio()});
  }
  return before;
}

std::int64_t channels_of(const RowKey& key) { return key.shape.c; }

std::vector<std::int64_t> fallen(const std::vector<Row>& now, const Baseline& before, Peers peers = Peers::count) {
  std::vector<std::int64_t> channels;
  for (const Fall& fall : falls_of(now, before, peers)) channels.push_back(channels_of(fall.key));
  return channels;
}

TEST(BenchVerdict, AsksForAFallOfMoreThanFifteenPercent) {
  const Baseline before = file_of({row_of(1, 0.8), row_of(2, 0.8), row_of(3, 0.8), row_of(4, 0.8)});
  EXPECT_THAT(fallen({row_of(1, 0.8), row_of(2, 0.681), row_of(3, 0.679), row_of(4, 0.95)}, before), ElementsAre(3));
}

TEST(BenchVerdict, AsksForAFallOfMoreThanTheQuartilesOfTheRow) {
  const Baseline before = file_of({row_of(1, 0.8), row_of(2, 0.8)});
  EXPECT_THAT(fallen({row_of(1, 0.6, 0.24), row_of(2, 0.6, 0.26)}, before), ElementsAre(1));
}

TEST(BenchVerdict, ComparesRowsThatStandInBoth) {
  const Baseline before = file_of({row_of(1, 0.8), row_of(3, 0.8)});
  Row threads = row_of(1, 0.1), dtype = row_of(1, 0.1), pass = row_of(1, 0.1), op = row_of(1, 0.1);
  threads.threads = 2;
  dtype.dtype = "bf16";
  pass.pass = Pass::backward;
  op.op = bench::Op::instance_norm;
  EXPECT_THAT(fallen({row_of(2, 0.1), threads, dtype, pass, op}, before), IsEmpty());
}

TEST(BenchVerdict, FindsARowWhateverSuiteItWasMeasuredIn) {
  Row row = row_of(1, 0.1);
  row.suite = "custom";
  row.shape.count = 1;
  EXPECT_THAT(fallen({row}, file_of({row_of(1, 0.8)})), ElementsAre(1));
}

TEST(BenchVerdict, SeesAFallBesideOnednnWhereTheFractionStays) {
  const Row before = against_onednn(row_of(1, 0.5), 4, 1.5);
  const auto falls = falls_of({against_onednn(row_of(1, 0.5), 4, 1)}, file_of({before}), Peers::count);
  ASSERT_EQ(falls.size(), 1U);
  EXPECT_EQ(falls[0].quantity, Quantity::onednn_best);
  EXPECT_DOUBLE_EQ(falls[0].before, 1.5);
  EXPECT_DOUBLE_EQ(falls[0].now.at(0), 1);
}

TEST(BenchVerdict, LeavesOutRatiosToAnotherOnednn) {
  const Row before = against_onednn(row_of(1, 0.5), 4, 1.5);
  EXPECT_THAT(fallen({against_onednn(row_of(1, 0.5), 1, 1)}, file_of({before}), Peers::do_not_count), IsEmpty());
  EXPECT_THAT(fallen({against_onednn(row_of(1, 0.1), 4, 1.5)}, file_of({before}), Peers::do_not_count), ElementsAre(1));
}

TEST(BenchVerdict, LeavesOutRatiosThatOneOfTheTwoDoesNotHave) {
  const Row with = against_onednn(row_of(1, 0.5), 4, 1.5), without = row_of(1, 0.5);
  EXPECT_THAT(fallen({with}, file_of({without})), IsEmpty());
  EXPECT_THAT(fallen({without}, file_of({with})), IsEmpty());
}

/// Measures rows as one told before, and keeps what it was asked for.
struct Script {
  std::vector<std::vector<Row>> answers;
  std::vector<std::vector<std::int64_t>> asked = {};

  std::vector<Row> operator()(const std::set<RowKey>& keys) {
    asked.emplace_back();
    for (const RowKey& key : keys) asked.back().push_back(channels_of(key));
    return answers.at(asked.size() - 1);
  }
};

TEST(BenchVerdict, MeasuresTwiceMoreWhatFell) {
  const Baseline before = file_of({row_of(1, 0.8), row_of(2, 0.8), row_of(3, 0.8), row_of(4, 0.8)});
  std::vector<Row> rows = {row_of(1, 0.8), row_of(2, 0.4), row_of(3, 0.4), row_of(4, 0.4)};
  Script script{{{row_of(2, 0.8), row_of(3, 0.41), row_of(4, 0.41)}, {row_of(3, 0.79), row_of(4, 0.42)}}};
  const auto falls = confirmed_falls(rows, before, Peers::count, std::ref(script));
  EXPECT_THAT(script.asked, ElementsAre(ElementsAre(2, 3, 4), ElementsAre(3, 4)));
  ASSERT_EQ(falls.size(), 1U);
  EXPECT_EQ(channels_of(falls[0].key), 4);
  EXPECT_THAT(falls[0].now,
              ElementsAre(::testing::DoubleEq(0.4), ::testing::DoubleEq(0.41), ::testing::DoubleEq(0.42)));
  std::vector<double> kept;
  for (const Row& row : rows) kept.push_back(row.roofline_fraction());
  EXPECT_THAT(kept, ElementsAre(::testing::DoubleEq(0.8), ::testing::DoubleEq(0.8), ::testing::DoubleEq(0.79),
                                ::testing::DoubleEq(0.42)));
}

TEST(BenchVerdict, MeasuresNothingAgainWhereNothingFell) {
  std::vector<Row> rows = {row_of(1, 0.8)};
  Script script{{}};
  EXPECT_THAT(confirmed_falls(rows, file_of({row_of(1, 1e-9)}), Peers::count, std::ref(script)), IsEmpty());
  EXPECT_THAT(script.asked, IsEmpty());
}

TEST(BenchVerdict, WantsTheSameQuantityToFallEachTime) {
  const Baseline before = file_of({against_onednn(row_of(1, 0.8), 4, 4)});
  std::vector<Row> rows = {against_onednn(row_of(1, 0.4), 4, 4)};
  Script script{{{against_onednn(row_of(1, 0.8), 1, 1)}}};
  EXPECT_THAT(confirmed_falls(rows, before, Peers::count, std::ref(script)), IsEmpty());
  EXPECT_EQ(script.asked.size(), 1U);
}

}  // namespace
}  // namespace unitvar::testing
