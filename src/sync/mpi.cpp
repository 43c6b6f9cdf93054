#include "unitvar/mpi.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <string>
#include <vector>

#include "unitvar/error.hpp"

namespace unitvar::mpi {
namespace {

using std::int64_t;

[[noreturn]] void fail(ErrorCode code, const std::string& what) { throw Error(code, "mpi::Communicator: " + what); }

void check(int result, const char* call) {
  if (result == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "unknown error";
  int length = 0;
  MPI_Error_string(result, text, &length);
  fail(ErrorCode::communication, std::string(call) + " failed: " + text);
}

void check_ready() {
  int initialized = 0, finalized = 0;
  MPI_Initialized(&initialized);
  MPI_Finalized(&finalized);
  if (initialized == 0) fail(ErrorCode::bad_state, "MPI is not initialized, want MPI_Init_thread before");
  if (finalized != 0) fail(ErrorCode::bad_state, "MPI is finalized, want a communicator before that");
}

/// MPI's reduction: one element is one whole frame.
extern "C" void unitvar_merge_frames(void* in, void* inout, int* length, MPI_Datatype* type) {
  int bytes = 0;
  MPI_Type_size(*type, &bytes);
  for (int k = 0; k < *length; ++k) {
    merge_frames(static_cast<const std::byte*>(in) + int64_t{k} * bytes,
                 static_cast<std::byte*>(inout) + int64_t{k} * bytes);
  }
}

}  // namespace

/// What MPI has made for a communicator, in the order of making.
struct Communicator::Handles {
  MPI_Comm comm = MPI_COMM_NULL;
  MPI_Op merge = MPI_OP_NULL;
  MPI_Datatype frame = MPI_DATATYPE_NULL;
  MPI_Request request = MPI_REQUEST_NULL;

  Handles() = default;
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;

