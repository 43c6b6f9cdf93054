#pragma once
#include "unitvar/communicator.hpp"
#include "unitvar/options.hpp"

namespace unitvar::core {

/// The ranks with which a call shares its batch. Null if there is no other rank, and so nothing to exchange.
inline Communicator* ranks_of(const Options& options) noexcept {
  return options.communicator != nullptr && options.communicator->size() > 1 ? options.communicator : nullptr;
}

}  // namespace unitvar::core
