#pragma once
#include "unitvar/isa.hpp"

namespace unitvar {

/// How the phases walk memory. Changes speed, never bits.
enum class Walk {
  automatic,  ///< chosen from extent, dtype, cache sizes and thread count
  resident,   ///< a channel, or a block of columns, goes through all phases while it sits in the cache
  streamed    ///< whole-tensor passes, every second one in reverse
};

class Communicator;

/// How a call runs on the CPU, the backend of this library. None of these changes a bit of any result.
///
/// After fork(), a child whose parent had other threads (OpenMP's among them) runs every call on one thread, whatever
/// `threads` says. The parent's threads are gone there, and g++'s OpenMP runtime would wait for them for ever. A child
/// of a process with one thread, and a program that is started by exec, use threads as usual.
struct CpuOptions {
  int threads = 0;           ///< OpenMP threads; 0 = the OpenMP runtime's default. Small work stays on the caller's.
  Isa isa = Isa::automatic;  ///< instruction set of the kernels
  Walk walk = Walk::automatic;
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
