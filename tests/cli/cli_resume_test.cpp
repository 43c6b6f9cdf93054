#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <thread>

#include "cli/process.hpp"
#include "cli/runs.hpp"

namespace unitvar::testing {
namespace {

using ::testing::HasSubstr;

// Long enough to be killed many times, with a checkpoint every few steps so that kills hit their writing too.
const std::vector<std::string> long_run = {"--steps", "4000", "--checkpoint-every", "20", "--eval-every", "250"};

class Resume : public ::testing::Test {
 protected:
  Resume() { write_tiny_dataset(data_); }

  [[nodiscard]] std::vector<std::string> arguments(const fs::path& out, bool resume) const {
    std::vector<std::string> all = tiny_training(data_, out, long_run);
    if (resume) all.emplace_back("--resume");
    return all;
  }

  // Waits until the run writes a checkpoint, or ends.
  void wait_for_new_checkpoint(Process& process) const {
    const auto stamp = [&] {
      std::error_code missing;
      return fs::last_write_time(out_ / "checkpoint-none.safetensors", missing);
    };
    const auto before = stamp();
    while (process.running() && stamp() == before) std::this_thread::sleep_for(std::chrono::microseconds(200));
  }

  void expect_result_of_a_run_never_stopped() const {
    ASSERT_EQ(run_program(arguments(folder_ / "whole", false)).code, 0);
    const RunResult wanted(folder_ / "whole"), found(out_);
    EXPECT_EQ(found.history, wanted.history);
    EXPECT_EQ(found.percentiles, wanted.percentiles);
    EXPECT_TRUE(found.batch == wanted.batch);
    EXPECT_TRUE(found.none == wanted.none);
  }

  TemporaryFolder folder_;
  fs::path data_ = folder_ / "data";
  fs::path out_ = folder_ / "out";
};

TEST_F(Resume, AfterKillsAtManyMomentsEndsInTheSameBits) {
  int kills = 0;
  for (int delay_us : {0, 0, 300, 1'000, 2'500, 5'000, 10'000, 20'000, 40'000}) {
    Process process(arguments(out_, kills > 0));
    // The first kill comes before any checkpoint.
    if (kills > 0) wait_for_new_checkpoint(process);
    std::this_thread::sleep_for(std::chrono::microseconds(delay_us));
    process.signal(SIGKILL);
    kills += process.wait() == -SIGKILL;
  }
  EXPECT_GE(kills, 3) << "the run is too short to be killed";
  const Ending last = run_program(arguments(out_, true));
  ASSERT_EQ(last.code, 0) << last.errors;
  EXPECT_THAT(last.errors, HasSubstr("resuming at step "));
  expect_result_of_a_run_never_stopped();
}

class ResumeAfter : public Resume, public ::testing::WithParamInterface<int> {};

INSTANTIATE_TEST_SUITE_P(Signal, ResumeAfter, ::testing::Values(SIGINT, SIGTERM, SIGHUP));

TEST_P(ResumeAfter, EndsInTheSameBits) {
  Process process(arguments(out_, false));
  wait_for_new_checkpoint(process);
  process.signal(GetParam());
  ASSERT_EQ(process.wait(), 128 + GetParam());
  EXPECT_THAT(process.errors(), HasSubstr("stopped network batch at step "));
  EXPECT_THAT(process.errors(), HasSubstr("stopped network none at step "));
  EXPECT_FALSE(fs::exists(out_ / "history.csv"));
  ASSERT_EQ(run_program(arguments(out_, true)).code, 0);
  expect_result_of_a_run_never_stopped();
}

TEST_F(Resume, IsNotNeededIfTheShellHadTheSignalIgnored) {
  Process process(arguments(out_, false), {}, by_shell("trap '' HUP;"));
  wait_for_new_checkpoint(process);
  process.signal(SIGHUP);
  EXPECT_EQ(process.wait(), 0);
}

TEST_F(Resume, OfAFinishedRunWritesTheSameAgain) {
  ASSERT_EQ(run_program(arguments(out_, false)).code, 0);
  const std::string history = read_bytes(out_ / "history.csv");
  fs::remove(out_ / "history.csv");
  ASSERT_EQ(run_program(arguments(out_, true)).code, 0);
  EXPECT_EQ(read_bytes(out_ / "history.csv"), history);
}

TEST_F(Resume, WithMoreStepsContinuesTheWeights) {
  const auto train = [&](const fs::path& out, const std::vector<std::string>& more) {
    return run_program(tiny_training(data_, out, more)).code;
  };
  ASSERT_EQ(train(out_, {"--steps", "40"}), 0);
  ASSERT_EQ(train(out_, {"--steps", "100", "--resume"}), 0);
  ASSERT_EQ(train(folder_ / "whole", {"--steps", "100"}), 0);
  EXPECT_TRUE(RunResult(out_) == RunResult(folder_ / "whole"));
}

TEST_F(Resume, WithoutACheckpointStartsAtTheBeginning) {
  const Ending ending = run_program(tiny_training(data_, out_, {"--steps", "20", "--resume"}));
  EXPECT_EQ(ending.code, 0);
  EXPECT_THAT(ending.errors, HasSubstr("batch: no checkpoint yet, starting at step 0"));
}

}  // namespace
}  // namespace unitvar::testing
