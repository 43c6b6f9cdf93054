#pragma once
#include <cstdint>

#include "unitvar/isa.hpp"

namespace unitvar::cpu {

/// Highway's bit of an instruction set; portable is the bit of whatever target needs no instruction beyond the build's
/// own.
std::int64_t highway_target(Isa isa) noexcept;

/// Highway's bits of the targets that this build holds.
std::int64_t compiled_targets() noexcept;

/// The instruction set that a request means on this machine; never automatic. Throws as selected_isa does.
Isa resolve(Isa requested);

}  // namespace unitvar::cpu
