#pragma once
#include <cstdint>
#include <type_traits>

#include "core/sanitized.hpp"

// Loops between the phases are plain C++, compiled for the oldest processor of the architecture. On x86-64, g++ makes a
// second version of each loop with AVX2, and the program chooses at run time. Bits do not change: no product is fused
// with a sum (-ffp-contract=off), and nothing here adds across iterations. The functions are static, because g++ 12
// gives the code that chooses default visibility, which would show it to other libraries.
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__GLIBC__) && !defined(UNITVAR_SANITIZED)
#define UNITVAR_FOR_NEWER_PROCESSORS_TOO __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define UNITVAR_FOR_NEWER_PROCESSORS_TOO
#endif

// g++ need not look for iterations that depend on each other: one loop may write a dozen arrays.
#if defined(__GNUC__) && !defined(__clang__)
#define UNITVAR_INDEPENDENT_ITERATIONS _Pragma("GCC ivdep")
#else
#define UNITVAR_INDEPENDENT_ITERATIONS
#endif

namespace unitvar::core {

/// f(i) for i = begin .. end - 1. No iteration may read what another one writes. The compiler vectorizes it where f has
/// no branches, except on what all iterations share. f is copied: its members stay in registers whatever it writes.
template <class F>
UNITVAR_FOR_NEWER_PROCESSORS_TOO static void vector_loop(std::int64_t begin, std::int64_t end, F f) noexcept {
  static_assert(std::is_trivially_copyable_v<F>);
  UNITVAR_INDEPENDENT_ITERATIONS
  for (std::int64_t i = begin; i < end; ++i) f(i);
}

/// Whether predicate(i) holds for all of i = 0 .. n - 1. It is evaluated for all i, without branches.
template <class Predicate>
UNITVAR_FOR_NEWER_PROCESSORS_TOO static bool for_all(std::int64_t n, const Predicate& predicate) noexcept {
  std::int64_t missed = 0;
  for (std::int64_t i = 0; i < n; ++i) missed |= predicate(i) ? 0 : 1;
  return missed == 0;
}

/// Calls f(begin, end, value) for each maximal run of 0 .. n-1 with the same value of predicate(index).
template <class Predicate, class F>
void for_runs(std::int64_t n, const Predicate& predicate, const F& f) noexcept {
  if (for_all(n, predicate)) {
    f(0, n, true);
    return;
  }
  for (std::int64_t begin = 0; begin < n;) {
    const bool value = predicate(begin);
    std::int64_t end = begin + 1;
    while (end < n && predicate(end) == value) ++end;
    f(begin, end, value);
    begin = end;
  }
}

}  // namespace unitvar::core
