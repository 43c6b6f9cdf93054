#pragma once
#include <cstdint>

namespace unitvar::core {

/// The most channels of a tensor, or elements of a row. No address space holds more. An empty batch needs no memory of
/// the caller's, but the library allocates up to 16 doubles for each of its channels. Their bytes must fit 64 bits.
inline constexpr std::int64_t kMostParameters = std::int64_t{1} << 48;

/// Throws Error (bad_argument) unless bytes_per_element >= 1, and Error (overflow) unless parameters <=
/// kMostParameters. `name` is the axis along which gamma and beta lie.
void check_sizes(const char* operation, const char* name, std::int64_t parameters, std::int64_t bytes_per_element);

}  // namespace unitvar::core
