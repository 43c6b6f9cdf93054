#pragma once
#include <omp.h>

#include <cstdint>

namespace unitvar::core {

/// The thread count that Options::threads = 0 stands for.
inline int default_threads() noexcept { return omp_get_max_threads(); }

/// Calls body(index, thread) for index 0 .. n-1, each once; thread < threads. Indices are split into one contiguous
/// range a thread, so neighbours in memory stay together. Each thread calls finish() after its last. Neither may throw.
template <class Body, class Finish>
void parallel_for(int threads, std::int64_t n, const Body& body, const Finish& finish) {
  if (threads <= 1 || n <= 1) {
    for (std::int64_t index = 0; index < n; ++index) body(index, 0);
    finish();
    return;
  }
#pragma omp parallel num_threads(threads) default(none) shared(n, body, finish)
  {
#pragma omp for schedule(static) nowait
    for (std::int64_t index = 0; index < n; ++index) body(index, omp_get_thread_num());
    finish();
  }
}

template <class Body>
void parallel_for(int threads, std::int64_t n, const Body& body) {
  parallel_for(threads, n, body, [] {});
}

}  // namespace unitvar::core
