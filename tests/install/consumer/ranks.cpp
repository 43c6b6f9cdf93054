// A program of somebody else: one forward by the installed library on the ranks of the world, which may be one.
#include <unitvar/batch_norm.hpp>
#include <unitvar/mpi.hpp>

#include <cstdio>
#include <vector>

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  bool right = false;
  {
    unitvar::mpi::Communicator ranks(MPI_COMM_WORLD);
    const auto rank = static_cast<double>(ranks.rank());
    const std::vector<double> x = {rank, rank + 2};
    std::vector<double> y(2), mean(1);
    unitvar::batch_norm_forward<double>({.extent = unitvar::Extent::nc(2, 1), .x = x, .y = y, .mean = mean},
                                        {.communicator = &ranks});
    right = mean[0] == 1 + (ranks.size() - 1) / 2.0;
    if (rank == 0) std::printf("unitvar::mpi on %d ranks: mean %g\n", ranks.size(), mean[0]);
  }
  MPI_Finalize();
  return right ? 0 : 1;
}
