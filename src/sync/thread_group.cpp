#include "unitvar/thread_group.hpp"

#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <string>

#include "core/arguments.hpp"
#include "math/merge.hpp"

namespace unitvar {
namespace {

using Clock = std::chrono::steady_clock;
using std::int64_t;

constexpr int64_t kBlockChannels = 256;

SyncOptions with_block(SyncOptions options) noexcept {
  if (options.block_channels == 0) options.block_channels = kBlockChannels;
  return options;
}

void check_arguments(int ranks, std::chrono::nanoseconds latency) {
  const core::Arguments check("ThreadGroup");
  if (ranks < 1) check.fail(ErrorCode::bad_argument, "ranks is " + std::to_string(ranks) + ", want 1 or more");
  if (latency.count() < 0) {
    check.fail(ErrorCode::bad_argument, "latency is " + std::to_string(latency.count()) + " ns, want 0 or more");
  }
}

}  // namespace

/// Where the ranks' frames meet. The last rank to send merges them all.
struct ThreadGroup::Meeting {
  Meeting(int ranks, const SyncOptions& options, std::chrono::nanoseconds frame_latency);

  std::mutex mutex;
  std::condition_variable merged;
  std::chrono::nanoseconds latency;
  int present = 0;                             ///< ranks that have sent a frame of this exchange
  int64_t exchanges = 0;                       ///< finished so far
  Clock::time_point arrives;                   ///< when ranks may see the result of the last one
  std::vector<std::vector<std::byte>> frames;  ///< of each rank
  std::vector<std::byte> result;               ///< of all
  std::deque<Rank> ranks;
};

class ThreadGroup::Rank final : public Communicator {
 public:
  Rank(Meeting& meeting, int rank, int size, const SyncOptions& options)
      : Communicator(rank, size, options), meeting_(meeting) {}

 private:
  void do_start() override {
    const std::lock_guard lock(meeting_.mutex);
    exchange_ = meeting_.exchanges;
    std::memcpy(sent(rank()), frame(), static_cast<std::size_t>(frame_bytes()));
    if (++meeting_.present < size()) return;
    math::merge_tree(size(), [&](int64_t low, int64_t high, int64_t) {
      merge_frames(sent(static_cast<int>(high)), sent(static_cast<int>(low)));
    });
    std::memcpy(meeting_.result.data(), sent(0), meeting_.result.size());
    meeting_.present = 0;
    ++meeting_.exchanges;
    meeting_.arrives = Clock::now() + meeting_.latency;
    meeting_.merged.notify_all();
  }

  // The result stays until all ranks have sent their next frame, and no rank sends before it has read the result.
  void do_wait() override {
    std::unique_lock lock(meeting_.mutex);
    meeting_.merged.wait(lock, [&] { return meeting_.exchanges > exchange_; });
    const Clock::time_point arrives = meeting_.arrives;
    if (Clock::now() < arrives) meeting_.merged.wait_until(lock, arrives, [=] { return Clock::now() >= arrives; });
    std::memcpy(frame(), meeting_.result.data(), meeting_.result.size());
  }

  [[nodiscard]] std::byte* sent(int rank) const noexcept {
    return meeting_.frames[static_cast<std::size_t>(rank)].data();
  }

  Meeting& meeting_;
  int64_t exchange_ = 0;
};

ThreadGroup::Meeting::Meeting(int size, const SyncOptions& options, std::chrono::nanoseconds frame_latency)
    : latency(frame_latency) {
  for (int rank = 0; rank < size; ++rank) {
    const Rank& made = ranks.emplace_back(*this, rank, size, options);
    frames.emplace_back(static_cast<std::size_t>(made.frame_bytes()));
  }
  result = frames.front();
}

ThreadGroup::ThreadGroup(int ranks, const SyncOptions& options, std::chrono::nanoseconds latency) {
  check_arguments(ranks, latency);
  meeting_ = std::make_unique<Meeting>(ranks, with_block(options), latency);
}

ThreadGroup::~ThreadGroup() = default;

int ThreadGroup::size() const noexcept { return static_cast<int>(meeting_->ranks.size()); }

Communicator& ThreadGroup::communicator(int rank) {
  if (rank < 0 || rank >= size()) {
    core::Arguments("ThreadGroup::communicator")
        .fail(ErrorCode::bad_argument, "rank is " + std::to_string(rank) + ", want 0 to " + std::to_string(size() - 1));
  }
  return meeting_->ranks[static_cast<std::size_t>(rank)];
}

}  // namespace unitvar
