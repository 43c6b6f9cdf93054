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

template <int kRows, class Map>
HWY_INLINE void map_rows(const Map& map, int64_t row, Rect rect) {
  int64_t k = 0;
  for (; k + kWidth <= rect.cols; k += kWidth) {
    for (int r = 0; r < kRows; ++r) map.vector(row + r * rect.stride + k, k);
  }
  for (; k < rect.cols; ++k) {
    for (int r = 0; r < kRows; ++r) map.scalar(row + r * rect.stride + k, k);
  }
}

/// kRows rows at a time where coefficients are loaded per column, so that each load serves kRows elements.
template <int kRows, class Map>
HWY_INLINE void map_rect(const Map& map, Rect rect) {
  int64_t r = 0;
  for (; r + kRows <= rect.rows; r += kRows) map_rows<kRows>(map, r * rect.stride, rect);
  for (; r < rect.rows; ++r) map_rows<1>(map, r * rect.stride, rect);
}

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
