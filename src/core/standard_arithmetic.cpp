#include "core/standard_arithmetic.hpp"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace unitvar::core {

// If LTO inlined these, arithmetic could move past the change of settings.
#if defined(__clang__)
#define UNITVAR_OPAQUE __attribute__((noinline))
#define UNITVAR_BARRIER asm volatile("" ::: "memory")
#else
#define UNITVAR_OPAQUE __attribute__((noipa))
#define UNITVAR_BARRIER static_cast<void>(0)
#endif

// fesetenv would also set the x87 unit, which the library does not use. It would leave settings that C does not know.

#if defined(__x86_64__)

UNITVAR_OPAQUE StandardArithmetic::StandardArithmetic() noexcept : callers_(_mm_getcsr()) {
  _mm_setcsr(_MM_MASK_MASK);
  UNITVAR_BARRIER;
}
UNITVAR_OPAQUE StandardArithmetic::~StandardArithmetic() {
  UNITVAR_BARRIER;
  _mm_setcsr(callers_);
}

#elif defined(__aarch64__)

UNITVAR_OPAQUE StandardArithmetic::StandardArithmetic() noexcept : callers_{} {
  asm volatile("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(callers_.control), "=r"(callers_.status)::"memory");
  asm volatile("msr fpcr, %0" ::"r"(std::uint64_t{0}) : "memory");
}
UNITVAR_OPAQUE StandardArithmetic::~StandardArithmetic() {
  asm volatile("msr fpcr, %0\n\tmsr fpsr, %1" ::"r"(callers_.control), "r"(callers_.status) : "memory");
}

#else

UNITVAR_OPAQUE StandardArithmetic::StandardArithmetic() noexcept : callers_{} {
  std::fegetenv(&callers_);
  std::fesetenv(FE_DFL_ENV);
  UNITVAR_BARRIER;
}
UNITVAR_OPAQUE StandardArithmetic::~StandardArithmetic() {
  UNITVAR_BARRIER;
  std::fesetenv(&callers_);
}

#endif

}  // namespace unitvar::core
