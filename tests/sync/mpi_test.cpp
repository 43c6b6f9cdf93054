// Synchronized batch normalization on MPI ranks, against one process with the whole batch. Every rank runs all tests.
#include "unitvar/mpi.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "support/expect_error.hpp"
#include "support/run.hpp"
#include "sync/mpi_calls.hpp"
#include "sync/split.hpp"

namespace unitvar::test {
namespace {

int world_rank() {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

int world_size() {
  int size = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return size;
}

/// Whether all ranks hold the bits that rank 0 holds.
template <class V>
bool same_everywhere(const std::vector<V>& values, MPI_Comm comm = MPI_COMM_WORLD) {
  std::vector<V> first = values;
  MPI_Bcast(first.data(), static_cast<int>(first.size() * sizeof(V)), MPI_BYTE, 0, comm);
  int same = std::memcmp(first.data(), values.data(), values.size() * sizeof(V)) == 0 ? 1 : 0;
  MPI_Allreduce(MPI_IN_PLACE, &same, 1, MPI_INT, MPI_MIN, comm);
  return same == 1;
}

template <class T>
class MpiSyncBatchNorm : public ::testing::Test {};
using Dtypes = ::testing::Types<float, double>;
TYPED_TEST_SUITE(MpiSyncBatchNorm, Dtypes);

TYPED_TEST(MpiSyncBatchNorm, IsThatOfTheWholeBatchHoweverItIsSplit) {
  using T = TypeParam;
  for (const std::int64_t block : {8, 4096}) {  // 4096: frames that MPI may cut into pieces
    mpi::Communicator ranks(MPI_COMM_WORLD,
                            {.block_channels = block, .parameter_gradients = ParameterGradients::global});
    for (const Extent& extent : shared_extents()) {
      for (const double ratio : {0.0, 1e3, 1e6}) {
        const auto whole = make_problem<T>(extent, ratio);
        const StepResult<T> alone = run_step(whole, {.cpu = {.threads = 1}});
        for (const Split& split : splits_of(extent.outer, ranks.size())) {
          SCOPED_TRACE(describe(extent) + ", mean/std " + std::to_string(ratio) + ", " + describe(split));
          const StepResult<T> part =
              run_step(part_of(whole, split, ranks.rank()), {.cpu = {.threads = 1}, .communicator = &ranks});
          expect_part(part, alone, extent, split, ranks.rank(), ratio);
          EXPECT_TRUE(same_everywhere(part.mean));
          EXPECT_TRUE(same_everywhere(part.var));
          EXPECT_TRUE(same_everywhere(part.rstd));
          EXPECT_TRUE(same_everywhere(part.running_mean));
          EXPECT_TRUE(same_everywhere(part.running_var));
          EXPECT_TRUE(same_everywhere(part.dgamma));
        }
      }
    }
  }
}

TEST(MpiSubgroups, AreGhostBatchesOfTheirRanks) {
  const int color = world_rank() % 2;
  MPI_Comm half = MPI_COMM_NULL;
  MPI_Comm_split(MPI_COMM_WORLD, color, world_rank(), &half);
  {
    mpi::Communicator ranks(half, {.parameter_gradients = ParameterGradients::global});
    const auto whole = make_problem<float>({12, 7, 9}, color == 0 ? 1.0 : 100.0);
    const Split split = splits_of(12, ranks.size())[0];
    const auto part = run_step(part_of(whole, split, ranks.rank()), {.cpu = {.threads = 1}, .communicator = &ranks});
    expect_part(part, run_step(whole, {.cpu = {.threads = 1}}), whole.extent, split, ranks.rank(), 100);
    EXPECT_TRUE(same_everywhere(part.rstd, half));
  }
  MPI_Comm_free(&half);
}

TEST(MpiNode, IsAGroupOfItsRanks) {
  MPI_Comm node = MPI_COMM_NULL;
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
  {
    const mpi::Communicator ranks(node);
    EXPECT_EQ(ranks.size(), world_size());
  }
  MPI_Comm_free(&node);
}

TEST(MpiBlock, IsMeasuredAndTheSameOnAllRanksIfLeftOpen) {
  const mpi::Communicator ranks(MPI_COMM_WORLD);
  const std::int64_t block = ranks.options().block_channels;
  EXPECT_TRUE(block >= 64 && block <= 4096 && block % 64 == 0) << block;
  EXPECT_TRUE(same_everywhere(std::vector<std::int64_t>{block}));
}

TEST(MpiDisagreement, OnChannelsIsTheSameErrorEverywhereAndTheGroupStaysUsable) {
  if (world_size() < 2) GTEST_SKIP() << "one rank agrees with itself";
  mpi::Communicator ranks(MPI_COMM_WORLD, {.block_channels = 8});
  std::string message;
  try {
    run_forward(make_problem<float>({4, ranks.rank() == world_size() - 1 ? 32 : 16, 9}, 0.0), {.communicator = &ranks});
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::disagreement);
    message = error.what();
  }
  EXPECT_NE(message.find("C is 16 on rank"), std::string::npos) << message;
  message.resize(300);
  EXPECT_TRUE(same_everywhere(std::vector<char>(message.begin(), message.end())));
  EXPECT_NO_THROW(run_forward(make_problem<float>({4, 16, 9}, 0.0), {.communicator = &ranks}));
}

TEST(MpiDisagreement, OnOptionsEndsTheConstructorEverywhere) {
  if (world_size() < 2) GTEST_SKIP() << "one rank agrees with itself";
  expect_error(ErrorCode::disagreement, {"options.block_channels goes from 8 to 16"},
               [] { mpi::Communicator(MPI_COMM_WORLD, {.block_channels = world_rank() == 0 ? 8 : 16}); });
}

TEST(MpiArguments, MayNotBeBetweenTwoGroups) {
  if (world_size() < 2) GTEST_SKIP() << "one rank is one group";
  const int color = world_rank() % 2;
  MPI_Comm half = MPI_COMM_NULL, between = MPI_COMM_NULL;
  MPI_Comm_split(MPI_COMM_WORLD, color, world_rank(), &half);
  MPI_Intercomm_create(half, 0, MPI_COMM_WORLD, 1 - color, 7, &between);
  expect_error(ErrorCode::bad_argument, {"inter-communicator"}, [&] { mpi::Communicator ranks(between); });
  MPI_Comm_free(&between);
  MPI_Comm_free(&half);
}

TEST(MpiArguments, AreChecked) {
  expect_error(ErrorCode::bad_argument, {"block_channels is 12"},
               [] { mpi::Communicator(MPI_COMM_WORLD, {.block_channels = 12}); });
  expect_error(ErrorCode::bad_argument, {"MPI_COMM_NULL"}, [] { mpi::Communicator ranks(MPI_COMM_NULL); });
}

TEST(MpiFailure, InTheConstructorIsAnError) {
  for (const auto& [call, name] : {std::pair{MpiCall::op_create, "MPI_Op_create failed: MPI_ERR_INTERN"},
                                   std::pair{MpiCall::type_commit, "MPI_Type_commit failed: MPI_ERR_TYPE"}}) {
    const FailingMpi failure(call);
    expect_error(ErrorCode::communication, {"mpi::Communicator", name},
                 [] { mpi::Communicator ranks(MPI_COMM_WORLD, {.block_channels = 8}); });
  }
}

TEST(MpiFailure, InAnExchangeIsAnErrorForwardAndBackward) {
  mpi::Communicator ranks(MPI_COMM_WORLD, {.block_channels = 8});
  if (ranks.size() < 2) GTEST_SKIP() << "one rank exchanges nothing";
  const auto problem = make_problem<float>({4, 24, 9}, 0.0);
  const StepResult<float> before = run_step(problem, {.communicator = &ranks});
  for (const auto& [call, name] : {std::pair{MpiCall::iallreduce, "MPI_Iallreduce failed: MPI_ERR_OTHER"},
                                   std::pair{MpiCall::wait, "MPI_Wait failed: MPI_ERR_TRUNCATE"}}) {
    const FailingMpi failure(call);
    expect_error(ErrorCode::communication, {"mpi::Communicator", name},
                 [&] { run_forward(problem, {.communicator = &ranks}); });
    expect_error(ErrorCode::communication, {"mpi::Communicator", name},
                 [&] { run_backward(problem, before.mean, before.rstd, {.communicator = &ranks}); });
  }
  const StepResult<float> after = run_step(problem, {.communicator = &ranks});
  EXPECT_EQ(after.dx, before.dx) << "a failure that is over has left something behind";
}

}  // namespace
}  // namespace unitvar::test

int main(int argc, char** argv) {
  int provided = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
  ::testing::InitGoogleTest(&argc, argv);
  const int failed = RUN_ALL_TESTS();
  MPI_Finalize();
  return failed;
}
