// What print_bits says of two reports.
#include "compare.hpp"

#include <gtest/gtest.h>

namespace unitvar::cross {
namespace {

using Lines = std::vector<std::string>;

const Lines recorded{"f32 layer, centered: y=1 dx=2", "f32 layer, outlier: y=3 dx=4", "f64 rms norm, 1e30: y=5"};

TEST(CompareBits, FindsNothingInEqualReports) { EXPECT_TRUE(difference(recorded, recorded).none()); }

TEST(CompareBits, NamesTheResultsThatDiffer) {
  Lines seen = recorded;
  seen[1] = "f32 layer, outlier: y=3 dx=9";
  const Difference d = difference(seen, recorded);
  EXPECT_EQ(d.other, Lines{"f32 layer, outlier: dx"});
  EXPECT_TRUE(d.added.empty() && d.missing.empty());
}

/// Nor does a line that comes before others make these differ.
TEST(CompareBits, TellsNewAndMissingLinesFromOtherBits) {
  const Lines seen{"f16 layer, centered: y=7", recorded[0], "f32 layer, outlier: y=8 dx=4"};
  const Difference d = difference(seen, recorded);
  EXPECT_EQ(d.added, Lines{"f16 layer, centered"});
  EXPECT_EQ(d.missing, Lines{"f64 rms norm, 1e30"});
  EXPECT_EQ(d.other, Lines{"f32 layer, outlier: y"});
}

TEST(CompareBits, MatchesResultsByName) {
  Lines seen = recorded;
  seen[0] = "f32 layer, centered: mean=6 y=1";
  EXPECT_EQ(difference(seen, recorded).other, Lines{"f32 layer, centered: mean (not recorded) dx (missing)"});
}

TEST(CompareBits, IgnoresTheOrderOfLines) {
  EXPECT_TRUE(difference({recorded[2], recorded[0], recorded[1]}, recorded).none());
}

}  // namespace
}  // namespace unitvar::cross
