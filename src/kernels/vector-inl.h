// Included once per instruction set by foreach_target.h; the guard toggles instead of shutting.
#if defined(UNITVAR_KERNELS_VECTOR_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNITVAR_KERNELS_VECTOR_INL_H_
#undef UNITVAR_KERNELS_VECTOR_INL_H_
#else
#define UNITVAR_KERNELS_VECTOR_INL_H_
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <cstdint>

#include "kernels/kernels.hpp"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using std::int64_t;

/// All arithmetic runs in vectors of doubles; T is only what memory holds.
using Doubles = hn::CappedTag<double, kLanes>;
using Vec = hn::Vec<Doubles>;

/// Elements per vector, and vectors per group of kLanes lanes.
constexpr int kWidth = static_cast<int>(hn::MaxLanes(Doubles()));
constexpr int kVectors = kLanes / kWidth;

HWY_INLINE Vec load(const double* p) { return hn::LoadU(Doubles(), p); }
HWY_INLINE Vec load(const float* p) { return hn::PromoteTo(Doubles(), hn::LoadU(hn::Rebind<float, Doubles>(), p)); }

HWY_INLINE void store(Vec v, double* p) { hn::StoreU(v, Doubles(), p); }
HWY_INLINE void store(Vec v, float* p) {
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
  // Highway's own portable DemoteTo turns infinities into the largest float.
  double lanes[kWidth];
  store(v, lanes);
  for (int k = 0; k < kWidth; ++k) p[k] = static_cast<float>(lanes[k]);
#else
  const hn::Rebind<float, Doubles> floats;
  hn::StoreU(hn::DemoteTo(floats, v), floats, p);
#endif
}

HWY_INLINE Vec broadcast(double value) { return hn::Set(Doubles(), value); }

/// A coefficient at column k: one value for the whole rectangle, or one per column.
HWY_INLINE Vec at(const Vec& v, int64_t) { return v; }
HWY_INLINE Vec at(const double* v, int64_t k) { return load(v + k); }
HWY_INLINE double scalar_at(double v, int64_t) { return v; }
HWY_INLINE double scalar_at(const double* v, int64_t k) { return v[k]; }
HWY_INLINE Vec prepared(double v) { return broadcast(v); }
HWY_INLINE const double* prepared(const double* v) { return v; }

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
