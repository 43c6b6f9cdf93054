#pragma once
#include <cstdint>
#include <span>

#include "core/workspace.hpp"
#include "cpu/passes/for_channels.hpp"
#include "math/channel_math.hpp"

namespace unitvar::cpu {

/// `count` arrays of C doubles in one allocation.
class ChannelArrays {
 public:
  ChannelArrays(int count, std::int64_t channels)
      : channels_(channels), memory_(static_cast<std::size_t>(count * channels) * sizeof(double)) {}

  [[nodiscard]] double* operator[](int i) const noexcept { return memory_.as<double>() + i * channels_; }

 private:
  std::int64_t channels_;
  core::Workspace memory_;
};

/// From the call's doubles to what the caller has asked for, if it has.
template <class To>
void store_if_wanted(const double* from, std::span<To> to) noexcept {
  for_channels(0, std::ssize(to), math::Convert<To>{from, to.data()});
}

}  // namespace unitvar::cpu
