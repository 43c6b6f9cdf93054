#include "train/checkpoint.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/files.hpp"
#include "common/failure.hpp"

namespace unitvar::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using train::Network;
using train::TrainingState;

class Checkpoint : public ::testing::Test {
 protected:
  static Network<float> network(std::uint64_t seed) {
    return {{.inputs = 4, .hidden = {3}, .classes = 2, .batch_norm = true}, 5, seed};
  }
  static TrainingState state() {
    TrainingState state;
    state.step = 25;
    state.loss_sum = 1.5;
    state.loss_count = 5;
    state.train_seconds = 2;
    state.norm_seconds = {0.25, 0.5};
    state.rows = {{10, 2, 0.5, 1, {1, 2, 3}}, {20, 1, 0.75, 1.75, {4, 5, 6}}};
    return state;
  }

  std::string message_for(TrainingState written, std::int64_t max_step = 100) {
    Network<float> source = network(1), target = network(2);
    TrainingState read;
    train::write_checkpoint(path_, setup_, source, written, {});
    try {
      train::read_checkpoint(path_, setup_, max_step, target, read);
    } catch (const tool::Failure& failure) {
      return failure.what();
    }
    return "no failure";
  }

  TemporaryFolder folder_;
  fs::path path_ = folder_ / "checkpoint.safetensors";
  train::Setup setup_ = {{"lr", "0.1"}, {"seed", "1"}};
};

TEST_F(Checkpoint, GivesBackNetworkAndState) {
  Network<float> source = network(1), target = network(2);
  TrainingState written = state(), read;
  train::write_checkpoint(path_, setup_, source, written, {1, 2, 3});
  EXPECT_EQ(train::read_checkpoint(path_, setup_, 25, target, read), (train::RandomState{1, 2, 3}));
  EXPECT_EQ(read.step, 25);
  EXPECT_EQ(read.loss_sum, 1.5);
  EXPECT_EQ(read.train_seconds, 2);
  EXPECT_EQ(read.norm_seconds.backward, 0.5);
  ASSERT_EQ(read.rows.size(), 2U);
  EXPECT_EQ(read.rows[1].test_accuracy, 0.75);
  EXPECT_EQ(read.rows[1].percentiles, (train::Percentiles{4, 5, 6}));
  train::write_checkpoint(folder_ / "again", setup_, target, read, {1, 2, 3});
  EXPECT_EQ(read_bytes(path_), read_bytes(folder_ / "again"));
}

TEST(Model, OfASlowerRunHasTheSameBytesAndIsNoCheckpoint) {
  const TemporaryFolder folder;
  Network<float> network({.inputs = 4, .hidden = {3}, .classes = 2, .batch_norm = true}, 5, 1);
  TrainingState fast;
  fast.step = 10;
  fast.rows = {{10, 2, 0.5, 1, {1, 2, 3}}};
  TrainingState slow = fast;
  slow.train_seconds = slow.rows[0].seconds = 2;
  slow.norm_seconds = {0.25, 0.5};
  train::write_model(folder / "fast", {}, network, fast, {1, 2, 3});
  train::write_model(folder / "slow", {}, network, slow, {1, 2, 3});
  EXPECT_EQ(read_bytes(folder / "fast"), read_bytes(folder / "slow"));
  slow.rows[0].test_accuracy = 0.25;
  train::write_model(folder / "other", {}, network, slow, {1, 2, 3});
  EXPECT_NE(read_bytes(folder / "fast"), read_bytes(folder / "other"));
  EXPECT_THROW(train::read_checkpoint(folder / "fast", {}, 10, network, fast), tool::Failure);
}

TEST_F(Checkpoint, BeforeTheFirstEvaluationIsReadToo) {
  TrainingState early;
  early.step = early.loss_count = 3;
  EXPECT_EQ(message_for(early), "no failure");
}

TEST_F(Checkpoint, OfAnotherSetupIsRefusedNamingAllThatDiffers) {
  Network<float> source = network(1);
  TrainingState written = state(), read;
  train::write_checkpoint(path_, {{"lr", "0.5"}}, source, written, {});
  try {
    train::read_checkpoint(path_, setup_, 100, source, read);
    FAIL();
  } catch (const tool::Failure& failure) {
    EXPECT_THAT(failure.what(), AllOf(HasSubstr("lr is 0.5, want 0.1"), HasSubstr("seed is missing, want 1")));
  }
}

TEST_F(Checkpoint, PastTheLastStepIsRefused) {
  EXPECT_EQ(message_for(state(), 25), "no failure");
  EXPECT_THAT(message_for(state(), 24), HasSubstr("it is at step 25, past --steps 24"));
}

TEST_F(Checkpoint, ThatContradictsItselfIsRefused) {
  TrainingState wrong = state();
  wrong.step = -1;
  EXPECT_THAT(message_for(wrong), HasSubstr("corrupt, its step is -1"));
  wrong = state();
  wrong.loss_count = 6;
  EXPECT_THAT(message_for(wrong), HasSubstr("loss.count is 6, want 5"));
  wrong = state();
  wrong.rows[1].step = 10;
  EXPECT_THAT(message_for(wrong), HasSubstr("its history has step 10 behind step 10"));
  wrong = state();
  wrong.rows[1].step = 26;
  EXPECT_THAT(message_for(wrong), HasSubstr("its history has step 26"));
}

}  // namespace
}  // namespace unitvar::testing
