#pragma once
#include "core/sanitized.hpp"

/// The Highway targets that this build compiles: one for each value of Isa. Every file that includes Highway includes
/// this one first. The build may set:
///   UNITVAR_LEFT_OUT     the targets that UNITVAR_ISAS leaves out
///   UNITVAR_FAST_GROUP   1 in a source that is compiled for the fast targets, 0 in one compiled for the others
///   UNITVAR_DTYPE        the storage type that a source of kernels is compiled for
#ifndef UNITVAR_LEFT_OUT
#define UNITVAR_LEFT_OUT 0
#endif

/// AVX3_DL adds no instruction that the kernels use. SSSE3 and SVE are not offered. The sanitizers need two targets of
/// x86-64 only: an error in one vector width shows in another.
#define UNITVAR_NEVER_TARGETS (HWY_SSSE3 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#ifdef UNITVAR_SANITIZED
#define UNITVAR_BUILD_TARGETS_OFF (UNITVAR_NEVER_TARGETS | (UNITVAR_LEFT_OUT) | HWY_SSE4 | HWY_AVX3)
#else
#define UNITVAR_BUILD_TARGETS_OFF (UNITVAR_NEVER_TARGETS | (UNITVAR_LEFT_OUT))
#endif

/// The fast targets are compiled for speed, the others for size: what runs on a processor without AVX2 is rarely what
/// somebody waits for. A source of one group need not parse the other group, except for the compiler's own baseline.
#define UNITVAR_FAST_TARGETS (HWY_AVX2 | HWY_AVX3 | HWY_NEON)
#ifndef UNITVAR_FAST_GROUP
#define HWY_DISABLED_TARGETS UNITVAR_BUILD_TARGETS_OFF
#elif UNITVAR_FAST_GROUP
#define HWY_DISABLED_TARGETS (UNITVAR_BUILD_TARGETS_OFF | HWY_SSE4)
#define UNITVAR_IN_GROUP ((HWY_TARGET & UNITVAR_FAST_TARGETS) != 0)
#else
#define HWY_DISABLED_TARGETS (UNITVAR_BUILD_TARGETS_OFF | UNITVAR_FAST_TARGETS)
#define UNITVAR_IN_GROUP ((HWY_TARGET & UNITVAR_FAST_TARGETS) == 0)
#endif

/// Highway leaves out the targets below the compiler's own baseline. This keeps them: portable on Arm, and all with
/// -march=native.
#define HWY_COMPILE_ALL_ATTAINABLE

/// Marks functions that are inline for speed alone. The sanitizers check each access, so inline copies get long, and
/// the compiler needs minutes. There these functions are not inline.
#ifdef UNITVAR_SANITIZED
#define UNITVAR_PART HWY_NOINLINE
#else
#define UNITVAR_PART HWY_INLINE
#endif
