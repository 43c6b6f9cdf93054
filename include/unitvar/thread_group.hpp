#pragma once
#include <chrono>
#include <memory>

#include "unitvar/api.hpp"
#include "unitvar/communicator.hpp"

namespace unitvar {

/// Ranks that are threads of one process: what MPI ranks do, without MPI. For tests, for measuring what overlap hides,
/// and for programs that give each thread its own part of a batch.
///
///   unitvar::ThreadGroup group(2);
///   // in thread r:
///   unitvar::batch_norm_forward<float>({...}, {.cpu = {.threads = 1}, .communicator = &group.communicator(r)});
///
/// Frames are merged in a fixed tree: a result's bits depend on the ranks and their batches alone. A thread waits as
/// long as the other ranks take, or options.timeout_seconds: then all calls of all ranks throw Error (communication)
/// from there on. The group must outlive all calls.
class UNITVAR_API ThreadGroup {
 public:
  /// `latency`: a frame arrives so long after the last rank has sent its own, as if through a network. block_channels
  /// is 256 if options leave the choice. Throws Error (bad_argument) for ranks < 1, a latency < 0, or bad options.
  explicit ThreadGroup(int ranks, const SyncOptions& options = {}, std::chrono::nanoseconds latency = {});
  ~ThreadGroup();

  [[nodiscard]] int size() const noexcept;
  /// Throws Error (bad_argument) if there is no such rank.
  [[nodiscard]] Communicator& communicator(int rank);

 private:
  class Rank;
  struct Meeting;
  std::unique_ptr<Meeting> meeting_;
};

}  // namespace unitvar
