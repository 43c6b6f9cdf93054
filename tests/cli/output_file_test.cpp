#include "common/output_file.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstdio>
#include <set>
#include <thread>

#include "cli/disk.hpp"
#include "cli/files.hpp"
#include "common/descriptor.hpp"
#include "common/failure.hpp"

namespace unitvar::testing {
namespace {

using ::testing::HasSubstr;

class OutputFile : public ::testing::Test {
 protected:
  static std::string refusal(const fs::path& path, const std::string& text = "new") {
    try {
      tool::write_file(path, text);
    } catch (const tool::Failure& failure) {
      return failure.what();
    }
    return "written";
  }
  [[nodiscard]] std::set<std::string> names() const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_.path())) names.insert(entry.path().filename().string());
    return names;
  }

  TemporaryFolder folder_;
  fs::path file_ = folder_ / "file";
};

TEST_F(OutputFile, HoldsTheNewContentAndHasNothingBesideIt) {
  write_bytes(file_, "older and longer");
  tool::check_writable(file_);
  EXPECT_EQ(read_bytes(file_), "older and longer");
  tool::write_file(file_, "new");
  EXPECT_EQ(read_bytes(file_), "new");
  EXPECT_EQ(names(), std::set<std::string>{"file"});
}

TEST_F(OutputFile, HasTheModeOfTheUmask) {
  const mode_t before = ::umask(027);
  tool::write_file(file_, "new");
  ::umask(before);
  EXPECT_EQ(fs::status(file_).permissions(), fs::perms(0640));
}

TEST_F(OutputFile, IsWhatALinkLeadsTo) {
  fs::create_directory(folder_ / "below");
  fs::create_symlink("below/second", file_);
  fs::create_symlink("target", folder_ / "below" / "second");
  for (const std::string text : {"made", "replaced"}) {
    tool::check_writable(file_);
    tool::write_file(file_, text);
    EXPECT_TRUE(fs::is_symlink(file_));
    EXPECT_TRUE(fs::is_symlink(folder_ / "below" / "second"));
    EXPECT_EQ(read_bytes(folder_ / "below" / "target"), text);
  }
  fs::create_symlink("loop", folder_ / "loop");
  EXPECT_THAT(refusal(folder_ / "loop"), HasSubstr("loop: Too many levels of symbolic links"));
}

TEST_F(OutputFile, IsNotWrittenThroughAPlantedLink) {
  write_bytes(folder_ / "victim", "precious");
  fs::create_symlink("victim", folder_ / "file.tmp");
  tool::check_writable(file_);
  tool::write_file(file_, "new");
  EXPECT_EQ(read_bytes(folder_ / "victim"), "precious");
  EXPECT_EQ(names(), (std::set<std::string>{"file", "file.tmp", "victim"}));
}

TEST_F(OutputFile, OnADeviceIsWrittenToIt) {
  if (::mknod(file_.c_str(), S_IFCHR | 0666, makedev(1, 3)) != 0) GTEST_SKIP() << "only root makes devices";
  tool::check_writable(file_);
  tool::write_file(file_, "new");
  EXPECT_TRUE(fs::is_character_file(file_));
  fs::create_symlink("file", folder_ / "link");
  tool::write_file(folder_ / "link", "new");
  EXPECT_TRUE(fs::is_character_file(file_));
  EXPECT_EQ(refusal("/dev/full"), "cannot write /dev/full: No space left on device");
  EXPECT_TRUE(fs::is_character_file("/dev/full"));
}

TEST_F(OutputFile, OnAPipeReachesItsReaderOnce) {
  ASSERT_EQ(::mkfifo(file_.c_str(), 0600), 0);
  tool::check_writable(file_);
  std::string seen;
  std::thread reader([&] { seen = read_bytes(file_); });
  tool::write_file(file_, "new");
  reader.join();
  EXPECT_EQ(seen, "new");
  EXPECT_TRUE(fs::is_fifo(file_));
}

TEST_F(OutputFile, ThatIsOpenIsAddedTo) {
  write_bytes(file_, "printed before, ");
  const tool::Descriptor open_file(::open(file_.c_str(), O_WRONLY));
  tool::write_file("/dev/fd/" + std::to_string(open_file.get()), "new");
  EXPECT_EQ(read_bytes(file_), "printed before, new");
}

TEST_F(OutputFile, InAFullFolderLeavesWhatWasThere) {
  const fs::path disk = folder_ / "disk";
  Disk mounted(disk, "16k");
  if (!mounted.is_mounted()) GTEST_SKIP() << "a small disk cannot be mounted";
  write_bytes(disk / "file", "old");
  const std::string message = refusal(disk / "file", std::string(20'000, 'x'));
  const std::string left = read_bytes(disk / "file");
  const auto files = std::distance(fs::directory_iterator(disk), fs::directory_iterator());
  EXPECT_TRUE(mounted.unmount());
  EXPECT_THAT(message, HasSubstr("disk/file: No space left on device"));
  EXPECT_EQ(left, "old");
  EXPECT_EQ(files, 1);
}

TEST_F(OutputFile, InAFolderWithoutRoomForNamesIsRefused) {
  EXPECT_THAT(refusal(folder_ / "none" / "file"), HasSubstr("none/file: No such file or directory"));
  EXPECT_THAT(refusal(folder_.path()), HasSubstr(": it is a folder"));
  EXPECT_THAT(refusal(folder_ / std::string(256, 'n')), HasSubstr(": File name too long"));
  EXPECT_EQ(refusal(folder_ / std::string(255, 'n')), "written");
}

TEST_F(OutputFile, IsTheSameUnderAllItsNames) {
  fs::create_symlink(folder_.path(), folder_ / "here");
  fs::create_symlink("file", folder_ / "link");
  for (const char* name : {"file", "link", "here/file", "./here/./link"}) {
    EXPECT_TRUE(tool::same_output(file_, folder_ / name)) << name;
  }
  EXPECT_FALSE(tool::same_output(file_, folder_ / "other"));
  EXPECT_TRUE(tool::same_output("-", "-"));
  EXPECT_TRUE(tool::same_output("-", "/dev/stdout"));
  EXPECT_FALSE(tool::same_output("/dev/null", "/dev/full"));
  EXPECT_FALSE(tool::same_output("-", file_));
}

TEST_F(OutputFile, IsTheSameAsStandardOutputThatTheShellHasOpened) {
  std::fflush(stdout);
  const int own = ::dup(STDOUT_FILENO), opened = ::open(file_.c_str(), O_WRONLY | O_CREAT, 0644);
  ASSERT_GE(::dup2(opened, STDOUT_FILENO), 0);
  const bool same = tool::same_output("-", file_), other = tool::same_output("-", folder_ / "other");
  ::dup2(own, STDOUT_FILENO);
  ::close(own);
  ::close(opened);
  EXPECT_TRUE(same);
  EXPECT_FALSE(other);
}

TEST_F(OutputFile, LeftUnfinishedIsKnownByItsName) {
  EXPECT_TRUE(tool::is_unfinished("a.csv.0123456789abcdef.tmp", "a.csv"));
  for (const char* name : {"a.csv", "a.csv.tmp", "a.csv.0123456789abcdeg.tmp", "b.csv.0123456789abcdef.tmp",
                           "a.csv.0123456789abcdef.tmp2", "a.csv-0123456789abcdef.tmp"}) {
    EXPECT_FALSE(tool::is_unfinished(name, "a.csv")) << name;
  }
}

}  // namespace
}  // namespace unitvar::testing
