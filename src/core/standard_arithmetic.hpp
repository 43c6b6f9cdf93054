#pragma once
#include <cfenv>
#include <cstdint>

namespace unitvar::core {

/// While one lives, its thread computes as programs start: rounding to nearest, denormals kept, no traps. Then the
/// thread's own settings are back, and its exception flags as they were. Each public call that computes has one, and
/// each thread of a parallel region: so results do not depend on what the caller has set, before or after the threads
/// were made. A compiler orders arithmetic and settings only by calls that it cannot see into. So the constructor and
/// the destructor are in a source file of their own, and are never inlined, not even when a project links with LTO.
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
