#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "c/every_operation.hpp"
#include "support/allocated.hpp"

namespace unitvar::testing {
namespace {

constexpr int kNone = 1 << 30;

void reset(std::vector<fuzz::Buffer>& buffers) {
  for (fuzz::Buffer& b : buffers) b.reset();
}

void expect_nothing_written(const std::string& call, std::vector<fuzz::Buffer>& buffers) {
  for (const fuzz::Buffer& b : buffers) {
    EXPECT_TRUE(std::equal(b.first.begin(), b.first.end(), b.bytes.get())) << call << " wrote";
  }
  reset(buffers);
}

/// Whether the call failed because the allocation of this number did. It comes from a thread of its own: so no memory
/// is at hand that an earlier call has kept.
template <class Operation>
bool fails_without(int allocation, const Operation& operation, FilledFor<Operation>& filled) {
  const unitvar_options options = with_threads(2);
  unitvar_status status = UNITVAR_OK;
  bool has_failed = false;
  std::string message;
  std::thread([&] {
    const test::FailingNew failing(allocation);
    status = operation.call(&filled.args, &options);
    has_failed = failing.has_failed();
    if (has_failed) message = unitvar_last_error();
  }).join();
  if (!has_failed) return false;
  EXPECT_EQ(operation.name + std::string(": out of memory"), message);
  EXPECT_EQ(UNITVAR_OUT_OF_MEMORY, status) << operation.name << " without allocation " << allocation;
  expect_nothing_written(operation.name + (" without allocation " + std::to_string(allocation)), filled.buffers);
  return true;
}

/// Tries all operations on some arguments. Returns how often one failed.
int failures_of(unitvar_dtype dtype, std::uint32_t seeds, const fuzz::Times& times) {
  int failures = 0;
  for_each_operation([&](const auto& operation) {
    for (std::uint32_t seed = 0; seed < seeds; ++seed) {
      Seeded choices(seed);
      FilledFor<std::remove_cvref_t<decltype(operation)>> filled(choices, dtype, times);
      fails_without(kNone, operation, filled);  // what is made once is made
      reset(filled.buffers);
      const std::int64_t before = test::held_blocks();
      int n = 0;
      while (fails_without(n, operation, filled)) ++n;
      EXPECT_EQ(before, test::held_blocks()) << operation.name << " holds memory after it has failed";
      failures += n;
    }
  });
  return failures;
}

/// Two ranks with batches of one shape, or one of them without samples. A rank that does not come is an error, not a
/// test that hangs.
template <class Operation>
class TwoRanks {
 public:
  TwoRanks(const Operation& operation, std::uint32_t seed) : operation_(operation) {
    unitvar_sync_options sync{};
    sync.struct_size = sizeof sync;
    sync.block_channels = 8;
    sync.timeout_seconds = 60;
    EXPECT_EQ(UNITVAR_OK, unitvar_thread_group_create(2, &sync, &group_)) << unitvar_last_error();
    for (std::size_t rank = 0; rank < 2; ++rank) {
      Seeded choices(seed);
      const bool is_empty = rank == 1 && seed % 2 == 1;  // without samples
      filled_[rank] =
          std::make_unique<FilledFor<Operation>>(choices, UNITVAR_F32, fuzz::Times{.outer = is_empty ? 0 : 1});
    }
  }
  ~TwoRanks() { unitvar_thread_group_destroy(group_); }
  TwoRanks(const TwoRanks&) = delete;
  TwoRanks& operator=(const TwoRanks&) = delete;

  /// Whether the call of the second rank failed because the allocation of this number did.
  bool fails_without(int allocation) {
    bool has_failed = false;
    std::thread first([&] {
      test::FailingNew::spare_this_thread();
      status_[0] = call(0);
    });
    std::thread second([&] {
      const test::FailingNew failing(allocation);
      status_[1] = call(1);
      has_failed = failing.has_failed();
    });
    first.join();
    second.join();
    if (!has_failed) return false;
    EXPECT_EQ(UNITVAR_OUT_OF_MEMORY, status_[1]) << operation_.name << " without allocation " << allocation;
    expect_nothing_written(std::string(operation_.name) + " on rank 1", filled_[1]->buffers);
    EXPECT_EQ(is_told_ ? UNITVAR_DISAGREEMENT : alone_, status_[0]) << operation_.name;
    if (is_told_) expect_nothing_written(std::string(operation_.name) + " on rank 0", filled_[0]->buffers);
    return true;
  }
  /// A call with all memory that it wants.
  void succeed() {
    EXPECT_FALSE(fails_without(kNone));
    unitvar_sync_counters counters{};
    unitvar_communicator_counters(unitvar_thread_group_communicator(group_, 1), &counters);
    alone_ = status_[0];
    is_told_ = alone_ == UNITVAR_OK && counters.frames > 0;
    for (auto& of_rank : filled_) reset(of_rank->buffers);
  }
  /// Whether the call is one that ranks make together.
  [[nodiscard]] bool is_told() const { return is_told_; }

 private:
  unitvar_status call(int rank) {
    unitvar_options options = with_threads(1);
    options.communicator = unitvar_thread_group_communicator(group_, rank);
    return operation_.call(&filled_[static_cast<std::size_t>(rank)]->args, &options);
  }

  const Operation& operation_;
  unitvar_thread_group* group_ = nullptr;
  std::array<std::unique_ptr<FilledFor<Operation>>, 2> filled_;
  std::array<unitvar_status, 2> status_{};  ///< of the last call
  unitvar_status alone_ = UNITVAR_OK;       ///< of the first rank, where the second has memory
  bool is_told_ = false;
};

// The bounds say that something was tried.
TEST(OutOfMemory, IsAnErrorBeforeAnythingIsWrittenAndLeaksNothing) {
  EXPECT_LT(3000, failures_of(UNITVAR_F32, 25, {}));
  EXPECT_LT(500, failures_of(UNITVAR_F64, 5, {}));
  EXPECT_LT(500, failures_of(UNITVAR_BF16, 5, {}));
}

TEST(OutOfMemory, IsAnErrorAlsoWhereThreadsWork) { EXPECT_LT(100, failures_of(UNITVAR_F32, 1, {.inner = 40})); }

// A thread keeps small blocks, which a part of a call may take that another part has given back; so it does not fail.
TEST(OutOfMemory, IsAnErrorAlsoWhereBlocksAreTooLargeToBeKept) {
  EXPECT_LT(100, failures_of(UNITVAR_F32, 4, {.channels = 4000}));
}

TEST(OutOfMemory, OfOneRankIsAnErrorOfAllBeforeAnythingIsWrittenAndTheyGoOn) {
  int failures = 0;
  for_each_operation([&](const auto& operation) {
    for (std::uint32_t seed = 0; seed < 16; ++seed) {
      TwoRanks<std::remove_cvref_t<decltype(operation)>> both(operation, seed);
      both.succeed();
      int n = 0;
      while (both.fails_without(n)) ++n;
      if (both.is_told()) failures += n;
      both.succeed();
    }
  });
  EXPECT_LT(300, failures);
}

}  // namespace
}  // namespace unitvar::testing
