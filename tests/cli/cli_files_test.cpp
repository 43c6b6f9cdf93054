// Files, devices and pipes that the program is told to write, and disks that are full.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <thread>

#include "cli/disk.hpp"
#include "cli/process.hpp"

namespace unitvar::testing {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::vector<std::string> quick_bench(const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {"bench", "--repeat", "1", "--shape", "6,5,4,3", "--threads", "1"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST(BenchFiles, OnAFullDeviceFailAndLeaveTheDevice) {
  const TemporaryFolder folder;
  fs::create_symlink("/dev/full", folder / "full.png");
  for (const auto& [option, path] :
       {std::pair{"--json", fs::path("/dev/full")}, std::pair{"--plot", folder / "full.png"}}) {
    const Ending ending = run_program(quick_bench({option, path}));
    EXPECT_EQ(ending.code, 1);
    EXPECT_THAT(ending.errors, EndsWith("cannot write " + path.string() + ": No space left on device\n"));
    EXPECT_TRUE(fs::is_character_file(path));
  }
}

TEST(BenchFiles, AreNotWrittenThroughPlantedLinks) {
  const TemporaryFolder folder;
  write_bytes(folder / "victim", "precious");
  for (const char* name : {"bars.png.tmp", "bars.gnuplot.tmp", "rows.json.tmp"}) {
    fs::create_symlink("victim", folder / name);
  }
  const Ending ending = run_program(quick_bench({"--json", folder / "rows.json", "--plot", folder / "bars.png"}));
  EXPECT_EQ(ending.code, 0) << ending.errors;
  EXPECT_EQ(read_bytes(folder / "victim"), "precious");
}

TEST(BenchFiles, OnAPipeReachItsReader) {
  const TemporaryFolder folder;
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  std::string seen;
  std::thread reader([&] { seen = read_bytes(folder / "pipe"); });
  const Ending ending = run_program(quick_bench({"--json", folder / "pipe"}));
  reader.join();
  EXPECT_EQ(ending.code, 0) << ending.errors;
  EXPECT_THAT(seen, AllOf(StartsWith("{"), EndsWith("}\n")));
}

TEST(BenchFiles, OnStandardOutputLeaveTheTableToStandardError) {
  const Ending json = run_program(quick_bench({"--json", "-"}));
  EXPECT_EQ(json.code, 0) << json.errors;
  EXPECT_THAT(json.output, AllOf(StartsWith("{"), EndsWith("}\n")));
  EXPECT_THAT(json.errors, HasSubstr("geometric means"));
  const Ending picture = run_program(quick_bench({"--plot", "-"}));
  EXPECT_EQ(picture.code, 0) << picture.errors;
  EXPECT_THAT(picture.output, StartsWith("\x89PNG\r\n"));
}

/// The table has gone to that file already.
TEST(BenchFiles, OnDevStdoutStandBehindTheTable) {
  const Ending ending = run_program(quick_bench({"--json", "/dev/stdout"}));
  EXPECT_EQ(ending.code, 0) << ending.errors;
  EXPECT_THAT(ending.output, AllOf(StartsWith("unitvar batch_norm"), HasSubstr("\"rows\""), EndsWith("}\n")));
}

TEST(StandardOutput, ThatIsFullOrClosedIsAFailure) {
  for (const std::string behind : {">/dev/full", ">&-"}) {
    for (const auto& arguments : {quick_bench({}), {"--version"}, {"train", "--help"}}) {
      const Ending ending = run_program(arguments, {}, by_shell("", behind));
      EXPECT_EQ(ending.code, 1) << arguments.back() << behind;
      EXPECT_THAT(ending.errors, HasSubstr("cannot write standard output: "));
      EXPECT_EQ(std::ranges::count(ending.errors, '\n'), 1) << ending.errors;
    }
  }
}

class TrainFiles : public ::testing::Test {
 protected:
  TrainFiles() { write_tiny_dataset(data_); }

  TemporaryFolder folder_;
  fs::path data_ = folder_ / "data";
  fs::path out_ = folder_ / "out";
};

TEST_F(TrainFiles, AreWrittenAllTheSameIfStandardOutputIsFull) {
  const Ending ending = run_program(tiny_training(data_, out_, {"--steps", "20"}), {}, by_shell("", ">/dev/full"));
  EXPECT_EQ(ending.code, 1);
  EXPECT_THAT(ending.errors, EndsWith("unitvar train: cannot write standard output: No space left on device\n"));
  EXPECT_TRUE(fs::exists(out_ / "percentiles.png"));
}

TEST_F(TrainFiles, AreWrittenAllTheSameIfStandardErrorIsFull) {
  const Ending ending = run_program(tiny_training(data_, out_, {"--steps", "20"}), {}, by_shell("", "2>/dev/full"));
  EXPECT_EQ(ending.code, 0);
  EXPECT_TRUE(fs::exists(out_ / "percentiles.png"));
}

/// Numbers fit below the limit, pictures do not.
TEST_F(TrainFiles, BeyondTheLimitOfTheShellAreNamed) {
  const std::vector<std::string> arguments = tiny_training(data_, out_, {"--steps", "20"});
  const Ending ending = run_program(arguments, {}, by_shell("ulimit -f 16;"));
  EXPECT_EQ(ending.code, 1);
  EXPECT_THAT(ending.errors, AllOf(HasSubstr("unitvar train: "), HasSubstr("accuracy.svg")));
  EXPECT_FALSE(fs::exists(out_ / "accuracy.svg"));
  EXPECT_TRUE(fs::exists(out_ / "summary.txt"));
  const Ending nothing = run_program(tiny_training(data_, folder_ / "other"), {}, by_shell("ulimit -f 1;"));
  EXPECT_EQ(nothing.code, 1);
  EXPECT_THAT(nothing.errors, HasSubstr("safetensors: File too large"));
}

/// Room for the numbers and for some of the pictures.
TEST_F(TrainFiles, OnANearlyFullDiskAreWholeOrNamed) {
  const fs::path disk = folder_ / "disk";
  Disk mounted(disk, "160k");
  if (!mounted.is_mounted()) GTEST_SKIP() << "a small disk cannot be mounted";
  const Ending ending = run_program(tiny_training(data_, disk / "out", {"--steps", "20"}));
  const std::string svg = read_bytes(disk / "out" / "accuracy.svg");
  const bool last = fs::exists(disk / "out" / "percentiles.png"), numbers = fs::exists(disk / "out" / "summary.txt");
  std::size_t unfinished = 0;
  for (const auto& entry : fs::directory_iterator(disk / "out")) unfinished += entry.path().extension() == ".tmp";
  EXPECT_TRUE(mounted.unmount());
  EXPECT_EQ(ending.code, 1);
  EXPECT_THAT(ending.errors, AllOf(HasSubstr("unitvar train: cannot write "), HasSubstr("No space left on device")));
  EXPECT_THAT(svg, EndsWith("</svg>\n\n"));
  EXPECT_FALSE(last);
  EXPECT_TRUE(numbers);
  EXPECT_EQ(unfinished, 0U);
}

/// Said before the work, and what stands there stays.
TEST_F(TrainFiles, OnAReadOnlyDiskAreRefused) {
  const fs::path disk = folder_ / "disk", old = disk / "out";
  Disk mounted(disk, "4m");
  if (!mounted.is_mounted()) GTEST_SKIP() << "no disk can be mounted";
  EXPECT_EQ(run_program(tiny_training(data_, old, {"--steps", "20"})).code, 0);
  EXPECT_TRUE(mounted.make_read_only());
  const std::string summary = read_bytes(old / "summary.txt");
  const std::string error = ": Read-only file system\n";
  const std::vector<std::vector<std::string>> trainings = {
      tiny_training(data_, disk / "new", {"--steps", "1000000000"}),
      tiny_training(data_, old, {"--steps", "1000000000", "--resume"}),
      tiny_training(data_, old, {"--steps", "1000000000", "--force"})};
  for (const auto& arguments : trainings) {
    const Ending ending = run_program(arguments);
    EXPECT_EQ(ending.code, 1);
    EXPECT_THAT(ending.errors, AllOf(StartsWith("unitvar train: "), HasSubstr(disk), EndsWith(error)));
  }
  for (const char* option : {"--json", "--plot"}) {
    const Ending ending = run_program(quick_bench({"--repeat", "1000000", option, disk / "bench.png"}));
    EXPECT_EQ(ending.code, 1);
    EXPECT_THAT(ending.errors, EndsWith("unitvar bench: cannot write " + (disk / "bench.png").string() + error));
  }
  EXPECT_EQ(read_bytes(old / "summary.txt"), summary);
  EXPECT_TRUE(mounted.unmount());
}

}  // namespace
}  // namespace unitvar::testing
