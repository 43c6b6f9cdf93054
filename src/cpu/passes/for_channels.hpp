#pragma once
#include <cstdint>

#include "math/channel_math.hpp"

namespace unitvar::cpu {

/// work(c) for the channels [begin, end), on the calling thread. The loop of each kind of work is compiled once, in
/// for_channels.cpp, since many operations and all storage types of the same parameters share it.
template <math::ChannelWork Work>
void for_channels(std::int64_t begin, std::int64_t end, const Work& work) noexcept;

}  // namespace unitvar::cpu
