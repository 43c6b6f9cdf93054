#pragma once
#include <cstdint>
#include <string>

#include "unitvar/isa.hpp"

namespace unitvar::bench {

/// The machine that figures come from.
struct Machine {
  std::string processor;        ///< for people, e.g. "AMD EPYC (family 23, model 1)"
  Isa isa;                      ///< that the library ran
  std::int64_t l1 = 0, l2 = 0;  ///< bytes a core; 0 where the system does not tell
  int processors = 1;
};

/// This machine, on which the library runs `isa`.
[[nodiscard]] Machine this_machine(Isa isa);

/// Instruction set and L2, between whose machines figures compare: "avx2-512k", "neon-unknown".
[[nodiscard]] std::string kind_of(const Machine& machine);

}  // namespace unitvar::bench
