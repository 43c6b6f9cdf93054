#pragma once
#include <cstdint>

#include "unitvar/isa.hpp"

namespace unitvar {

/// How the phases walk memory. Changes speed, never bits.
enum class Walk {
  automatic,  ///< chosen from extent, dtype, cache sizes and thread count
  resident,   ///< a channel, or a block of columns, goes through all phases while it sits in the cache
  streamed    ///< whole-tensor passes, every second one in reverse
};

class Communicator;

/// How often calls left float, or had to sum again, because float would have lost digits (docs/numerics.md). One unit
/// is a channel of a tile, or a row of layer and RMS norm, in one phase. A phase is a first pass (sums) or a second
/// pass (maps). The number of tiles depends on the extent alone. So the counts are the same for every number of
/// threads, every instruction set and every walk.
///
/// Sums are moments, sums for gradients, and a row's part of dgamma and dbeta. Maps give y, dx or another tensor. The
/// maps of a tensor of double are in double throughout, and count as none in double. Double backward of layer and RMS
/// norm computes in double throughout, and counts nothing.
struct PrecisionCounts {
  std::int64_t sums = 0;            ///< all sums
  std::int64_t sums_again = 0;      ///< those that a second sum in double replaced
  std::int64_t maps = 0;            ///< all maps
  std::int64_t maps_in_double = 0;  ///< those computed in double instead of float

  friend constexpr bool operator==(const PrecisionCounts&, const PrecisionCounts&) = default;
};

/// How a call runs on the CPU, the backend of this library. None of these changes a bit of any result.
///
/// After fork(), a child whose parent had other threads (OpenMP's among them) runs every call on one thread, whatever
/// `threads` says. The parent's threads are gone there, and g++'s OpenMP runtime would wait for them for ever. A child
/// of a process with one thread, and a program that is started by exec, use threads as usual.
struct CpuOptions {
  int threads = 0;           ///< OpenMP threads; 0 = the OpenMP runtime's default. Small work stays on the caller's.
  Isa isa = Isa::automatic;  ///< instruction set of the kernels
  Walk walk = Walk::automatic;
  /// Where the call adds its counts, once a tile, on all of its threads; null: nothing is counted. Calls that follow
  /// one another may share it, and then it holds their sum. Calls that run at the same time may not. It must live as
  /// long as the call, or as the object that keeps these options. It may overlap no argument of the call (overlap).
  PrecisionCounts* counts = nullptr;
};

/// How a call runs, and with whom.
///
///   unitvar::batch_norm_forward<float>(args, {.cpu = {.threads = 4, .isa = unitvar::Isa::avx2}});
///
/// The promise about bits, for the CPU: the same arguments give the same bits with every `cpu` option and every
/// processor. The caller's floating-point settings do not matter either. A call rounds to nearest, keeps denormals and
/// does not trap, on all of its threads. It leaves settings and exception flags as it found them. This holds for all
/// that computes on tensors or statistics, not for unitvar/reference.hpp and unitvar/gradcheck.hpp. Not part of the
/// promise: the sign and payload of a NaN. Where a result is NaN, it is NaN always, but which one is up to the
/// processor.
///
/// With a communicator, statistics are those of all ranks' batches.
struct Options {
  CpuOptions cpu = {};
  Communicator* communicator = nullptr;  ///< ranks that share the batch: see communicator.hpp; null: this one alone
};

}  // namespace unitvar
