#pragma once
#include <mpi.h>

#include <memory>

#include "unitvar/api.hpp"
#include "unitvar/communicator.hpp"

/// In a library of its own, unitvar::mpi, which is built where MPI 3 is found (option UNITVAR_MPI).
namespace unitvar::mpi {

/// The ranks of an MPI communicator: the world, a split of it (MPI_Comm_split), those of one machine
/// (MPI_Comm_split_type). Frames travel by MPI_Iallreduce, with an operation of the library's own that MPI may apply in
/// any order.
///
///   unitvar::mpi::Communicator ranks(MPI_COMM_WORLD);  // between MPI_Init and MPI_Finalize
///   unitvar::batch_norm_forward<float>({.extent = extent, .x = x, .y = y}, {.communicator = &ranks});
///
/// The constructor and the destructor are collective calls. The object keeps a duplicate of the communicator, so its
/// messages cannot be taken for the program's own. The program initializes MPI, with MPI_THREAD_FUNNELED if it uses
/// OpenMP threads. It finalizes MPI after the last Communicator is gone. All calls come from the thread that
/// MPI_Init_thread calls the main one. Processes must not differ in the byte order or size of double.
///
/// If options leave block_channels open, a few frames are timed. A block is then as many channels as pass in a quarter
/// of the time that an empty message takes. It is a multiple of 64, from 64 to 4096. Rank 0 chooses for all.
///
/// Throws Error on every rank: bad_state if MPI is not ready, bad_argument for bad options, disagreement if ranks ask
/// for different options. communication says that MPI reports a failure, whose text is in the message. It says, too,
/// that other ranks did not come within options.timeout_seconds; MPI does not tell which. The communicator is then of
/// no more use: end the job with MPI_Abort. Without a timeout, ranks wait for one that does not come for ever. The
/// timeout does not end the constructor and the destructor.
class UNITVAR_API Communicator final : public unitvar::Communicator {
 public:
  explicit Communicator(MPI_Comm comm, const SyncOptions& options = {});
  ~Communicator() override;

 private:
  struct Handles;
  Communicator(std::unique_ptr<Handles> handles, const SyncOptions& options);
  void do_start() override;
  void do_wait() override;
  [[nodiscard]] bool do_is_under_way() const noexcept override;

  std::unique_ptr<Handles> handles_;
};

}  // namespace unitvar::mpi
