#include "train/idx.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <functional>

#include "cli/files.hpp"
#include "common/failure.hpp"
#include "train/dataset.hpp"

namespace unitvar::testing {
namespace {

using ::testing::HasSubstr;
using train::read_dataset;
using train::read_idx;

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const tool::Failure& failure) {
    return failure.what();
  }
  return "no failure";
}

class IdxFile : public ::testing::Test {
 protected:
  std::string message_for(const std::string& bytes, std::size_t rank = 1) {
    write_bytes(folder_ / "file", bytes);
    return message_of([&] { read_idx(folder_ / "file", rank); });
  }

  TemporaryFolder folder_;
};

TEST_F(IdxFile, IsReadPlain) {
  write_bytes(folder_ / "file", idx_bytes({2, 1, 3}, "abcdef"));
  const train::Idx idx = read_idx(folder_ / "file", 3);
  EXPECT_EQ(idx.shape, (std::vector<std::int64_t>{2, 1, 3}));
  EXPECT_EQ(std::string(idx.values.begin(), idx.values.end()), "abcdef");
}

TEST_F(IdxFile, IsReadGzippedWhateverItsName) {
  const std::string values(3'000'000, 'x');  // several chunks
  write_bytes(folder_ / "file", gzip(idx_bytes({3'000'000}, values)));
  EXPECT_EQ(read_idx(folder_ / "file", 1).values.size(), values.size());
}

TEST_F(IdxFile, ThatIsTruncatedIsRefused) {
  EXPECT_THAT(message_for(idx_bytes({6}, "abc")), HasSubstr("truncated, 3 bytes of values, want 6"));
  EXPECT_THAT(message_for(gzip(idx_bytes({6}, "abc"))), HasSubstr("truncated, 3 bytes of values, want 6"));
  EXPECT_THAT(message_for(idx_bytes({6}, "").substr(0, 7)), HasSubstr("the IDX header is incomplete"));
  EXPECT_THAT(message_for(""), HasSubstr("the IDX header is incomplete"));
}

TEST_F(IdxFile, WhoseGzipStreamEndsAnywhereEarlyIsRefused) {
  const std::string whole = gzip(idx_bytes({6}, "abcdef"));
  for (std::size_t size = 2; size < whole.size(); ++size) {
    EXPECT_THAT(message_for(whole.substr(0, size)), HasSubstr("truncated")) << size;
  }
}

TEST_F(IdxFile, WithAWrongGzipChecksumIsRefused) {
  std::string bytes = gzip(idx_bytes({6}, "abcdef"));
  bytes[bytes.size() - 8] = static_cast<char>(bytes[bytes.size() - 8] ^ 1);
  EXPECT_THAT(message_for(bytes), HasSubstr("corrupt gzip data"));
}

TEST_F(IdxFile, WithBytesBehindItsEndIsRefused) {
  EXPECT_THAT(message_for(idx_bytes({6}, "abcdefg")), HasSubstr("more than the 6 bytes"));
  EXPECT_THAT(message_for(gzip(idx_bytes({6}, "abcdefg"))), HasSubstr("more than the 6 bytes"));
  EXPECT_THAT(message_for(gzip(idx_bytes({6}, "abcdef")) + "x"), HasSubstr("behind the end of the gzip stream"));
}

TEST_F(IdxFile, OfAnotherKindIsRefused) {
  EXPECT_THAT(message_for(idx_bytes({1, 2, 3}, "abcdef"), 1), HasSubstr("is 0x00000803, want 0x00000801"));
  EXPECT_THAT(message_for(std::string("\0\0\x0d\x01\0\0\0\1a", 9)), HasSubstr("is 0x00000d01"));
}

TEST_F(IdxFile, WithImpossibleSizesIsRefused) {
  EXPECT_THAT(message_for(idx_bytes({0, 28, 28}, ""), 3), HasSubstr("0 x 28 x 28"));
  const std::uint32_t most = 0xffffffff;
  EXPECT_THAT(message_for(idx_bytes({most, most, most}, "abc"), 3), HasSubstr("want at most"));
  EXPECT_THAT(message_for(idx_bytes({1U << 31, 1U << 31, 4}, "abc"), 3), HasSubstr("want at most"));
}

