#include "sync/exchange.hpp"

#include <cstdio>
#include <cstring>
#include <string>

#include "core/arguments.hpp"
#include "core/standard_arithmetic.hpp"
#include "unitvar/error.hpp"

namespace unitvar::sync {
namespace {

using std::int64_t;

template <std::size_t size>
void copy_text(std::string_view from, char (&to)[size]) noexcept {
  const std::size_t length = std::min(from.size(), size - 1);
  std::memcpy(to, from.data(), length);
  to[length] = 0;
}

/// Throws if a merged frame says so. If ranks refused, the frame holds the message of the lowest of them.
void check_state(const char* operation, const FrameHeader& header) {
  if (header.state == FrameState::good) return;
  const bool refused = header.state == FrameState::refused;
  const char* const prefix = refused ? "refused by " : "ranks disagree: ";
  throw Error(ErrorCode::disagreement,
              std::string(refused ? operation : "synchronized batch normalization") + ": " + prefix + header.text);
}

}  // namespace

void Exchange::start(int64_t block, math::ChannelPairs here) {
  ranks_.check_free();
  const int64_t begin = begin_of(block), used = end_of(block) - begin;
  FrameHeader header{};
  header.state = FrameState::good;
  header.kind = terms_.kind;
  header.rank = ranks_.rank();
  header.frame_bytes = ranks_.frame_bytes();
  header.block = terms_.first_block + block;
  header.channels = terms_.channels;
  header.used = used;
  header.count = terms_.count;
  header.values = terms_.values;
  header.eps = terms_.eps;
  copy_text(terms_.dtype, header.dtype);
  copy_text(terms_.operation, header.operation);
  std::memcpy(ranks_.frame(), &header, sizeof header);
  const math::ChannelPairs pair = arrays_of(ranks_.frame(), header.frame_bytes);
  std::copy_n(here.first + begin, used, pair.first);
  std::copy_n(here.second + begin, used, pair.second);
  ranks_.start();
}

void Exchange::wait(int64_t block, math::ChannelPairs all) {
  ranks_.wait();
  FrameHeader header = header_of(ranks_.frame());
  const int64_t used = end_of(block) - begin_of(block);
  if (!fits(header, ranks_.frame_bytes()) || (header.state == FrameState::good && header.used != used)) {
    core::Arguments(terms_.operation)
        .fail(ErrorCode::communication,
              "the communicator gave back a damaged frame, want the merge of all ranks' frames");
  }
  header.text[FrameHeader::kText - 1] = 0;
  check_state(terms_.operation, header);
  if (header.values == 1) {
    core::Arguments(terms_.operation)
        .fail(ErrorCode::too_few_values, "the batch of all ranks has 1 value per channel, want 2 or more (or none)");
  }
  count_ = header.count;
  const math::ChannelPairs pair = arrays_of(ranks_.frame(), header.frame_bytes);
  std::copy_n(pair.first, used, all.first + begin_of(block));
  std::copy_n(pair.second, used, all.second + begin_of(block));
}

void refuse(Communicator& ranks, const char* why) {
  const core::StandardArithmetic arithmetic;
  ranks.check_free();
  FrameHeader header{};
  header.state = FrameState::refused;
  header.rank = ranks.rank();
  header.frame_bytes = ranks.frame_bytes();
  std::snprintf(header.text, sizeof header.text, "rank %d: %s", ranks.rank(), why);
  std::memcpy(ranks.frame(), &header, sizeof header);
  ranks.start();
  ranks.wait();
}

void tell_refusal(Communicator* ranks, const char* why) noexcept {
  if (ranks == nullptr) return;
  try {
    refuse(*ranks, why);
  } catch (const std::exception&) {
  }
}

}  // namespace unitvar::sync

void unitvar::refuse_call(Communicator& ranks, const char* why) {
  if (ranks.size() > 1) sync::refuse(ranks, why);
}
