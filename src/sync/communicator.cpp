#include "unitvar/communicator.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>

#include "core/arguments.hpp"
#include "core/standard_arithmetic.hpp"
#include "core/text.hpp"
#include "core/vector_loop.hpp"
#include "sync/frame.hpp"

namespace unitvar {
namespace {

using math::ChannelPairs;
using std::int64_t;
using sync::FrameHeader;
using sync::FrameState;
using sync::PairKind;

/// Channels of a frame, at most. Such a frame has 16 MB, and an int can count its bytes.
constexpr int64_t kMostChannels = int64_t{1} << 20;

void check_block_channels(int64_t block_channels) {
  if (block_channels > 0 && block_channels <= kMostChannels && block_channels % 8 == 0) return;
  core::Arguments("Communicator")
      .fail(ErrorCode::bad_argument, "options.block_channels is " + std::to_string(block_channels) +
                                         ", want a multiple of 8 from 8 to " + std::to_string(kMostChannels));
}

void check_timeout(double seconds) {
  if (seconds >= 0) return;
  core::Arguments("Communicator")
      .fail(ErrorCode::bad_argument, "options.timeout_seconds is " + core::number(seconds) + ", want 0 or more");
}

/// Whether the bytes are a frame, as far as its numbers tell.
bool is_frame(std::span<const std::byte> bytes) noexcept {
  const auto size = static_cast<int64_t>(bytes.size());
  return reinterpret_cast<std::uintptr_t>(bytes.data()) % alignof(double) == 0 && size >= sync::bytes_of_frame(0) &&
         sync::fits(sync::header_of(bytes.data()), size);
}

/// Whether two ranks' headers disagree; if so, writes into `to` about what.
bool describe_difference(const FrameHeader& low, const FrameHeader& high, char (&to)[FrameHeader::kText]) noexcept {
  const auto differ = [&](const char* what, const char* a, const char* b) {
    std::snprintf(to, sizeof to, "%s is %.60s on rank %d and %.60s on rank %d, want the same on all ranks", what, a,
                  int{low.rank}, b, int{high.rank});
    return true;
  };
  const auto numbers_differ = [&](const char* what, const char* format, auto a, auto b) {
    char text_a[40], text_b[40];
    std::snprintf(text_a, sizeof text_a, format, a);
    std::snprintf(text_b, sizeof text_b, format, b);
    return differ(what, text_a, text_b);
  };
  if (std::strncmp(low.operation, high.operation, sizeof low.operation) != 0) {
    return differ("the operation", low.operation, high.operation);
  }
  if (std::strncmp(low.dtype, high.dtype, sizeof low.dtype) != 0) return differ("the dtype", low.dtype, high.dtype);
  if (low.channels != high.channels) {
    return numbers_differ("C", "%lld", static_cast<long long>(low.channels), static_cast<long long>(high.channels));
  }
  if (low.eps != high.eps) return numbers_differ("eps", "%.17g", low.eps, high.eps);
  if (low.block != high.block || low.kind != high.kind) {
    return numbers_differ("the exchange within the call", "%lld", static_cast<long long>(low.block),
                          static_cast<long long>(high.block));
  }
  return false;
}

/// Merges low and high into `out`, which may be the pair of either.
void merge_pairs(const FrameHeader& low, ChannelPairs low_pair, const FrameHeader& high, ChannelPairs high_pair,
                 ChannelPairs out) noexcept {
  const int64_t n = low.used;
  if (low.kind == PairKind::sums) {
    core::vector_loop(0, n, [=](int64_t c) {
      out.first[c] = low_pair.first[c] + high_pair.first[c];
      out.second[c] = low_pair.second[c] + high_pair.second[c];
    });
    return;
  }
  if (low.count == 0 || high.count == 0) {
    const ChannelPairs from = high.count == 0 ? low_pair : high_pair;
    if (from.first == out.first) return;
    std::copy_n(from.first, n, out.first);
    std::copy_n(from.second, n, out.second);
    return;
  }
  const math::MomentMerge merge(low.count, high.count);
  core::vector_loop(0, n, [=](int64_t c) {
    double mean = low_pair.first[c], m2 = low_pair.second[c];
    merge(mean, m2, high_pair.first[c], high_pair.second[c]);
    out.first[c] = mean;
    out.second[c] = m2;
  });
}

}  // namespace

void merge_frames(const std::byte* in, std::byte* inout) noexcept {
  const core::StandardArithmetic arithmetic;
  const FrameHeader a = sync::header_of(in), b = sync::header_of(inout);
  const ChannelPairs pair_a = sync::arrays_of(const_cast<std::byte*>(in), a.frame_bytes),
                     pair_b = sync::arrays_of(inout, b.frame_bytes);
  const bool a_first = a.rank < b.rank;
  const FrameHeader &low = a_first ? a : b, &high = a_first ? b : a;
  FrameHeader merged = low.state == FrameState::good ? high : low;
  if (low.state == FrameState::good && high.state == FrameState::good) {
    merged = low;
    if (describe_difference(low, high, merged.text)) {
      merged.state = FrameState::disagreement;
    } else {
      merge_pairs(low, a_first ? pair_a : pair_b, high, a_first ? pair_b : pair_a, pair_b);
    }
  }
  merged.rank = low.rank;
  merged.count = low.count + high.count;
  merged.values = low.values + high.values;
  std::memcpy(inout, &merged, sizeof merged);
}

Communicator::Communicator(int rank, int size, const SyncOptions& options)
    : rank_(rank), size_(size), options_(options), frame_bytes_(0) {
  if (size < 1 || rank < 0 || rank >= size) {
    core::Arguments("Communicator")
        .fail(ErrorCode::bad_argument,
              "rank is " + std::to_string(rank) + " of " + std::to_string(size) + ", want 0 <= rank < size");
  }
  check_block_channels(options.block_channels);
  check_timeout(options.timeout_seconds);
  frame_bytes_ = sync::bytes_of_frame(options.block_channels);
  const std::size_t doubles = static_cast<std::size_t>(frame_bytes_) / sizeof(double);
  frame_ = std::make_unique<double[]>(doubles + 1);  // and room for a link
  static_assert(sizeof(double*) <= sizeof(double));
}

// The list keeps the memory reachable: so no tool takes it for a leak. Behind each frame is room for its link.
void Communicator::abandon_frame() noexcept {
  static std::atomic<double*> abandoned = nullptr;
  double* const own = frame_.release();
  std::byte* const link = reinterpret_cast<std::byte*>(own) + frame_bytes_;
  double* next = abandoned.load();
  do {
    std::memcpy(link, &next, sizeof next);
  } while (!abandoned.compare_exchange_weak(next, own));
}

void Communicator::check_free() const {
  if (!do_is_under_way()) return;
  core::Arguments("Communicator")
      .fail(ErrorCode::communication,
            "an exchange has not ended and may still use the frame, want another communicator");
}

void Communicator::start() {
  do_start();
  ++counters_.frames;
  counters_.bytes += frame_bytes();
}

void Communicator::wait() {
  const auto begin = std::chrono::steady_clock::now();
  do_wait();
  counters_.seconds_waited += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void merge_frames(std::span<const std::byte> in, std::span<std::byte> inout) {
  const core::Arguments check("merge_frames");
  if (in.size() != inout.size() || !is_frame(in) || !is_frame(inout)) {
    check.fail(ErrorCode::communication, std::to_string(in.size()) + " and " + std::to_string(inout.size()) +
                                             " bytes, want two whole frames of one kind of communicator");
  }
  if (in.data() < inout.data() + inout.size() && inout.data() < in.data() + in.size()) {
    check.fail(ErrorCode::communication, "the frames overlap, want separate memory");
  }
  merge_frames(in.data(), inout.data());
}

}  // namespace unitvar
