#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "common/failure.hpp"
#include "common/launch.hpp"
#include "common/standard_streams.hpp"
#include "train/ranks.hpp"
#include "unitvar/mpi.hpp"

namespace unitvar::train {
namespace {

// By then rank 0 has told the same, if it has failed, too.
constexpr std::chrono::seconds courtesy{1};

void check(int result, const char* call) {
  if (result == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "unknown error";
  int length = 0;
  MPI_Error_string(result, text, &length);
  throw tool::Failure("{} failed: {}", call, text);
}

/// MPI for the time of a run.
class Mpi {
 public:
  Mpi() {
    int provided = 0;
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  }
  ~Mpi() { MPI_Finalize(); }
  Mpi(const Mpi&) = delete;
  Mpi& operator=(const Mpi&) = delete;
};

class MpiRanks final : public Ranks {
 public:
  [[nodiscard]] int rank() const override { return communicator_.rank(); }
  [[nodiscard]] int size() const override { return communicator_.size(); }
  Communicator* communicator() override { return are_many() ? &communicator_ : nullptr; }

  void add(std::span<float> values) override { add(values.data(), values.size(), MPI_FLOAT); }
  void add(std::span<double> values) override { add(values.data(), values.size(), MPI_DOUBLE); }
  void broadcast(std::span<std::byte> values) override {
    check(MPI_Bcast(values.data(), static_cast<int>(values.size()), MPI_BYTE, 0, MPI_COMM_WORLD), "MPI_Bcast");
  }
  bool any(bool here) override {
    int yes = here ? 1 : 0;
    check(MPI_Allreduce(MPI_IN_PLACE, &yes, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD), "MPI_Allreduce");
    return yes != 0;
  }
  int fail(const std::string& message, int code) override {
    if (rank() > 0) std::this_thread::sleep_for(courtesy);
    tool::warn("unitvar train: {}{}\n", rank() > 0 ? fmt::format("rank {}: ", rank()) : "", message);
    std::fflush(stderr);
    MPI_Abort(MPI_COMM_WORLD, code);
    std::abort();
  }

 private:
  void add(void* values, std::size_t size, MPI_Datatype type) {
    check(MPI_Allreduce(MPI_IN_PLACE, values, static_cast<int>(size), type, MPI_SUM, MPI_COMM_WORLD), "MPI_Allreduce");
  }

  Mpi mpi_;
  mpi::Communicator communicator_{MPI_COMM_WORLD};
};

}  // namespace

std::unique_ptr<Ranks> start_ranks() {
  if (!tool::launched_by_mpi()) return std::make_unique<Ranks>();
  return std::make_unique<MpiRanks>();
}

std::string mpi_name() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  int length = 0;
  MPI_Get_library_version(text, &length);  // allowed before MPI is started
  const std::string name(text, static_cast<std::size_t>(length));
  return name.substr(0, name.find(','));
}

}  // namespace unitvar::train
