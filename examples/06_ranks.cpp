// Two ranks, each with its part of the batch, normalize by the statistics of both. Here ranks are threads; with
// unitvar::mpi::Communicator (unitvar/mpi.hpp) they are MPI processes, and nothing else changes.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <unitvar/unitvar.hpp>
#include <vector>

int main() {
  unitvar::ThreadGroup group(2);
  std::vector<double> mean[2] = {std::vector<double>(1), std::vector<double>(1)};
  const std::vector<float> whole = {1, 2, 3, 4, 5, 9};  // one channel; rank 0 has two samples, rank 1 four

  const auto work = [&](int rank) {
    const std::vector<float> x(whole.begin() + 2 * rank, rank == 0 ? whole.begin() + 2 : whole.end());
    std::vector<float> y(x.size());
    unitvar::batch_norm_forward<float>(
        {.extent = unitvar::Extent::nc(static_cast<std::int64_t>(x.size()), 1), .x = x, .y = y, .mean = mean[rank]},
        {.cpu = {.threads = 1}, .communicator = &group.communicator(rank)});
  };
  std::thread other(work, 1);
  work(0);
  other.join();

  std::printf("mean of both: %g on rank 0, %g on rank 1\n", mean[0][0], mean[1][0]);
  return mean[0][0] == 4 && mean[1][0] == 4 ? EXIT_SUCCESS : EXIT_FAILURE;
}
