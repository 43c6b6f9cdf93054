#pragma once
#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/// A thread's floating-point settings, and some that a caller may have chosen.
namespace unitvar::test {

#if defined(__x86_64__)
using Settings = unsigned;
inline Settings settings() { return _mm_getcsr(); }
inline void set(Settings to) { _mm_setcsr(to); }
inline Settings flushing(Settings from) { return from | _MM_FLUSH_ZERO_ON | _MM_DENORMALS_ZERO_ON; }
inline Settings upward(Settings from) { return (from & ~unsigned{_MM_ROUND_MASK}) | _MM_ROUND_UP; }
inline Settings trapping(Settings from) {
  return from & ~unsigned{_MM_MASK_INVALID | _MM_MASK_DIV_ZERO | _MM_MASK_INEXACT};
}
#define UNITVAR_HAS_FLOAT_SETTINGS 1
#elif defined(__aarch64__)
using Settings = std::uint64_t;
inline Settings settings() {
  Settings control = 0;
  asm volatile("mrs %0, fpcr" : "=r"(control)::"memory");
  return control;
}
inline void set(Settings to) { asm volatile("msr fpcr, %0" ::"r"(to) : "memory"); }
inline Settings flushing(Settings from) { return from | Settings{1} << 24; }
inline Settings upward(Settings from) { return from | Settings{1} << 22; }
inline Settings trapping(Settings from) { return from; }  // not every processor can
#define UNITVAR_HAS_FLOAT_SETTINGS 1
#else
#define UNITVAR_HAS_FLOAT_SETTINGS 0
#endif

#if UNITVAR_HAS_FLOAT_SETTINGS

/// Sets the thread's own again when it goes.
class Changed {
 public:
  explicit Changed(Settings to) : own_(settings()) { set(to); }
  ~Changed() { set(own_); }
  Changed(const Changed&) = delete;
  Changed& operator=(const Changed&) = delete;

 private:
  Settings own_;
};

#endif

}  // namespace unitvar::test
