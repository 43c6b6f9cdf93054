#pragma once
#include <optional>

namespace unitvar::tool {

/// What mpirun, or a launcher like it, has told this process about itself.
struct Launch {
  int rank, size;
};

/// Nothing if no such launcher started this process.
[[nodiscard]] std::optional<Launch> launched_by_mpi();

}  // namespace unitvar::tool
