#pragma once
#include <cstdint>

#include "core/vector_loop.hpp"
#include "cpu/precision/float_policy.hpp"
#include "math/merge.hpp"

/// Loops over the channels of an item, or the rows of a batch. They know no T: a loop that storage types share is
/// compiled once.
namespace unitvar::cpu {

/// out[i] = value(i) for i = 0 .. n - 1, in A.
template <class A, class Value>
void fill_with(A* out, std::int64_t n, const Value& value) noexcept {
  core::vector_loop(0, n, [=](std::int64_t i) { out[i] = static_cast<A>(value(i)); });
}
inline auto elements_of(const double* values) noexcept {
  return [=](std::int64_t i) { return values[i]; };
}

/// In place, sums of dy and of dy * (x - center) to those about the means.
template <class A>
void move_to_means(std::int64_t begin, std::int64_t end, math::ChannelPairs sums, const A* center,
                   const double* mean) noexcept {
  core::vector_loop(begin, end, [=](std::int64_t i) {
    sums.second[i] = moved_to_mean(sums.second[i], sums.first[i], static_cast<double>(center[i]), mean[i]);
  });
}

}  // namespace unitvar::cpu
