#include "common/launch.hpp"

#include <algorithm>
#include <cstdlib>
#include <initializer_list>

namespace unitvar::tool {
namespace {

// The first of these variables that is set.
std::optional<int> number_from(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (const char* text = std::getenv(name); text != nullptr) return std::atoi(text);
  }
  return std::nullopt;
}

}  // namespace

std::optional<Launch> launched_by_mpi() {
  // Open MPI's, MPICH's (and Intel's), and PMIx's own, whose launchers are Slurm's.
  const auto rank = number_from({"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"});
  const auto size = number_from({"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"});
  if (!rank) return std::nullopt;
  return Launch{*rank, std::max(size.value_or(1), *rank + 1)};
}

}  // namespace unitvar::tool
