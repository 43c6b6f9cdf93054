#pragma once
#include <string>

namespace unitvar::cli {

/// What this program is and finds here, a line each: version and commit, processor, instruction sets, caches, threads,
/// MPI, BLAS.
[[nodiscard]] std::string version_text();

}  // namespace unitvar::cli
