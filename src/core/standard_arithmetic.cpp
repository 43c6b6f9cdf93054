#include "core/standard_arithmetic.hpp"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace unitvar::core {

// fesetenv would also set the x87 unit, which the library does not compute with, and leave what C does not know of.

#if defined(__x86_64__)

StandardArithmetic::StandardArithmetic() noexcept : callers_(_mm_getcsr()) { _mm_setcsr(_MM_MASK_MASK); }
StandardArithmetic::~StandardArithmetic() { _mm_setcsr(callers_); }

#elif defined(__aarch64__)

StandardArithmetic::StandardArithmetic() noexcept : callers_{} {
  asm volatile("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(callers_.control), "=r"(callers_.status)::"memory");
  asm volatile("msr fpcr, %0" ::"r"(std::uint64_t{0}) : "memory");
}
StandardArithmetic::~StandardArithmetic() {
  asm volatile("msr fpcr, %0\n\tmsr fpsr, %1" ::"r"(callers_.control), "r"(callers_.status) : "memory");
}

#else

StandardArithmetic::StandardArithmetic() noexcept : callers_{} {
  std::fegetenv(&callers_);
  std::fesetenv(FE_DFL_ENV);
}
StandardArithmetic::~StandardArithmetic() { std::fesetenv(&callers_); }

#endif

}  // namespace unitvar::core