TEST_F(IdxFile, DoesNotMakeTheReaderAllocateWhatItsHeaderClaims) {
  const auto peak_kilobytes = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
  };
  const auto before = peak_kilobytes();
  EXPECT_THAT(message_for(gzip(idx_bytes({1'000'000'000}, "abc"))), HasSubstr("truncated"));
  EXPECT_LT(peak_kilobytes() - before, 100'000);
}

TEST_F(IdxFile, ThatIsMissingOrAFolderIsNamed) {
  EXPECT_THAT(message_of([&] { read_idx(folder_ / "nothing", 1); }), HasSubstr("nothing: No such file"));
  EXPECT_THAT(message_of([&] { read_idx(folder_.path(), 1); }), HasSubstr("is a folder"));
}

class DataFolder : public ::testing::Test {
 protected:
  DataFolder() { write_tiny_dataset(folder_.path()); }
  std::string message() {
    return message_of([&] { read_dataset(folder_.path()); });
  }
  TemporaryFolder folder_;
};

TEST_F(DataFolder, IsRead) {
  const train::Dataset data = read_dataset(folder_.path());
  EXPECT_EQ(data.training.count, 300);
  EXPECT_EQ(data.test.count, 60);
  EXPECT_EQ(data.training.size(), 20);
  EXPECT_EQ(data.training.labels[13], 3);
}

TEST_F(DataFolder, GivesTheSameDataUnpacked) {
  const std::uint32_t checksum = read_dataset(folder_.path()).checksum;
  const train::Idx labels = read_idx(folder_ / "t10k-labels-idx1-ubyte.gz", 1);
  fs::remove(folder_ / "t10k-labels-idx1-ubyte.gz");
  write_bytes(folder_ / "t10k-labels-idx1-ubyte",
              idx_bytes({60}, std::string(labels.values.begin(), labels.values.end())));
  EXPECT_EQ(read_dataset(folder_.path()).checksum, checksum);
}

TEST_F(DataFolder, ChecksumSeesOnePixel) {
  const std::uint32_t checksum = read_dataset(folder_.path()).checksum;
  write_tiny_images(folder_.path(), "t10k", 61);
  EXPECT_NE(read_dataset(folder_.path()).checksum, checksum);
}

TEST_F(DataFolder, WithoutAFileIsRefused) {
  fs::remove(folder_ / "train-labels-idx1-ubyte.gz");
  EXPECT_THAT(message(), HasSubstr("has neither train-labels-idx1-ubyte.gz nor"));
  EXPECT_THAT(message_of([&] { read_dataset(folder_ / "nothing"); }), HasSubstr("is not a folder"));
}

TEST_F(DataFolder, WithMoreLabelsThanImagesIsRefused) {
  write_bytes(folder_ / "t10k-labels-idx1-ubyte.gz", gzip(idx_bytes({61}, std::string(61, 1))));
  EXPECT_THAT(message(), HasSubstr("has 61 labels, want 60"));
}

TEST_F(DataFolder, WithALabelAboveNineIsRefused) {
  write_bytes(folder_ / "t10k-labels-idx1-ubyte.gz", gzip(idx_bytes({60}, std::string(60, 10))));
  EXPECT_THAT(message(), HasSubstr("label 0 is 10, want 0 to 9"));
}

TEST_F(DataFolder, WithImagesOfTwoShapesIsRefused) {
  write_bytes(folder_ / "t10k-images-idx3-ubyte.gz", gzip(idx_bytes({60, 5, 4}, std::string(1200, 'x'))));
  EXPECT_THAT(message(), HasSubstr("test images are 5 x 4, want 4 x 5"));
}

}  // namespace
}  // namespace unitvar::testing
