#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>

#include <map>

#include "cli/process.hpp"
#include "common/descriptor.hpp"

namespace unitvar::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class TrainFailure : public ::testing::Test {
 protected:
  TrainFailure() { write_tiny_dataset(data_); }

  void expect_failure(const std::vector<std::string>& arguments, const std::string& message,
                      const std::vector<std::string>& environment = {}) {
    const Ending ending = run_program(arguments, environment);
    EXPECT_EQ(ending.code, 1);
    EXPECT_THAT(ending.errors, StartsWith("unitvar train: "));
    EXPECT_THAT(ending.errors, HasSubstr(message));
    EXPECT_EQ(std::ranges::count(ending.errors, '\n'), 1) << ending.errors;
    EXPECT_EQ(ending.output, "");
  }

  /// All files of --out.
  [[nodiscard]] std::map<std::string, std::string> contents() const {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::directory_iterator(out_)) files[entry.path()] = read_bytes(entry.path());
    return files;
  }

  TemporaryFolder folder_;
  fs::path data_ = folder_ / "data";
  fs::path out_ = folder_ / "out";
};

TEST_F(TrainFailure, OfMissingDataLeavesNoFolder) {
  expect_failure(tiny_training(folder_ / "nothing", out_), "is not a folder");
  EXPECT_FALSE(fs::exists(out_));
}

TEST_F(TrainFailure, OfCorruptDataLeavesNoFolder) {
  const fs::path images = data_ / "train-images-idx3-ubyte.gz";
  write_bytes(images, read_bytes(images).substr(0, 1000));
  expect_failure(tiny_training(data_, out_), "train-images-idx3-ubyte.gz: truncated");
  EXPECT_FALSE(fs::exists(out_));
}

TEST_F(TrainFailure, OfABatchLargerThanTheDataNamesBoth) {
  expect_failure(tiny_training(data_, out_, {"--batch", "301"}), "--batch is 301, want at most the 300 training");
}

TEST_F(TrainFailure, OfAnOutputBelowAFileIsFoundBeforeTraining) {
  write_bytes(folder_ / "file", "x");
  // So many steps that a run which began would not end.
  const std::vector<std::string> many = {"--steps", "1000000000"};
  expect_failure(tiny_training(data_, folder_ / "file", many), "cannot create --out");
  expect_failure(tiny_training(data_, folder_ / "file" / "below", many), "cannot create --out");
  EXPECT_EQ(read_bytes(folder_ / "file"), "x");
}

TEST_F(TrainFailure, OfAnOutputInUseNamesIt) {
  fs::create_directory(out_);
  const tool::Descriptor lock(::open(out_.c_str(), O_RDONLY | O_DIRECTORY));
  ASSERT_EQ(::flock(lock.get(), LOCK_EX), 0);
  expect_failure(tiny_training(data_, out_), "is in use by another run");
}

TEST_F(TrainFailure, OfAnUnknownInstructionSetTouchesNothing) {
  expect_failure(tiny_training(data_, out_), "UNITVAR_ISA: instruction set is 'nonsense'", {"UNITVAR_ISA=nonsense"});
  EXPECT_FALSE(fs::exists(out_));
  ASSERT_EQ(run_program(tiny_training(data_, out_, {"--steps", "20", "--quiet"})).code, 0);
  const auto before = contents();
  expect_failure(tiny_training(data_, out_, {"--force"}), "is 'nonsense'", {"UNITVAR_ISA=nonsense"});
  EXPECT_EQ(contents(), before);
}

TEST_F(TrainFailure, OfAnEarlierRunInTheFolderNamesTheWaysOn) {
  const std::vector<std::string> again = tiny_training(data_, out_, {"--steps", "30"});
  ASSERT_EQ(run_program(tiny_training(data_, out_, {"--steps", "20", "--quiet"})).code, 0);
  const auto finished = contents();
  expect_failure(again,
                 "out holds model-batch.safetensors of an earlier run: --resume continues it, --force deletes it");
  EXPECT_EQ(contents(), finished);

  for (const auto& [path, bytes] : finished) {
    if (path.find("checkpoint") == std::string::npos) fs::remove(path);
  }
  const auto interrupted = contents();
  expect_failure(again, "out holds checkpoint-batch.safetensors of an earlier run: --resume continues it");
  EXPECT_EQ(contents(), interrupted);
  std::vector<std::string> forced = again;
  forced.emplace_back("--force");
  EXPECT_EQ(run_program(forced).code, 0);
}

TEST_F(TrainFailure, OfResultsWithoutACheckpointDoesNotCallThatResuming) {
  ASSERT_EQ(run_program(tiny_training(data_, out_, {"--steps", "20", "--quiet", "--norm", "none"})).code, 0);
  const auto before = contents();
  expect_failure(tiny_training(data_, out_, {"--resume", "--norm", "batch"}), "--resume finds no checkpoint of it");
  EXPECT_EQ(contents(), before);
}

class ResumeFailure : public TrainFailure {
 protected:
  ResumeFailure() { EXPECT_EQ(run_program(tiny_training(data_, out_, {"--steps", "40", "--quiet"})).code, 0); }

  void expect_refusal(const std::vector<std::string>& more, const std::string& message) {
    std::vector<std::string> arguments = {"--resume", "--steps", "60"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const std::string before = read_bytes(checkpoint_);
    expect_failure(tiny_training(data_, out_, arguments), message);
    EXPECT_EQ(read_bytes(checkpoint_), before);
  }

  fs::path checkpoint_ = out_ / "checkpoint-batch.safetensors";
};

TEST_F(ResumeFailure, NamesWhatDiffersInTheCheckpoint) {
  expect_refusal({"--hidden", "8,7"},
                 "checkpoint-batch.safetensors: a checkpoint of another run: hidden is 8,6, want 8,7");
  expect_refusal({"--activation", "tanh"}, "activation is sigmoid, want tanh");
  expect_refusal({"--seed", "2"}, "seed is 1, want 2");
  expect_refusal({"--lr", "0.2", "--batch", "10"}, "batch is 12, want 10; lr is 0.1, want 0.2");
  expect_refusal({"--eval-every", "10"}, "eval_every is 20, want 10");
  expect_refusal({"--steps", "30"}, "it is at step 40, past --steps 30");
}

TEST_F(ResumeFailure, NoticesOtherData) {
  write_tiny_images(data_, "t10k", 70);
  expect_refusal({}, "data is 300 images, crc32 ");
}

TEST_F(ResumeFailure, RefusesACorruptCheckpoint) {
  std::string bytes = read_bytes(checkpoint_);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  write_bytes(checkpoint_, bytes);
  expect_refusal({}, "corrupt, its checksum is");
  write_bytes(checkpoint_, bytes.substr(0, bytes.size() - 1));
  expect_refusal({}, "truncated or corrupt");
  write_bytes(checkpoint_, std::string(16, '\xff'));
  expect_refusal({}, "the header claims");
}

TEST_F(ResumeFailure, RefusesTheCheckpointOfTheOtherNetwork) {
  fs::copy_file(out_ / "checkpoint-none.safetensors", checkpoint_, fs::copy_options::overwrite_existing);
  expect_refusal({}, "norm is none, want batch");
}

}  // namespace
}  // namespace unitvar::testing
