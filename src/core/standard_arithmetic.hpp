#pragma once
#include <cfenv>
#include <cstdint>

namespace unitvar::core {

/// While one lives, its thread computes with the settings that a program starts with: rounding to nearest, denormals
/// kept, no traps. Then the thread's own settings are back, and its exception flags as they were. Each public call that
/// computes has one, and so has each thread of a parallel region. So results do not depend on the caller's settings,
/// nor on whether they were made before or after the threads.
///
/// A compiler may move arithmetic across a change of settings, but not across a call whose body it does not know. So
/// the constructor and the destructor have a source file of their own. They are never inlined, not even by LTO.
class StandardArithmetic {
 public:
  StandardArithmetic() noexcept;
  ~StandardArithmetic();
  StandardArithmetic(const StandardArithmetic&) = delete;
  StandardArithmetic& operator=(const StandardArithmetic&) = delete;

 private:
#if defined(__x86_64__)
  std::uint32_t callers_;
#elif defined(__aarch64__)
  struct Registers {
    std::uint64_t control, status;
  } callers_;
#else
  std::fenv_t callers_;
#endif
};

}  // namespace unitvar::core
