// Phases 2 and 4: element by element over a rectangle. Included once per instruction set.
#if defined(UNITVAR_KERNELS_MAPS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNITVAR_KERNELS_MAPS_INL_H_
#undef UNITVAR_KERNELS_MAPS_INL_H_
#else
#define UNITVAR_KERNELS_MAPS_INL_H_
#endif

#include "kernels/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

/// (x - mean) * scale + beta, not x * a + b: the second form cancels when |mean| is large.
template <class T, class V>
struct NormalizeMap {
  const T* x;
  T* y;
  NormalizeCoefficients<V> c;
  decltype(prepared(V{})) mean = prepared(c.mean), scale = prepared(c.scale), beta = prepared(c.beta);

  HWY_INLINE void vector(int64_t i, int64_t k) const {
    store(hn::Add(hn::Mul(hn::Sub(load(x + i), at(mean, k)), at(scale, k)), at(beta, k)), y + i);
  }
  HWY_INLINE void scalar(int64_t i, int64_t k) const {
    const double d = static_cast<double>(x[i]) - scalar_at(c.mean, k);
    y[i] = static_cast<T>(d * scalar_at(c.scale, k) + scalar_at(c.beta, k));
  }
};

template <class T, class V>
struct InputGradientMap {
  const T* x;
  const T* dy;
  T* dx;
  GradientCoefficients<V> c;
  decltype(prepared(V{})) mean = prepared(c.mean), mean_dy = prepared(c.mean_dy), slope = prepared(c.slope),
                          scale = prepared(c.scale);

  HWY_INLINE void vector(int64_t i, int64_t k) const {
    const Vec along = hn::Mul(hn::Sub(load(x + i), at(mean, k)), at(slope, k));
    store(hn::Mul(hn::Sub(hn::Sub(load(dy + i), at(mean_dy, k)), along), at(scale, k)), dx + i);
  }
  HWY_INLINE void scalar(int64_t i, int64_t k) const {
    const double along = (static_cast<double>(x[i]) - scalar_at(c.mean, k)) * scalar_at(c.slope, k);
    const double g = static_cast<double>(dy[i]) - scalar_at(c.mean_dy, k);
    dx[i] = static_cast<T>((g - along) * scalar_at(c.scale, k));
  }
};

/// Row after row, in the order of memory. Taking several rows at once would load a column's coefficients less often,
/// but they come from the cache, and one long stream is what the prefetcher follows: 16 against 10 GB/s on NHWC in
/// memory.
template <class Map>
HWY_INLINE void map_rect(const Map& map, Rect rect) {
  const int64_t whole = rect.cols - rect.cols % kWidth;
  for (int64_t r = 0; r < rect.rows; ++r) {
    const int64_t row = r * rect.stride;
    for (int64_t k = 0; k < whole; k += kWidth) map.vector(row + k, k);
    for (int64_t k = whole; k < rect.cols; ++k) map.scalar(row + k, k);
  }
}

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
