#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "unitvar/api.hpp"

/// Batch normalization over several ranks, each with a part of the batch: synchronized batch normalization. An
/// operation whose Options name a communicator takes its statistics, and its gradients' sums, over the batches of all
/// ranks:
///
///   unitvar::mpi::Communicator ranks(MPI_COMM_WORLD);                                     // unitvar/mpi.hpp
///   unitvar::batch_norm_forward<float>({...}, {.communicator = &ranks});
///
/// It is then a collective call. Every rank of the communicator makes the same calls in the same order, with the same
/// C, dtype and eps. outer and inner may differ, and a rank's batch may be empty. Between the phases the ranks exchange
/// one frame for each block of channels, merged by Chan's formula in double (docs/derivation.md B8), or added.
///
/// - Every rank holds the same bits of mean, var and rstd. Their rounding depends on the number of ranks and on the
///   split of the batch; on MPI, also on the order in which it merges. It stays within the accuracy of the plain call
///   on the whole batch.
/// - Errors: where ranks disagree on the call, C, dtype or eps, all throw the same Error (disagreement) before they
///   write anything. A rank that refuses its arguments throws as it does alone; the others throw Error (disagreement)
///   with its message. A single value per channel on all ranks together is too_few_values.
/// - Operations that take part: forward and backward of batch_norm.hpp, activation.hpp, in_place.hpp, renorm.hpp and
///   weighted.hpp, derivatives.hpp, and the layer. Those whose statistics are of one sample, of a part of the batch, or
///   frozen, exchange nothing and ignore it. Ghost batches of whole ranks are a communicator of these ranks.
/// - Memory: a rank takes all the memory of a call before the first exchange. If there is too little, it throws
///   std::bad_alloc, and the others Error (disagreement), before they write anything.
/// - A rank that makes no call, or dies, keeps the others waiting, up to options.timeout_seconds.
/// - A communicator of one rank exchanges nothing: the call is the plain one.
namespace unitvar {

/// What dgamma and dbeta are of, where the batch is spread over ranks.
enum class ParameterGradients {
  local,  ///< of the rank's own samples: an optimizer's all-reduce adds them, as with any other parameter. Not in
          ///< a double backward, whose sums are over all
  global  ///< of all ranks' samples: the same on every rank
};

/// The same on all ranks of a communicator.
struct SyncOptions {
  /// Channels of a frame, a multiple of 8 up to 2^20; one exchange for so many channels. 0: the communicator's own
  /// choice.
  std::int64_t block_channels = 0;
  /// While the frame of one block travels, compute: the next block's sums, then the previous block's result. Otherwise
  /// each frame is awaited as soon as it is sent. Changes no bits.
  bool overlap = true;
  ParameterGradients parameter_gradients = ParameterGradients::local;
  /// Seconds that ThreadGroup and mpi::Communicator wait for the other ranks before they throw Error (communication);
  /// 0: as long as it takes. Such a communicator is of no more use. May differ between ranks.
  double timeout_seconds = 0;
};

/// What a communicator has done since it was made.
struct SyncCounters {
  std::int64_t frames = 0;    ///< exchanged
  std::int64_t bytes = 0;     ///< of these frames, each counted once
  double seconds_waited = 0;  ///< in wait(): what overlap did not hide
};

/// A group of ranks that exchange frames. Two come with the library: ThreadGroup (threads of this process) and
/// mpi::Communicator; derive from it to use another engine. One call at a time; not safe for concurrent calls on one
/// object.
class UNITVAR_API Communicator {
 public:
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  [[nodiscard]] int rank() const noexcept { return rank_; }
  [[nodiscard]] int size() const noexcept { return size_; }
  /// block_channels is what was chosen.
  [[nodiscard]] const SyncOptions& options() const noexcept { return options_; }
  [[nodiscard]] const SyncCounters& counters() const noexcept { return counters_; }

  /// The one frame, of frame_bytes(): this rank's before start(), that of all ranks after wait(), not to be touched
  /// between them.
  [[nodiscard]] std::byte* frame() noexcept { return reinterpret_cast<std::byte*>(frame_.get()); }
  [[nodiscard]] std::int64_t frame_bytes() const noexcept { return frame_bytes_; }
  /// Throws Error (communication) if an exchange that failed may still read or write the frame.
  void check_free() const;

  /// Sends the frame; returns at once. Throws Error (communication).
  void start();
  /// Returns when the frame holds that of all ranks. Throws Error (communication).
  void wait();

 protected:
  /// Throws Error (bad_argument) if rank is not in [0, size), options.block_channels no multiple of 8 from 8 to 2^20,
  /// or options.timeout_seconds negative or NaN.
  Communicator(int rank, int size, const SyncOptions& options);

  /// Begins to make frame(), on all ranks, the merge of all ranks' frames by merge_frames. Order and grouping are free,
  /// but the same for all ranks. do_start and do_wait run under the library's floating-point settings (options.hpp):
  /// round to nearest, denormals kept, traps masked.
  virtual void do_start() = 0;
  /// Ends it.
  virtual void do_wait() = 0;
  /// Whether an exchange has failed and may still read or write frame(). No call is made then.
  [[nodiscard]] virtual bool do_is_under_way() const noexcept { return false; }
  /// For the destructor of such an engine: the frame's memory stays for ever.
  void abandon_frame() noexcept;

 private:
  int rank_, size_;
  SyncOptions options_;
  SyncCounters counters_;
  std::int64_t frame_bytes_;
  std::unique_ptr<double[]> frame_;
};

/// Merges frame `in` into frame `inout`, as communicators do: moments by Chan's formula (docs/derivation.md B8), sums
/// by adding. Both have frame_bytes() bytes. Commutative to the last bit: a frame knows the lowest rank in it, and that
/// side comes first. Frames that disagree become one that says so.
UNITVAR_API void merge_frames(const std::byte* in, std::byte* inout) noexcept;

/// The same for bytes that may have been damaged on their way. Throws Error (communication), before anything is
/// written, unless both are frames of communicators with the same block_channels, aligned for double, and apart.
UNITVAR_API void merge_frames(std::span<const std::byte> in, std::span<std::byte> inout);

/// Tells the other ranks that this one refuses the call that they make, and why: they throw Error (disagreement) with
/// this message. For bindings that check arguments before the library does; operations do it themselves. Nothing with
/// one rank. Throws Error (communication).
UNITVAR_API void refuse_call(Communicator& ranks, const char* why);

}  // namespace unitvar
