#pragma once
#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

#include "bench/data.hpp"

namespace unitvar::bench {

/// Tensors begin at a cache line, as frameworks allocate them.
template <class T>
struct LineAllocator {
  using value_type = T;
  static constexpr std::align_val_t kLine{64};

  T* allocate(std::size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), kLine)); }
  void deallocate(T* p, std::size_t) { ::operator delete(p, kLine); }
  bool operator==(const LineAllocator&) const = default;
};
template <class T>
using TensorOf = std::vector<T, LineAllocator<T>>;
using Tensor = TensorOf<float>;

template <class T = float>
TensorOf<T> random_tensor(std::int64_t size, double mean, double std, std::uint64_t seed) {
  const auto values = random_values<T>(size, mean, std, seed);
  return {values.begin(), values.end()};
}

}  // namespace unitvar::bench
