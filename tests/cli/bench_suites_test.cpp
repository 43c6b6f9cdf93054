#include "bench/suites.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "cli/files.hpp"
#include "common/failure.hpp"

namespace unitvar::testing {
namespace {

using bench::Shape;
using ::testing::HasSubstr;

class BenchSuites : public ::testing::Test {
 protected:
  fs::path csv(const std::string& text) {
    write_bytes(folder_ / "some.csv", text);
    return folder_ / "some.csv";
  }

  std::string refusal(const std::string& text) {
    try {
      (void)bench::read_suite(csv(text));
    } catch (const tool::UsageError& error) {
      ADD_FAILURE() << "a broken file is no usage error: " << error.what();
    } catch (const tool::Failure& failure) {
      return failure.what();
    }
    return "nothing refused";
  }

  TemporaryFolder folder_;
};

TEST_F(BenchSuites, ReadAFileOfShapes) {
  const bench::Suite suite = bench::read_suite(csv("n,c,d,h,w,count\n50,64,1,112,112,1\n2,3,4,5,6,7\n"));
  EXPECT_EQ(suite.name, "some");
  const std::vector<Shape> wanted = {{50, 64, 1, 112, 112, 1}, {2, 3, 4, 5, 6, 7}};
  EXPECT_EQ(suite.shapes, wanted);
}

TEST_F(BenchSuites, ReadTheLineEndsOfOtherSystems) {
  EXPECT_EQ(bench::read_suite(csv("n,c,d,h,w,count\r\n1,2,3,4,5,6\r\n")).shapes.size(), 1U);
  EXPECT_EQ(bench::read_suite(csv("n,c,d,h,w,count\n1,2,3,4,5,6")).shapes.size(), 1U);
}

TEST_F(BenchSuites, ReadWhatSpreadsheetsWrite) {
  const std::string rows = "\r\n1,2,3,4,5,6\r\n \t\r\n\r\n6,5,4,3,2,1\r\n\r\n";
  const std::vector<Shape> wanted = {{1, 2, 3, 4, 5, 6}, {6, 5, 4, 3, 2, 1}};
  EXPECT_EQ(bench::read_suite(csv("\xef\xbb\xbfn,c,d,h,w,count" + rows)).shapes, wanted);
}

TEST_F(BenchSuites, NameFileLineAndValueOfWhatIsWrong) {
  const std::string header = "n,c,d,h,w,count\n";
  EXPECT_THAT(refusal(""), HasSubstr("some.csv:1: the file is empty, want the header n,c,d,h,w,count"));
  EXPECT_THAT(refusal("n,c,h,w\n"), HasSubstr("some.csv:1: the header is 'n,c,h,w', want 'n,c,d,h,w,count'"));
  EXPECT_THAT(refusal(header), HasSubstr("some.csv:2: no shape below the header, want at least 1"));
  EXPECT_THAT(refusal(header + "1,2,3\n"), HasSubstr("some.csv:2: '1,2,3' has 3 values, want 6"));
  EXPECT_THAT(refusal(header + "1,2,3,4,5,6,7\n"), HasSubstr("has 7 values, want 6"));
  EXPECT_THAT(refusal(header + "1,2,3,4,5,6\n\n1,2\n"), HasSubstr("some.csv:4: '1,2' has 2 values, want 6"));
  EXPECT_THAT(refusal(header + "\n \r\n"), HasSubstr("no shape below the header, want at least 1"));
  EXPECT_THAT(refusal(header + "1,2,3,4,5,6\n1,2,3,x,5,6\n"), HasSubstr("some.csv:3: h is 'x', want a whole number"));
  EXPECT_THAT(refusal(header + "1,2,3,4, 5,6\n"), HasSubstr("w is ' 5', want a whole number"));
  EXPECT_THAT(refusal(header + "1,2,3,4,5.5,6\n"), HasSubstr("w is '5.5', want a whole number"));
  EXPECT_THAT(refusal(header + "1,0,3,4,5,6\n"), HasSubstr("some.csv:2: c is 0, want at least 1"));
  EXPECT_THAT(refusal(header + "1,2,3,4,5,-6\n"), HasSubstr("count is -6, want at least 1"));
  EXPECT_THAT(refusal(header + "99999999999999999999,2,3,4,5,6\n"), HasSubstr("want a whole number in range"));
  EXPECT_THAT(refusal(header + "4294967296,4294967296,1,1,1,1\n"), HasSubstr("want less than 2^63 bytes"));
}

TEST_F(BenchSuites, AreNotMadeOfFoldersOrNothing) {
  EXPECT_THROW((void)bench::read_suite(folder_.path()), tool::Failure);
  EXPECT_THROW((void)bench::read_suite(folder_ / "missing.csv"), tool::Failure);
}

TEST_F(BenchSuites, AreFoundByNameOrPath) {
  EXPECT_EQ(bench::find_suite("resnet_50").name, "resnet_50");
  EXPECT_EQ(bench::find_suite(csv("n,c,d,h,w,count\n1,2,1,4,5,6\n").string()).shapes.size(), 1U);
  EXPECT_THROW((void)bench::find_suite("resnet_51"), tool::UsageError);
}

std::int64_t layers(const bench::Suite& suite) {
  std::int64_t sum = 0;
  for (const Shape& shape : suite.shapes) sum += shape.count;
  return sum;
}

TEST_F(BenchSuites, BuiltInHoldTheNormalizationsOfTheirNetworks) {
  EXPECT_EQ(layers(bench::find_suite("resnet_50")), 53);
  EXPECT_EQ(layers(bench::find_suite("densenet_121")), 121);
  EXPECT_FALSE(bench::find_suite("default").shapes.empty());
}

TEST(BenchShape, IsParsedFromTwoToFiveAxes) {
  EXPECT_EQ(bench::parse_shape("60,100"), (Shape{60, 100, 1, 1, 1, 1}));
  EXPECT_EQ(bench::parse_shape("2,3,4"), (Shape{2, 3, 1, 1, 4, 1}));
  EXPECT_EQ(bench::parse_shape("2,3,4,5"), (Shape{2, 3, 1, 4, 5, 1}));
  EXPECT_EQ(bench::parse_shape("2,3,4,5,6"), (Shape{2, 3, 4, 5, 6, 1}));
  for (const char* wrong : {"", "5", "1,2,3,4,5,6", "1,2,", "1,,2", "1,0", "1,-2", "1x2", "a,b"}) {
    EXPECT_THROW((void)bench::parse_shape(wrong), tool::UsageError) << wrong;
  }
}

TEST(BenchShape, BecomesTheExtentOfItsLayout) {
  const Shape shape{2, 3, 4, 5, 6, 1};
  EXPECT_EQ(bench::extent_of(shape, bench::Layout::channels_first), (Extent{2, 3, 120}));
  EXPECT_EQ(bench::extent_of(shape, bench::Layout::channels_last), (Extent{240, 3, 1}));
}

}  // namespace
}  // namespace unitvar::testing