  /// Not a constructor: so the destructor frees what was made before a call failed.
  void open(MPI_Comm given) {
    if (given == MPI_COMM_NULL) fail(ErrorCode::bad_argument, "comm is MPI_COMM_NULL, want a communicator");
    int between_groups = 0;
    check(MPI_Comm_test_inter(given, &between_groups), "MPI_Comm_test_inter");
    if (between_groups != 0) fail(ErrorCode::bad_argument, "comm is an inter-communicator, want ranks of one group");
    check(MPI_Comm_dup(given, &comm), "MPI_Comm_dup");
    check(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    check(MPI_Op_create(&unitvar_merge_frames, 1, &merge), "MPI_Op_create");
  }
  ~Handles() {
    int finalized = 0;
    MPI_Finalized(&finalized);
    if (finalized != 0 || is_waiting()) return;
    if (frame != MPI_DATATYPE_NULL) MPI_Type_free(&frame);
    if (merge != MPI_OP_NULL) MPI_Op_free(&merge);
    if (comm != MPI_COMM_NULL) MPI_Comm_free(&comm);
  }

  static std::unique_ptr<Handles> of(MPI_Comm given) {
    check_ready();
    auto handles = std::make_unique<Handles>();
    handles->open(given);
    return handles;
  }

  /// For ranks that have not come.
  [[nodiscard]] bool is_waiting() const noexcept { return request != MPI_REQUEST_NULL; }

  void make_frame(int64_t bytes) {
    check(MPI_Type_contiguous(static_cast<int>(bytes), MPI_BYTE, &frame), "MPI_Type_contiguous");
    check(MPI_Type_commit(&frame), "MPI_Type_commit");
  }
};

namespace {

int rank_of(MPI_Comm comm) {
  int rank = 0;
  check(MPI_Comm_rank(comm, &rank), "MPI_Comm_rank");
  return rank;
}

int size_of(MPI_Comm comm) {
  int size = 0;
  check(MPI_Comm_size(comm, &size), "MPI_Comm_size");
  return size;
}

/// Throws on all ranks where they do not ask for the same.
void check_agreement(MPI_Comm comm, const SyncOptions& options) {
  const std::array<int64_t, 4> own{options.block_channels, options.overlap ? 1 : 0,
                                   static_cast<int64_t>(options.parameter_gradients),
                                   options.timeout_seconds >= 0 ? 1 : 0};
  std::array<int64_t, 8> extremes{};
  for (std::size_t i = 0; i < own.size(); ++i) {
    extremes[2 * i] = own[i];
    extremes[2 * i + 1] = -own[i];
  }
  check(MPI_Allreduce(MPI_IN_PLACE, extremes.data(), static_cast<int>(extremes.size()), MPI_INT64_T, MPI_MAX, comm),
        "MPI_Allreduce");
  if (-extremes.back() == 0) {
    fail(ErrorCode::bad_argument, "options.timeout_seconds is negative or NaN on a rank, want 0 or more");
  }
  constexpr const char* names[] = {"block_channels", "overlap", "parameter_gradients"};
  for (std::size_t i = 0; i < std::size(names); ++i) {
    const int64_t most = extremes[2 * i], least = -extremes[2 * i + 1];
    if (most == least) continue;
    fail(ErrorCode::disagreement, "ranks disagree: options." + std::string(names[i]) + " goes from " +
                                      std::to_string(least) + " to " + std::to_string(most) +
                                      ", want the same on all ranks");
  }
}

/// The seconds that an all-reduce of so many doubles takes: the fastest of a few.
double seconds_for(MPI_Comm comm, std::vector<double>& memory, int doubles) {
  double best = 1e9;
  for (int k = 0; k < 8; ++k) {
    const double begin = MPI_Wtime();
    check(MPI_Allreduce(MPI_IN_PLACE, memory.data(), doubles, MPI_DOUBLE, MPI_SUM, comm), "MPI_Allreduce");
    best = std::min(best, MPI_Wtime() - begin);
  }
  return best;
}

/// The number of channels whose bytes add a quarter to the time of an empty message.
int64_t measured_block(MPI_Comm comm) {
  constexpr int kMany = 1 << 15;
  constexpr int64_t kLeast = 64, kMost = 4096, kDoublesPerChannel = 2;
  std::vector<double> memory(kMany, 0);
  const double latency = seconds_for(comm, memory, 1), many = seconds_for(comm, memory, kMany);
  const double per_double = std::max(many - latency, 1e-12) / kMany;
  const double channels = latency / 4 / (per_double * kDoublesPerChannel);
  int64_t block = std::clamp(static_cast<int64_t>(std::min(channels, 1e6)) / kLeast * kLeast, kLeast, kMost);
  check(MPI_Bcast(&block, 1, MPI_INT64_T, 0, comm), "MPI_Bcast");
  return block;
}

SyncOptions agreed(MPI_Comm comm, SyncOptions options) {
  check_agreement(comm, options);
  if (options.block_channels == 0) options.block_channels = measured_block(comm);
  return options;
}

}  // namespace

Communicator::Communicator(MPI_Comm comm, const SyncOptions& options) : Communicator(Handles::of(comm), options) {}

Communicator::Communicator(std::unique_ptr<Handles> handles, const SyncOptions& options)
    : unitvar::Communicator(rank_of(handles->comm), size_of(handles->comm), agreed(handles->comm, options)),
      handles_(std::move(handles)) {
  handles_->make_frame(frame_bytes());
}

Communicator::~Communicator() {
  if (handles_->is_waiting()) abandon_frame();
}

bool Communicator::do_is_under_way() const noexcept { return handles_->is_waiting(); }

void Communicator::do_start() {
  check(MPI_Iallreduce(MPI_IN_PLACE, frame(), 1, handles_->frame, handles_->merge, handles_->comm, &handles_->request),
        "MPI_Iallreduce");
}

void Communicator::do_wait() {
  const double limit = options().timeout_seconds;
  if (limit == 0) return check(MPI_Wait(&handles_->request, MPI_STATUS_IGNORE), "MPI_Wait");
  const double begin = MPI_Wtime();
  for (int is_over = 0; is_over == 0;) {
    check(MPI_Test(&handles_->request, &is_over, MPI_STATUS_IGNORE), "MPI_Test");
    if (is_over == 0 && MPI_Wtime() - begin > limit) {
      char text[120];
      std::snprintf(text, sizeof text, "rank %d waited %g s for the other ranks", rank(), limit);
      fail(ErrorCode::communication, std::string(text) + ": the communicator is of no more use, want MPI_Abort");
    }
  }
}

}  // namespace unitvar::mpi
