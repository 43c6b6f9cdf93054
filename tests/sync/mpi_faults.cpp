// The last rank dies, hangs, or runs out of memory, before a call's exchange or within it. What the others print, and
// how MPI's launcher ends, is what the tests of CMakeLists.txt expect.
//   mpi_faults die|hang|memory forward|backward before|within
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string_view>
#include <vector>

#include "support/allocated.hpp"
#include "support/problem.hpp"
#include "sync/mpi_calls.hpp"
#include "unitvar/batch_norm.hpp"
#include "unitvar/error.hpp"
#include "unitvar/mpi.hpp"

namespace unitvar::test {
namespace {

struct Fault {
  std::string_view what, call, moment;
  bool is_of_this_rank;

  void strike() const {
    if (what == "die") std::raise(SIGKILL);
    while (what == "hang") pause();
  }
  /// Makes one of the two calls, forward or backward, perhaps with the fault.
  template <class Call>
  void around(std::string_view name, const Call& make) const {
    if (!is_of_this_rank || name != call) return make();
    if (what == "memory") {
      const FailingNew failing(0);
      return make();
    }
    if (moment == "before") strike();
    const AfterSending after([this] { strike(); });
    make();
  }
};

/// A step of training, of which a call may throw.
void step(mpi::Communicator& ranks, const Fault& fault) {
  const Problem<float> in = make_problem<float>({4, 24, 9}, 0.0);
  std::vector<float> y(in.x.size()), dx(in.x.size());
  std::vector<double> mean(24), rstd(24);
  const Options options{.cpu = {.threads = 1}, .communicator = &ranks};
  fault.around("forward", [&] {
    batch_norm_forward<float>({.extent = in.extent, .x = in.x, .y = y, .mean = mean, .rstd = rstd}, options);
  });
  fault.around("backward", [&] {
    batch_norm_backward<float>({.extent = in.extent, .x = in.x, .dy = in.dy, .mean = mean, .rstd = rstd, .dx = dx},
                               options);
  });
}

/// Returns whether the ranks can still be used.
bool survives(mpi::Communicator& ranks, const Fault& fault) {
  try {
    step(ranks, fault);
    return true;
  } catch (const Error& error) {
    std::printf("rank %d: %s\n", ranks.rank(), error.what());
    return error.code() != ErrorCode::communication;
  } catch (const std::bad_alloc&) {
    std::printf("rank %d: out of memory\n", ranks.rank());
    return true;
  }
}

int run(const Fault& fault_of_last) {
  const double timeout = fault_of_last.what == "hang" ? 1 : 30;
  mpi::Communicator ranks(MPI_COMM_WORLD, {.block_channels = 8, .timeout_seconds = timeout});
  Fault fault = fault_of_last;
  fault.is_of_this_rank = ranks.rank() == ranks.size() - 1;
  if (!survives(ranks, fault)) {
    survives(ranks, {});  // is refused at once
    std::fflush(stdout);
    while (ranks.rank() != 0) pause();
    MPI_Abort(MPI_COMM_WORLD, 3);
  }
  step(ranks, {});
  std::printf("rank %d goes on\n", ranks.rank());
  return 0;
}

}  // namespace
}  // namespace unitvar::test

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  int provided = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
  const int result = unitvar::test::run({argv[1], argv[2], argv[3], false});
  MPI_Finalize();
  return result;
}
