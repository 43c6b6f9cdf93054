#include "unitvar/thread_group.hpp"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <string>

#include "core/arguments.hpp"
#include "core/text.hpp"
#include "math/merge.hpp"

namespace unitvar {
namespace {

using Clock = std::chrono::steady_clock;
using std::int64_t;

constexpr int64_t kBlockChannels = 256;
constexpr double kLongest = 1e9;  ///< seconds that a clock can add

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
  std::vector<bool> has_sent;                  ///< a frame of this exchange, for each rank
  int64_t exchanges = 0;                       ///< finished so far
  Clock::time_point arrives;                   ///< when ranks may see the result of the last one
  std::vector<std::vector<std::byte>> frames;  ///< of each rank
  std::vector<std::byte> result;               ///< of all
  std::string failure;                         ///< what ended the group's use; empty: nothing
  std::deque<Rank> ranks;

  void check() const {
    if (!failure.empty()) throw Error(ErrorCode::communication, failure);
  }
};

class ThreadGroup::Rank final : public Communicator {
 public:
  Rank(Meeting& meeting, int rank, int size, const SyncOptions& options)
      : Communicator(rank, size, options), meeting_(meeting) {}

 private:
  void do_start() override {
    const std::lock_guard lock(meeting_.mutex);
    meeting_.check();
    exchange_ = meeting_.exchanges;
    std::memcpy(sent(rank()), frame(), static_cast<std::size_t>(frame_bytes()));
    meeting_.has_sent[static_cast<std::size_t>(rank())] = true;
    if (std::find(meeting_.has_sent.begin(), meeting_.has_sent.end(), false) != meeting_.has_sent.end()) return;
    math::merge_tree(size(), [&](int64_t low, int64_t high, int64_t) {
      merge_frames(sent(static_cast<int>(high)), sent(static_cast<int>(low)));
    });
    std::memcpy(meeting_.result.data(), sent(0), meeting_.result.size());
    meeting_.has_sent.assign(meeting_.has_sent.size(), false);
    ++meeting_.exchanges;
    meeting_.arrives = Clock::now() + meeting_.latency;
    meeting_.merged.notify_all();
  }

  // The result stays until all ranks have sent their next frame, and no rank sends before it has read the result.
  void do_wait() override {
    std::unique_lock lock(meeting_.mutex);
    const auto is_over = [&] { return meeting_.exchanges > exchange_ || !meeting_.failure.empty(); };
    if (const double limit = options().timeout_seconds; limit == 0) {
      meeting_.merged.wait(lock, is_over);
    } else if (!meeting_.merged.wait_for(lock, std::chrono::duration<double>(std::min(limit, kLongest)), is_over)) {
      end_use(limit);
    }
    if (meeting_.exchanges <= exchange_) meeting_.check();
    const Clock::time_point arrives = meeting_.arrives;
    if (Clock::now() < arrives) meeting_.merged.wait_until(lock, arrives, [=] { return Clock::now() >= arrives; });
    std::memcpy(frame(), meeting_.result.data(), meeting_.result.size());
  }

  /// Names a rank that has not come, for all ranks and all calls from now on.
  void end_use(double limit) {
    const auto missing = std::find(meeting_.has_sent.begin(), meeting_.has_sent.end(), false);
    meeting_.failure = "ThreadGroup: rank " + std::to_string(missing - meeting_.has_sent.begin()) +
                       " sent no frame within " + core::number(limit) + " s, the timeout of rank " +
                       std::to_string(rank()) + ": the group is of no more use";
    meeting_.merged.notify_all();
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
  has_sent.assign(frames.size(), false);
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
