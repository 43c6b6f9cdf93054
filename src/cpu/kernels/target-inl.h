// The target that is being compiled. Included once per instruction set.
#if defined(UNITVAR_KERNELS_TARGET_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNITVAR_KERNELS_TARGET_INL_H_
#undef UNITVAR_KERNELS_TARGET_INL_H_
#else
#define UNITVAR_KERNELS_TARGET_INL_H_
#endif

#include "cpu/runtime/targets.hpp"
#include "unitvar/isa.hpp"

/// Whether this is the target that needs no instruction beyond the build's own. What all instruction sets share is
/// compiled with it.
#undef UNITVAR_PORTABLE
#if HWY_TARGET & (HWY_SSE4 | HWY_AVX2 | HWY_AVX3 | HWY_NEON)
#define UNITVAR_PORTABLE 0
#else
#define UNITVAR_PORTABLE 1
#endif

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

/// Whether this target is of the fast group.
constexpr bool kFastTarget = (HWY_TARGET & UNITVAR_FAST_TARGETS) != 0;

constexpr Isa this_isa() {
  switch (HWY_TARGET) {
    case HWY_SSE4:
      return Isa::sse4;
    case HWY_AVX2:
      return Isa::avx2;
    case HWY_AVX3:
      return Isa::avx512;
    case HWY_NEON:
      return Isa::neon;
    default:
      return Isa::portable;
  }
}

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
