// Calls in a process that was forked. g++'s OpenMP runtime hangs there if the parent had used it.
#include <gtest/gtest.h>
#include <omp.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <iterator>
#include <string>
#include <vector>

#include "cpu/runtime/parallel.hpp"
#include "support/measure.hpp"
#include "support/rows.hpp"
#include "support/run.hpp"
#include "unitvar/schedule.hpp"

namespace unitvar::test {
namespace {

constexpr Extent kShared{16, 24, 1600};
constexpr Options kTwo{.cpu = {.threads = 2}};

/// What a child makes of its calls.
enum Verdict { same = 0, different = 1, threw = 2 };

/// Runs f in a child, which has half a minute. Its exit status, or minus the signal that ended it.
template <class F>
int in_child(const F& f) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(30);
    int verdict = threw;
    try {
      verdict = f();
    } catch (...) {
    }
    _exit(verdict);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return 127;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

struct Results {
  ForwardResult<float> forward;
  BackwardResult<float> backward;
  RowForwardResult<float> rows;
};

Results run_all(const Problem<float>& p, const RowProblem<float>& rows, const Options& options) {
  const auto forward = run_forward(p, options);
  return {forward, run_backward(p, forward.mean, forward.rstd, options), run_forward(rows, options)};
}

Verdict verdict_of(const Results& seen, const Results& want) {
  const bool is_same = same_bits(seen.forward.y, want.forward.y) && same_bits(seen.forward.rstd, want.forward.rstd) &&
                       same_bits(seen.backward.dx, want.backward.dx) &&
                       same_bits(seen.backward.dgamma, want.backward.dgamma) &&
                       same_bits(seen.backward.dbeta, want.backward.dbeta) && same_bits(seen.rows.y, want.rows.y);
  return is_same ? same : different;
}

class Fork : public ::testing::Test {
 protected:
  const Problem<float> problem_ = make_problem<float>(kShared, 3);
  const RowProblem<float> rows_ = make_row_problem<float>(RowNorm::layer, {400, 1000}, 3);
};

/// First of all, while there is one thread, if no other test came before.
TEST_F(Fork, OfAProcessWithOneThreadLosesNone) {
  if (std::distance(std::filesystem::directory_iterator("/proc/self/task"), {}) > 1) GTEST_SKIP() << "it has more";
  EXPECT_EQ(in_child([] { return cpu::forked_beside_threads() ? different : same; }), same);
}

TEST_F(Fork, LeavesCallsOfTheChildToOneThreadWithTheSameBits) {
  ASSERT_EQ(explain(kShared, sizeof(float), Pass::forward, kTwo).threads, 2);
  const Results want = run_all(problem_, rows_, kTwo);
  EXPECT_EQ(in_child([&] { return verdict_of(run_all(problem_, rows_, kTwo), want); }), same);
  EXPECT_EQ(in_child([&] { return verdict_of(run_all(problem_, rows_, {.cpu = {.threads = 0}}), want); }), same);
  EXPECT_EQ(verdict_of(run_all(problem_, rows_, kTwo), want), same) << "in the parent, afterwards";
}

/// What the child is told, and what it sizes its workspaces for, is what it does.
TEST_F(Fork, LeavesOneThreadInTheSchedulesOfTheChild) {
  run_all(problem_, rows_, kTwo);
  for (const int threads : {0, 2}) {
    for (const Pass pass : {Pass::forward, Pass::backward}) {
      EXPECT_EQ(in_child([&] {
                  const Explanation told = explain(kShared, sizeof(float), pass, {.cpu = {.threads = threads}});
                  return told.threads == 1 && told.text.find("; 1 thread;") != std::string::npos ? same : different;
                }),
                same)
          << threads << " threads asked for";
    }
  }
  EXPECT_EQ(explain(kShared, sizeof(float), Pass::forward, kTwo).threads, 2) << "in the parent, afterwards";
}

TEST_F(Fork, OfAChildDoesNotHangEither) {
  const Results want = run_all(problem_, rows_, kTwo);
  EXPECT_EQ(in_child([&] { return in_child([&] { return verdict_of(run_all(problem_, rows_, kTwo), want); }); }), same);
}

/// The caller's own parallel regions leave the same threads behind.
TEST_F(Fork, MayComeAfterOpenMPOfTheCallers) {
  int threads = 0;
#pragma omp parallel num_threads(2) default(none) shared(threads)
#pragma omp atomic
  ++threads;
  ASSERT_EQ(threads, 2);
  const Results want = run_all(problem_, rows_, {.cpu = {.threads = 1}});
  EXPECT_EQ(in_child([&] { return verdict_of(run_all(problem_, rows_, kTwo), want); }), same);
}

}  // namespace
}  // namespace unitvar::test
