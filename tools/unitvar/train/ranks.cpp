#include "train/ranks.hpp"

#include <cstdlib>

namespace unitvar::train {

bool launched_by_mpi() {
  // Open MPI's, MPICH's (and Intel's), and PMIx's own.
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK"}) {
    if (std::getenv(name) != nullptr) return true;
  }
  return false;
}

}  // namespace unitvar::train
