#include "common/failure.hpp"
#include "common/launch.hpp"
#include "train/ranks.hpp"

namespace unitvar::train {

std::unique_ptr<Ranks> start_ranks() {
  if (tool::launched_by_mpi())
    throw tool::Failure("started by mpirun, but this build has no MPI: want one where CMake found it");
  return std::make_unique<Ranks>();
}

std::string mpi_name() { return "none"; }

}  // namespace unitvar::train
