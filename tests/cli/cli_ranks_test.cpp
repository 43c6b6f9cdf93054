// `unitvar train` under mpirun.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cmath>
#include <thread>

#include "cli/process.hpp"
#include "cli/runs.hpp"

namespace unitvar::testing {
namespace {

using ::testing::HasSubstr;

std::vector<std::string> on_ranks(int ranks) { return {UNITVAR_MPIEXEC, UNITVAR_MPIEXEC_COUNT, std::to_string(ranks)}; }

/// As CMake's tests of MPI have it.
const std::vector<std::string> for_mpirun = {UNITVAR_MPI_ENVIRONMENT};

int count_of(const std::string& part, const std::string& text) {
  int count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

class Ranks : public ::testing::Test {
 protected:
  Ranks() { write_tiny_dataset(data_); }

  [[nodiscard]] std::vector<std::string> arguments(const std::string& out,
                                                   const std::vector<std::string>& more = {}) const {
    return tiny_training(data_, folder_ / out, more);
  }
  void train(const std::string& out, int ranks, const std::vector<std::string>& more) const {
    const Ending ending =
        run_program(arguments(out, more), for_mpirun, ranks == 0 ? std::vector<std::string>() : on_ranks(ranks));
    ASSERT_EQ(ending.code, 0) << ending.errors;
  }

  /// The largest difference between the losses of two runs' histories, over the rows of one network.
  [[nodiscard]] double difference(const std::string& network, const std::string& a, const std::string& b) const {
    const auto first = read_csv(folder_ / a / "history.csv"), second = read_csv(folder_ / b / "history.csv");
    EXPECT_EQ(first.size(), second.size());
    EXPECT_GT(first.size(), 4U);
    double largest = 0;
    for (std::size_t row = 1; row < std::min(first.size(), second.size()); ++row) {
      EXPECT_EQ(first[row][0], second[row][0]);
      EXPECT_EQ(first[row][1], second[row][1]);
      if (first[row][0] != network) continue;
      largest = std::max(largest, std::abs(std::stod(first[row][2]) - std::stod(second[row][2])));
    }
    return largest;
  }

  TemporaryFolder folder_;
  fs::path data_ = folder_ / "data";
};

const std::vector<std::string> short_run = {"--steps", "200"};

TEST_F(Ranks, HaveTheLossCurveOfOneProcess) {
  train("alone", 0, short_run);
  for (const int ranks : {1, 2, 5}) {
    SCOPED_TRACE(ranks);
    train("ranks", ranks, {"--steps", "200", "--force"});
    EXPECT_LE(difference("batch", "alone", "ranks"), 1e-6);
    EXPECT_LE(difference("none", "alone", "ranks"), 1e-6);
  }
}

TEST_F(Ranks, NormalizeTheirOwnPartsWithSyncBnOff) {
  train("alone", 0, short_run);
  train("off", 3, {"--steps", "200", "--sync-bn", "off"});
  EXPECT_GT(difference("batch", "alone", "off"), 1e-3);
  EXPECT_LE(difference("none", "alone", "off"), 1e-6);
}

TEST_F(Ranks, EndAllWhenOneIsKilledAndResumeOnAnyNumber) {
  const std::vector<std::string> run = {"--steps", "1200", "--checkpoint-every", "20", "--eval-every", "250"};
  train("alone", 0, run);
  {
    Process process(arguments("killed", run), for_mpirun, on_ranks(2));
    const fs::path checkpoint = folder_ / "killed" / "checkpoint-batch.safetensors";
    while (process.running() && !fs::exists(checkpoint)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const std::vector<pid_t> ranks = process.children();
    ASSERT_EQ(ranks.size(), 2U) << process.errors();
    ::kill(ranks.back(), SIGKILL);
    EXPECT_NE(process.wait(), 0);  // ctest's limit is the bound in time
    EXPECT_THAT(process.errors(), HasSubstr("signal 9"));
    EXPECT_FALSE(fs::exists(folder_ / "killed" / "history.csv"));
  }
  std::vector<std::string> resumed = run;
  resumed.emplace_back("--resume");
  const Ending ending = run_program(arguments("killed", resumed), for_mpirun, on_ranks(3));
  ASSERT_EQ(ending.code, 0) << ending.errors;
  EXPECT_EQ(count_of("batch: resuming at step ", ending.errors), 1) << ending.errors;
  EXPECT_LE(difference("batch", "alone", "killed"), 1e-4);
  EXPECT_LE(difference("none", "alone", "killed"), 1e-4);
}

TEST_F(Ranks, TellOnceWhatAllRefuse) {
  const Ending ending = run_program(arguments("out", {"--batch", "2"}), for_mpirun, on_ranks(3));
  EXPECT_EQ(ending.code, 2);
  EXPECT_EQ(count_of("--batch is 2, want at least the 3 ranks", ending.errors), 1) << ending.errors;
  EXPECT_FALSE(fs::exists(folder_ / "out"));
}

TEST_F(Ranks, EndAllWhenTheFirstCannotWrite) {
  write_bytes(folder_ / "file", "in the way");
  const Ending ending = run_program(arguments("file"), for_mpirun, on_ranks(2));
  EXPECT_EQ(ending.code, 1);
  EXPECT_EQ(count_of("unitvar train: ", ending.errors), 1) << ending.errors;
}

TEST_F(Ranks, NeedTwoRowsEachWithSyncBnOff) {
  const Ending ending = run_program(arguments("out", {"--batch", "3", "--sync-bn", "off"}), for_mpirun, on_ranks(2));
  EXPECT_EQ(ending.code, 2);
  EXPECT_THAT(ending.errors, HasSubstr("want at least 2 rows on each"));
}

TEST(BenchUnderMpirun, RunsAloneOrIsRefusedOnce) {
  const std::vector<std::string> bench = {"bench", "--repeat", "1", "--shape", "6,5,4,3", "--threads", "1"};
  const Ending many = run_program(bench, for_mpirun, on_ranks(3));
  EXPECT_EQ(many.code, 2);
  EXPECT_EQ(many.output, "");
  EXPECT_EQ(count_of("unitvar bench: started as 3 processes by an MPI launcher, want 1", many.errors), 1)
      << many.errors;
  const Ending one = run_program(bench, for_mpirun, on_ranks(1));
  EXPECT_EQ(one.code, 0) << one.errors;
}

}  // namespace
}  // namespace unitvar::testing
