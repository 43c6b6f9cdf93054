#include "version_text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <omp.h>

#include <string_view>
#include <vector>

#include "bench/machine.hpp"
#include "train/matrix.hpp"
#include "train/ranks.hpp"
#include "unitvar/isa.hpp"
#include "unitvar/version.hpp"
#include "unitvar_commit.hpp"

namespace unitvar::cli {
namespace {

std::string cache_text(std::int64_t bytes) {
  return bytes == 0 ? "of unknown size" : fmt::format("{} KiB", bytes >> 10);
}

}  // namespace

std::string version_text() {
  std::vector<std::string_view> isas;
  for (const Isa isa : supported_isas()) isas.push_back(isa_name(isa));
  const bench::Machine machine = bench::this_machine(selected_isa());
  return fmt::format(
      "unitvar {}, commit {}\n"
      "processor         {}\n"
      "instruction sets  {}; {} is taken\n"
      "caches of a core  L1 {}, L2 {}\n"
      "threads           {}\n"
      "MPI               {}\n"
      "BLAS              {}",
      version, kCommit, machine.processor, fmt::join(isas, " "), isa_name(machine.isa), cache_text(machine.l1),
      cache_text(machine.l2), omp_get_max_threads(), train::mpi_name(), train::blas_name());
}

}  // namespace unitvar::cli
