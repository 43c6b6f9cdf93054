// Synchronized batch normalization on ranks that are threads, against one process with the whole batch.
#include "unitvar/thread_group.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <span>

#include "support/dtypes.hpp"
#include "support/expect_error.hpp"
#include "support/run.hpp"
#include "sync/split.hpp"
#include "sync/threads.hpp"

namespace unitvar::test {
namespace {

template <class T>
class SyncBatchNorm : public ::testing::Test {};
using Dtypes = ::testing::Types<float, double>;
TYPED_TEST_SUITE(SyncBatchNorm, Dtypes);

template <class T>
class SyncBits : public ::testing::Test {};
TYPED_TEST_SUITE(SyncBits, AllDtypes);

template <class T>
std::vector<StepResult<T>> run_on_threads(const Problem<T>& whole, const Split& split, const SyncOptions& options,
                                          const Options& run = {.cpu = {.threads = 1}}) {
  ThreadGroup group(static_cast<int>(split.size()), options);
  std::vector<StepResult<T>> results(split.size());
  on_all_ranks(group, [&](Communicator& ranks) {
    Options own = run;
    own.communicator = &ranks;
    results[to_size(ranks.rank())] = run_step(part_of(whole, split, ranks.rank()), own);
  });
  return results;
}

TYPED_TEST(SyncBatchNorm, IsThatOfTheWholeBatchHoweverItIsSplit) {
  using T = TypeParam;
  for (const Extent& extent : shared_extents()) {
    for (const double ratio : {0.0, 1e3, 1e6}) {
      const auto whole = make_problem<T>(extent, ratio);
      const StepResult<T> alone = run_step(whole, {.cpu = {.threads = 1}});
      for (const int ranks : {1, 2, 3, 4, 5, 6, 7, 8}) {
        for (const Split& split : splits_of(extent.outer, ranks)) {
          SCOPED_TRACE(describe(extent) + ", mean/std " + std::to_string(ratio) + ", " + describe(split));
          const auto parts =
              run_on_threads<T>(whole, split, {.block_channels = 8, .parameter_gradients = ParameterGradients::global});
          for (int rank = 0; rank < ranks; ++rank) {
            expect_part(parts[to_size(rank)], alone, extent, split, rank, ratio);
            EXPECT_TRUE(same_statistics(parts[to_size(rank)], parts[0]));
          }
        }
      }
    }
  }
}

TYPED_TEST(SyncBits, OfOneRankWithTheWholeBatchAreThoseOfThePlainCall) {
  using T = TypeParam;
  for (const Extent& extent : shared_extents()) {
    SCOPED_TRACE(describe(extent));
    const auto whole = make_problem<T>(extent, 3.0);
    const StepResult<T> alone = run_step(whole, {});
    for (const Split& split : {Split{extent.outer}, Split{extent.outer, 0}, Split{extent.outer, 0, 0}}) {
      const StepResult<T> one = run_on_threads<T>(whole, split, {.block_channels = 8})[0];
      EXPECT_TRUE(same_bits(one.y, alone.y));
      EXPECT_TRUE(same_bits(one.dx, alone.dx));
      EXPECT_TRUE(same_bits(one.dgamma, alone.dgamma));
      EXPECT_TRUE(same_bits(one.dbeta, alone.dbeta));
      EXPECT_TRUE(same_bits(one.running_var, alone.running_var));
    }
  }
}

TYPED_TEST(SyncBits, AreTheSameForAllBlocksThreadsAndInstructionSetsWithAndWithoutOverlap) {
  using T = TypeParam;
  for (const Extent& extent : shared_extents()) {
    SCOPED_TRACE(describe(extent));
    const auto whole = make_problem<T>(extent, 10.0);
    const Split split = splits_of(extent.outer, 3)[1];
    const auto wanted = run_on_threads<T>(whole, split, {.block_channels = 512});
    for (const std::int64_t block : {8, 16, 24}) {
      for (const bool overlap : {true, false}) {
        const Options run{.cpu = {.threads = overlap ? 3 : 2, .isa = block == 8 ? Isa::portable : Isa::automatic}};
        const auto seen = run_on_threads<T>(whole, split, {.block_channels = block, .overlap = overlap}, run);
        for (std::size_t rank = 0; rank < split.size(); ++rank) {
          EXPECT_TRUE(same_bits(seen[rank].y, wanted[rank].y));
          EXPECT_TRUE(same_bits(seen[rank].dx, wanted[rank].dx));
          EXPECT_TRUE(same_bits(seen[rank].dgamma, wanted[rank].dgamma));
          EXPECT_TRUE(same_statistics(seen[rank], wanted[rank]));
        }
      }
    }
  }
}

TYPED_TEST(SyncBatchNorm, LocalParameterGradientsAddUpToTheGlobalOnes) {
  using T = TypeParam;
  const Extent extent{24, 20, 9};
  const auto whole = make_problem<T>(extent, 2.0);
  const Split split{7, 0, 16, 1};
  const auto local = run_on_threads<T>(whole, split, {.block_channels = 8});
  const auto global =
      run_on_threads<T>(whole, split, {.block_channels = 8, .parameter_gradients = ParameterGradients::global});
  std::vector<double> dgamma(20), dbeta(20);
  for (const StepResult<T>& part : local) {
    for (std::size_t c = 0; c < 20; ++c) dgamma[c] += part.dgamma[c], dbeta[c] += part.dbeta[c];
  }
  EXPECT_LE(relative_l2(dgamma, std::vector<double>(global[0].dgamma.begin(), global[0].dgamma.end())), 3e-7);
  EXPECT_LE(relative_l2(dbeta, std::vector<double>(global[0].dbeta.begin(), global[0].dbeta.end())), 3e-7);
  EXPECT_EQ(local[1].dbeta, std::vector<T>(20, T(0)));
  EXPECT_TRUE(same_bits(local[0].dx, global[0].dx));
}

TEST(SyncBatchNormBatch, MayBeOneValueOnARankButNotOnAllTogether) {
  const Problem<double> whole = make_problem<double>({2, 3, 1}, 1.0);
  const auto alone = run_step(whole, {.cpu = {.threads = 1}});
  const auto parts = run_on_threads<double>(whole, {1, 1}, {.parameter_gradients = ParameterGradients::global});
  for (int rank : {0, 1}) expect_part(parts[to_size(rank)], alone, whole.extent, {1, 1}, rank, 1);

  ThreadGroup group(3);
  const Problem<double> single = make_problem<double>({1, 3, 1}, 1.0);
  on_all_ranks(group, [&](Communicator& ranks) {
    expect_error(ErrorCode::too_few_values, {"1 value per channel"}, [&] {
      run_step(part_of(single, {0, 1, 0}, ranks.rank()), {.communicator = &ranks});
    });
  });
}

TEST(SyncBatchNormBatch, MayBeEmptyOnAllRanks) {
  ThreadGroup group(2);
  on_all_ranks(group, [&](Communicator& ranks) {
    const Problem<float> nothing = make_problem<float>({0, 3, 4}, 0.0);
    const StepResult<float> r = run_step(nothing, {.communicator = &ranks});
    EXPECT_EQ(r.mean, std::vector<double>(3, 0));
    EXPECT_EQ(r.dgamma, std::vector<float>(3, 0));
    EXPECT_EQ(r.running_var, std::vector<double>(3, 1));
  });
}

TEST(SyncBatchNormNonfinite, ReachesItsChannelOnAllRanksAndNoOther) {
  Problem<float> whole = make_problem<float>({6, 3, 5}, 0.0);
  whole.x[to_size(whole.extent.index(1, 1, 2))] = std::numeric_limits<float>::quiet_NaN();
  const auto parts = run_on_threads<float>(whole, {2, 4}, {.block_channels = 8});
  for (const StepResult<float>& part : parts) {
    EXPECT_TRUE(std::isnan(part.mean[1]));
    EXPECT_TRUE(std::isfinite(part.mean[0]) && std::isfinite(part.rstd[2]));
  }
}

// Disagreement.

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// What each of two ranks throws from its own call.
template <class First, class Second>
std::array<std::string, 2> errors_of(const First& first, const Second& second) {
  ThreadGroup group(2, {.block_channels = 8});
  std::array<std::string, 2> seen;
  on_all_ranks(group, [&](Communicator& ranks) {
    try {
      if (ranks.rank() == 0) {
        first(ranks);
      } else {
        second(ranks);
      }
    } catch (const Error& error) {
      seen[to_size(ranks.rank())] = error.what();
    }
  });
  return seen;
}

template <class T>
auto forward_of(const Extent& extent, double eps = 1e-5) {
  return [=](Communicator& ranks) {
    Problem<T> p = make_problem<T>(extent, 0.0);
    p.eps = eps;
    run_forward(p, {.communicator = &ranks});
  };
}

TEST(SyncBatchNormDisagreement, OnChannelsIsTheSameErrorEverywhere) {
  const auto seen = errors_of(forward_of<float>({4, 32, 9}), forward_of<float>({4, 16, 9}));
  EXPECT_EQ(seen[0], seen[1]);
  EXPECT_TRUE(has(seen[0], "C is 32 on rank 0 and 16 on rank 1")) << seen[0];
}

TEST(SyncBatchNormDisagreement, OnEpsIsTheSameErrorEverywhere) {
  const auto seen = errors_of(forward_of<float>({4, 3, 9}, 1e-5), forward_of<float>({4, 3, 9}, 1e-3));
  EXPECT_EQ(seen[0], seen[1]);
  EXPECT_TRUE(has(seen[0], "eps is")) << seen[0];
}

TEST(SyncBatchNormDisagreement, OnDtypeIsTheSameErrorEverywhere) {
  const auto seen = errors_of(forward_of<float>({4, 3, 9}), forward_of<double>({4, 3, 9}));
  EXPECT_EQ(seen[0], seen[1]);
  EXPECT_TRUE(has(seen[0], "the dtype is f32 on rank 0 and f64 on rank 1")) << seen[0];
}

TEST(SyncBatchNormDisagreement, OnTheOrderOfCallsIsTheSameErrorEverywhere) {
  const auto backward = [](Communicator& ranks) {
    const Problem<float> p = make_problem<float>({4, 3, 9}, 0.0);
    run_backward(p, std::vector<double>(3, 0), std::vector<double>(3, 1), {.communicator = &ranks});
  };
  const auto seen = errors_of(forward_of<float>({4, 3, 9}), backward);
  EXPECT_EQ(seen[0], seen[1]);
  EXPECT_TRUE(has(seen[0], "batch_norm_forward on rank 0 and batch_norm_backward on rank 1")) << seen[0];
}

TEST(SyncBatchNormDisagreement, ARefusedArgumentReachesAllRanks) {
  const auto refused = [](Communicator& ranks) {
    Problem<float> p = make_problem<float>({4, 3, 9}, 0.0);
    p.gamma.resize(2);
    run_forward(p, {.communicator = &ranks});
  };
  const auto seen = errors_of(forward_of<float>({4, 3, 9}), refused);
  EXPECT_EQ(seen[1], "batch_norm_forward: gamma has 2 elements, want C = 3");
  EXPECT_EQ(seen[0], "batch_norm_forward: refused by rank 1: " + seen[1]);
}

TEST(SyncBatchNormDisagreement, LeavesResultsAloneAndTheGroupUsable) {
  ThreadGroup group(2, {.block_channels = 8});
  on_all_ranks(group, [&](Communicator& ranks) {
    const Problem<float> wrong = make_problem<float>({4, ranks.rank() == 0 ? 24 : 16, 9}, 0.0);
    std::vector<float> y(wrong.x.size(), 7);
    EXPECT_THROW(batch_norm_forward<float>({.extent = wrong.extent, .x = wrong.x, .y = y}, {.communicator = &ranks}),
                 Error);
    EXPECT_EQ(y, std::vector<float>(wrong.x.size(), 7));
    EXPECT_NO_THROW(run_step(make_problem<float>({4, 16, 9}, 0.0), {.communicator = &ranks}));
  });
}

TEST(SyncBatchNormDisagreement, AVarianceThatFailsLeavesAllResultsAlone) {
  ThreadGroup group(2, {.block_channels = 8});
  on_all_ranks(group, [&](Communicator& ranks) {
    Problem<float> p = make_problem<float>({4, 20, 9}, 0.0);
    for (std::int64_t k = 0; k < p.extent.size(); ++k) {
      if (k / 9 % 20 == 17) p.x[to_size(k)] = 3;
    }
    std::vector<float> y(p.x.size(), 7);
    expect_error(ErrorCode::bad_epsilon, {"channel 17"}, [&] {
      batch_norm_forward<float>({.extent = p.extent, .x = p.x, .y = y, .eps = 0}, {.communicator = &ranks});
    });
    EXPECT_EQ(y, std::vector<float>(p.x.size(), 7));
  });
}

// The group itself.

TEST(ThreadGroupCounters, CountFramesOfAForwardAndABackward) {
  ThreadGroup group(2, {.block_channels = 8});
  on_all_ranks(group, [&](Communicator& ranks) {
    run_step(make_problem<float>({4, 20, 9}, 0.0), {.communicator = &ranks});
    EXPECT_EQ(ranks.counters().frames, 6);  // three blocks each
    EXPECT_EQ(ranks.counters().bytes, 6 * ranks.frame_bytes());
    EXPECT_GE(ranks.counters().seconds_waited, 0);
  });
}

/// An engine that does to the frame what it is told.
class DamagingRanks final : public Communicator {
 public:
  using Damage = void (*)(std::byte* frame);
  DamagingRanks(int rank, int size, Damage damage = nullptr)
      : Communicator(rank, size, {.block_channels = 8}), damage_(damage) {}

