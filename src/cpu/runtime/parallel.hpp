#pragma once
#include <omp.h>

#include <cstdint>

#include "core/divide_up.hpp"
#include "core/standard_arithmetic.hpp"

namespace unitvar::cpu {

/// Whether this process was forked from one that had other threads. Theirs are gone, but g++'s OpenMP runtime still
/// waits for them: a parallel region of the child would hang.
bool forked_beside_threads() noexcept;

/// How many threads a call may use that asks for `asked`; 0 asks for the runtime's default.
inline int threads_for_call(int asked) noexcept {
  if (forked_beside_threads()) return 1;
  return asked > 0 ? asked : omp_get_max_threads();
}

/// Calls body(begin, end, thread) for disjoint ranges that cover 0 .. n-1, one for each thread < threads. Neighbours in
/// memory stay together. body may not throw.
template <class Body>
void parallel_ranges(int threads, std::int64_t n, const Body& body) {
  if (threads <= 1 || n <= 1 || forked_beside_threads()) {
    body(std::int64_t{0}, n, 0);
    return;
  }
#pragma omp parallel num_threads(threads) default(none) shared(n, body)
  {
    const core::StandardArithmetic arithmetic;
    // The runtime may give fewer threads than asked for.
    const int thread = omp_get_thread_num();
    const core::Range share = core::share_of(n, omp_get_num_threads(), thread);
    body(share.begin, share.end, thread);
  }
}

/// Calls body(index, thread) for index 0 .. n-1, each once, in ranges as above. Each thread calls finish() after its
/// last index. Neither may throw.
template <class Body, class Finish>
void parallel_for(int threads, std::int64_t n, const Body& body, const Finish& finish) {
  parallel_ranges(threads, n, [&](std::int64_t begin, std::int64_t end, int thread) {
    for (std::int64_t index = begin; index < end; ++index) body(index, thread);
    finish();
  });
}

template <class Body>
void parallel_for(int threads, std::int64_t n, const Body& body) {
  parallel_for(threads, n, body, [] {});
}

}  // namespace unitvar::cpu
