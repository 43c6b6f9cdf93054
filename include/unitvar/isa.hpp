#pragma once
#include <string_view>
#include <vector>

#include "unitvar/api.hpp"

namespace unitvar {

/// The instruction sets the kernels are compiled for, slowest first. A build holds those of its architecture.
enum class Isa {
  automatic,  ///< the environment variable UNITVAR_ISA if it is set, else the best that this machine has
  portable,   ///< no intrinsics: what every compiler can build
  sse4,
  avx2,
  avx512,
  neon
};

/// "automatic", "portable", "sse4", "avx2", "avx512", "neon"; "unknown" for a number that is no Isa.
[[nodiscard]] UNITVAR_API std::string_view isa_name(Isa isa) noexcept;

/// The inverse of isa_name. Throws Error (bad_argument) that lists the names.
[[nodiscard]] UNITVAR_API Isa isa_from_name(std::string_view name);

/// The instruction sets that this build holds and this machine runs, best first; never empty.
[[nodiscard]] UNITVAR_API std::vector<Isa> supported_isas();

/// The instruction set that a call with Options{.cpu = {.isa = requested}} runs, as reported by the selected kernels
/// themselves. Isa::automatic resolves to UNITVAR_ISA (read once per process) or else to supported_isas().front().
/// Throws Error (unsupported_isa) if this machine or build lacks it. Throws Error (bad_argument) if `requested` is no
/// Isa or UNITVAR_ISA is no name.
[[nodiscard]] UNITVAR_API Isa selected_isa(Isa requested = Isa::automatic);

}  // namespace unitvar