 private:
  void do_start() override {}
  void do_wait() override {
    if (damage_ != nullptr) damage_(frame());
  }
  Damage damage_;
};

void put(std::byte* frame, std::size_t at, std::int64_t value) { std::memcpy(frame + at, &value, sizeof value); }

TEST(DamagedFrames, AreAnErrorBeforeAnythingIsWritten) {
  const DamagingRanks::Damage damages[] = {[](std::byte* frame) { put(frame, 16, std::int64_t{1} << 40); },  // bytes
                                           [](std::byte* frame) { put(frame, 40, std::int64_t{1} << 60); },  // channels
                                           [](std::byte* frame) { put(frame, 40, 7); },
                                           [](std::byte* frame) { put(frame, 40, -1); }};
  for (const auto damage : damages) {
    DamagingRanks ranks(0, 2, damage);
    const Problem<float> p = make_problem<float>({4, 20, 9}, 0.0);
    std::vector<float> y(p.x.size(), 7.0F);
    expect_error(ErrorCode::communication, {"batch_norm_forward", "damaged frame"},
                 [&] { batch_norm_forward<float>({.extent = p.extent, .x = p.x, .y = y}, {.communicator = &ranks}); });
    EXPECT_EQ(y, std::vector<float>(y.size(), 7.0F));
  }
}

TEST(DamagedFrames, AreNotMerged) {
  DamagingRanks one(0, 2), other(1, 2);
  Problem<float> p = make_problem<float>({4, 20, 9}, 0.0);
  run_forward(p, {.communicator = &one});
  run_forward(p, {.communicator = &other});
  const auto bytes = to_size(one.frame_bytes());
  const std::span<std::byte> a(one.frame(), bytes), b(other.frame(), bytes);
  merge_frames(a, b);
  expect_error(ErrorCode::communication, {"two whole frames"}, [&] { merge_frames(a.first(8), b.first(8)); });
  expect_error(ErrorCode::communication, {"two whole frames"}, [&] { merge_frames(a.first(bytes - 8), b); });
  expect_error(ErrorCode::communication, {"overlap"}, [&] { merge_frames(b, b); });
  put(one.frame(), 40, std::int64_t{1} << 60);
  expect_error(ErrorCode::communication, {"two whole frames"}, [&] { merge_frames(a, b); });
}

TEST(Refusal, ReachesTheOtherRanks) {
  const auto seen =
      errors_of([](Communicator& ranks) { refuse_call(ranks, "x is a list"); }, forward_of<float>({4, 3, 9}));
  EXPECT_EQ(seen[0], "");
  EXPECT_TRUE(has(seen[1], "refused by rank 0: x is a list")) << seen[1];
}

TEST(Communicators, KnowTheirRank) {
  expect_error(ErrorCode::bad_argument, {"rank is 2 of 2"}, [] { DamagingRanks(2, 2); });
  expect_error(ErrorCode::bad_argument, {"rank is -1 of 2"}, [] { DamagingRanks(-1, 2); });
  expect_error(ErrorCode::bad_argument, {"rank is 0 of 0"}, [] { DamagingRanks(0, 0); });
}

/// What the calls of the ranks that came threw, where the last rank makes only so many calls of two.
std::vector<std::string> errors_without_the_last(ThreadGroup& group, int calls_of_last) {
  const Problem<float> problem = make_problem<float>({4, 24, 9}, 0.0);
  const StepResult<float> alone = run_step(problem, {.cpu = {.threads = 1}});
  std::vector<std::string> errors(to_size(group.size()));
  on_all_ranks(group, [&](Communicator& ranks) {
    const bool is_last = ranks.rank() == group.size() - 1;
    const Options options{.cpu = {.threads = 1}, .communicator = &ranks};
    try {
      if (!is_last || calls_of_last > 0) run_forward(problem, options);
      if (!is_last || calls_of_last > 1) run_backward(problem, alone.mean, alone.rstd, options);
    } catch (const Error& error) {
      EXPECT_EQ(ErrorCode::communication, error.code());
      errors[to_size(ranks.rank())] = error.what();
    }
  });
  return errors;
}

TEST(ThreadGroupTimeout, IsAnErrorOfAllThatCameForwardAndBackward) {
  for (const int calls_of_last : {0, 1}) {
    ThreadGroup group(3, {.block_channels = 8, .timeout_seconds = 1});
    const auto errors = errors_without_the_last(group, calls_of_last);
    for (const int rank : {0, 1}) {
      EXPECT_NE(std::string::npos, errors[to_size(rank)].find("rank 2 sent no frame within 1 s")) << errors[0];
    }
    EXPECT_EQ("", errors[2]);
    // A rank that comes late does not wait for ranks that are gone.
    expect_error(ErrorCode::communication, {"rank 2 sent no frame", "of no more use"}, [&] {
      run_forward(make_problem<float>({4, 24, 9}, 0.0), {.communicator = &group.communicator(2)});
    });
  }
}

TEST(ThreadGroupTimeout, DoesNotEndCallsThatAllRanksMake) {
  ThreadGroup group(3, {.block_channels = 8, .timeout_seconds = 60});
  EXPECT_EQ(std::vector<std::string>(3), errors_without_the_last(group, 2));
}

TEST(ThreadGroupArguments, AreChecked) {
  expect_error(ErrorCode::bad_argument, {"ranks is 0"}, [] { ThreadGroup(0); });
  expect_error(ErrorCode::bad_argument, {"block_channels is 12"}, [] { ThreadGroup(1, {.block_channels = 12}); });
  expect_error(ErrorCode::bad_argument, {"block_channels is 1099511627776"},
               [] { ThreadGroup(1, {.block_channels = std::int64_t{1} << 40}); });
  expect_error(ErrorCode::bad_argument, {"block_channels is -8"}, [] { ThreadGroup(1, {.block_channels = -8}); });
  expect_error(ErrorCode::bad_argument, {"latency is -1"}, [] { ThreadGroup(1, {}, std::chrono::nanoseconds(-1)); });
  expect_error(ErrorCode::bad_argument, {"rank is 2, want 0 to 1"},
               [] { static_cast<void>(ThreadGroup(2).communicator(2)); });
}

}  // namespace
}  // namespace unitvar::test
