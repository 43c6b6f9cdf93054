#pragma once
#include "core/sanitized.hpp"

/// The instruction sets to compile, for every file that includes Highway: one Highway target per value of Isa.
/// AVX3_DL adds nothing these kernels use; SSSE3 and SVE are not offered. Under sanitizers two of x86-64's are enough:
/// what they see in one vector width, they see in another.
#define UNITVAR_NEVER_TARGETS (HWY_SSSE3 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#ifdef UNITVAR_SANITIZED
#define HWY_DISABLED_TARGETS (UNITVAR_NEVER_TARGETS | HWY_SSE4 | HWY_AVX3)
#else
#define HWY_DISABLED_TARGETS UNITVAR_NEVER_TARGETS
#endif
/// Those below the compiler's own baseline too, which Highway would leave out: portable on Arm, all with -march=native.
#define HWY_COMPILE_ALL_ATTAINABLE

/// The parts of a kernel that need not be in line to be right. Under sanitizers they are not: checks of every access
/// make them long, and compilers take minutes over kernels that hold many copies.
#ifdef UNITVAR_SANITIZED
#define UNITVAR_PART HWY_NOINLINE
#else
#define UNITVAR_PART HWY_INLINE
#endif
