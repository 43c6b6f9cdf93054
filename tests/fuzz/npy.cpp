#include <cmath>
#include <span>

#include "check/npy.hpp"
#include "common/failure.hpp"

/// The reader of .npy files: an array whose values fill its shape, or Failure.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto array = unitvar::check::read_npy(std::as_bytes(std::span(data, size)), "input");
    std::size_t count = 1;
    for (const auto extent : array.shape) count *= static_cast<std::size_t>(extent);
    if (count != array.values.size()) __builtin_trap();
  } catch (const unitvar::tool::Failure&) {
  }
  return 0;
}
