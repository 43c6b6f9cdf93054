#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "math/merge.hpp"

namespace unitvar::sync {

/// How a pair of arrays is merged with another rank's.
enum class PairKind : std::int32_t {
  moments,  ///< mean and M2 (B8)
  sums      ///< plain sums
};

enum class FrameState : std::int32_t {
  good,
  disagreement,  ///< `text` says between whom and about what
  refused        ///< `text` says by whom and why
};

/// What ranks send each other for one block of channels: this header, then two arrays of doubles. Each array has as
/// many elements as a block may have channels.
struct FrameHeader {
  static constexpr std::size_t kText = 232;

  FrameState state;
  PairKind kind;
  std::int32_t rank;         ///< the lowest that is merged in
  std::int32_t pad;          ///< 0
  std::int64_t frame_bytes;  ///< header and arrays
  std::int64_t block;        ///< number of the block within the call
  std::int64_t channels;     ///< C
  std::int64_t used;         ///< channels of this block
  double count;              ///< values of a channel, or the sum of their weights
  double values;             ///< values that count, up to 2 of each rank
  double eps;                ///< of a forward pass, else 0
  char dtype[8];
  char operation[48];  ///< as in messages
  char text[kText];
};
static_assert(sizeof(FrameHeader) % sizeof(double) == 0);

/// The two arrays of a frame of frame_bytes bytes.
inline math::ChannelPairs arrays_of(std::byte* frame, std::int64_t frame_bytes) noexcept {
  auto* const first = reinterpret_cast<double*>(frame + sizeof(FrameHeader));
  const auto doubles = (frame_bytes - static_cast<std::int64_t>(sizeof(FrameHeader))) / std::int64_t{sizeof(double)};
  return {first, first + doubles / 2};
}

/// Bytes of a frame for blocks of up to block_channels channels.
inline std::int64_t bytes_of_frame(std::int64_t block_channels) noexcept {
  return static_cast<std::int64_t>(sizeof(FrameHeader)) + 2 * block_channels * std::int64_t{sizeof(double)};
}

/// The header of a frame.
inline FrameHeader header_of(const std::byte* frame) noexcept {
  FrameHeader header;
  std::memcpy(&header, frame, sizeof header);
  return header;
}

/// Whether a frame of so many bytes can have this header.
inline bool fits(const FrameHeader& header, std::int64_t bytes) noexcept {
  const std::int64_t most = (bytes - bytes_of_frame(0)) / (bytes_of_frame(1) - bytes_of_frame(0));
  return header.frame_bytes == bytes && header.used >= 0 && header.used <= most;
}

}  // namespace unitvar::sync
