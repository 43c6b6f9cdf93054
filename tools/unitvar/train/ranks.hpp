#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace unitvar {
class Communicator;
}

namespace unitvar::train {

/// The processes of a run, each with a part of every batch. All but rank, size and fail are collective calls, in the
/// same order on every rank. This is one process alone; those that mpirun has started derive from it.
class Ranks {
 public:
  virtual ~Ranks() = default;
  Ranks() = default;
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;

  [[nodiscard]] virtual int rank() const { return 0; }
  [[nodiscard]] virtual int size() const { return 1; }
  [[nodiscard]] bool is_first() const { return rank() == 0; }
  [[nodiscard]] bool are_many() const { return size() > 1; }

  /// Over which a layer is synchronized; null for one process.
  [[nodiscard]] virtual Communicator* communicator() { return nullptr; }
  /// values = their sums over all ranks, the same bits on each.
  virtual void add(std::span<float>) {}
  virtual void add(std::span<double>) {}
  /// Rank 0's values on all ranks.
  virtual void broadcast(std::span<std::byte>) {}
  /// Whether it is so on any rank.
  virtual bool any(bool here) { return here; }

  /// Ends all processes of the run with this exit code and one message: if all fail alike, rank 0 tells. Returns the
  /// code where there is but one.
  virtual int fail(const std::string&, int code) { return code; }

  /// The rows of a batch that are this rank's: [begin(batch), end(batch)).
  [[nodiscard]] std::int64_t begin(std::int64_t batch) const { return batch * rank() / size(); }
  [[nodiscard]] std::int64_t end(std::int64_t batch) const { return batch * (rank() + 1) / size(); }
};

/// The ranks that mpirun has started, MPI being made ready, or this process alone. Throws Failure if a launcher started
/// it and this build has no MPI.
std::unique_ptr<Ranks> start_ranks();

/// The library of MPI and its version, or "none".
[[nodiscard]] std::string mpi_name();

}  // namespace unitvar::train
