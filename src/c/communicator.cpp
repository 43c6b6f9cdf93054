#include "unitvar/c/communicator.h"

#include <memory>
#include <string>
#include <vector>

#include "c/call.hpp"

using namespace unitvar;
using std::int32_t;
using std::int64_t;
using unitvar::c::guarded;
using unitvar::c::need;

struct unitvar_communicator {
  std::unique_ptr<Communicator> own;  ///< null where a thread group owns it
  Communicator* ranks;
};

struct unitvar_thread_group {
  ThreadGroup group;
  std::vector<unitvar_communicator> communicators;

  unitvar_thread_group(int32_t ranks, const SyncOptions& options) : group(ranks, options) {
    communicators.resize(static_cast<std::size_t>(ranks));
    for (int32_t r = 0; r < ranks; ++r) communicators[static_cast<std::size_t>(r)].ranks = &group.communicator(r);
  }
};

namespace unitvar::c {
namespace {

constexpr int64_t kBlockChannels = 1024;

SyncOptions sync_options(const char* operation, const unitvar_sync_options* given) {
  if (given == nullptr) return {};
  const unitvar_sync_options* const o = &taken(operation, "the struct of options", given);
  return {.block_channels = o->block_channels,
          .overlap = o->without_overlap == 0,
          .parameter_gradients =
              o->global_parameter_gradients == 0 ? ParameterGradients::local : ParameterGradients::global,
          .timeout_seconds = o->timeout_seconds};
}

/// Ranks whose frames the caller's functions carry. Where `wait` has failed, the caller's engine may still use the
/// frame.
class Engine final : public Communicator {
 public:
  Engine(int32_t rank, int32_t size, const unitvar_engine& engine, const SyncOptions& options)
      : Communicator(rank, size, options), engine_(engine) {}
  ~Engine() override {
    if (is_under_way_) abandon_frame();
  }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

 protected:
  void do_start() override {
    act("start", engine_.start);
    is_under_way_ = true;
  }
  void do_wait() override {
    act("wait", engine_.wait);
    is_under_way_ = false;
  }
  [[nodiscard]] bool do_is_under_way() const noexcept override { return is_under_way_; }

 private:
  void act(const char* what, int32_t (*callback)(void*, void*, int64_t)) {
    if (const int32_t result = callback(engine_.user, frame(), frame_bytes()); result != 0) {
      throw Error(ErrorCode::communication, "communicator: " + std::string(what) + " of rank " +
                                                std::to_string(rank()) + " returned " + std::to_string(result) +
                                                ", want 0");
    }
  }

  unitvar_engine engine_;
  bool is_under_way_ = false;
};

}  // namespace

Communicator* ranks_of(unitvar_communicator* communicator) noexcept {
  return communicator == nullptr ? nullptr : communicator->ranks;
}

}  // namespace unitvar::c

unitvar_status unitvar_communicator_create(int32_t rank, int32_t size, const unitvar_engine* engine,
                                           const unitvar_sync_options* options, unitvar_communicator** out) noexcept {
  constexpr const char* kName = "communicator_create";
  return guarded(kName, [&] {
    need(kName, "the result", out);
    const unitvar_engine& given = c::taken(kName, "the engine", engine);
    c::need_address(kName, "engine.start", reinterpret_cast<const void*>(given.start));
    c::need_address(kName, "engine.wait", reinterpret_cast<const void*>(given.wait));
    SyncOptions own = c::sync_options(kName, options);
    if (own.block_channels == 0) own.block_channels = c::kBlockChannels;
    auto made = std::make_unique<c::Engine>(rank, size, given, own);
    Communicator* const ranks = made.get();
    *out = new unitvar_communicator{std::move(made), ranks};
  });
}
void unitvar_communicator_destroy(unitvar_communicator* communicator) noexcept {
  if (communicator != nullptr && communicator->own != nullptr) delete communicator;
}
unitvar_status unitvar_communicator_counters(const unitvar_communicator* communicator,
                                             unitvar_sync_counters* counters) noexcept {
  return guarded("communicator_counters", [&] {
    need("communicator_counters", "the communicator", communicator);
    need("communicator_counters", "the result", counters);
    const SyncCounters& own = communicator->ranks->counters();
    *counters = {own.frames, own.bytes, own.seconds_waited};
  });
}
unitvar_status unitvar_refuse_call(unitvar_communicator* communicator, const char* why) noexcept {
  return guarded("refuse_call", [&] {
    need("refuse_call", "the communicator", communicator);
    need("refuse_call", "the reason", why);
    refuse_call(*communicator->ranks, why);
  });
}
unitvar_status unitvar_merge_frames(const void* in, void* inout, int64_t bytes) noexcept {
  return guarded("merge_frames", [&] {
    c::need_address("merge_frames", "in", in);
    c::need_address("merge_frames", "inout", inout);
    if (bytes < 0) {
      throw Error(ErrorCode::wrong_length, "merge_frames: bytes is " + std::to_string(bytes) + ", want >= 0");
    }
    const auto n = static_cast<std::size_t>(bytes);
    merge_frames({static_cast<const std::byte*>(in), n}, {static_cast<std::byte*>(inout), n});
  });
}

unitvar_status unitvar_thread_group_create(int32_t ranks, const unitvar_sync_options* options,
                                           unitvar_thread_group** out) noexcept {
  constexpr const char* kName = "thread_group_create";
  return guarded(kName, [&] {
    need(kName, "the result", out);
    *out = std::make_unique<unitvar_thread_group>(ranks, c::sync_options(kName, options)).release();
  });
}
void unitvar_thread_group_destroy(unitvar_thread_group* group) noexcept { delete group; }
unitvar_communicator* unitvar_thread_group_communicator(unitvar_thread_group* group, int32_t rank) noexcept {
  if (group == nullptr || rank < 0 || rank >= group->group.size()) return nullptr;
  return &group->communicators[static_cast<std::size_t>(rank)];
}
