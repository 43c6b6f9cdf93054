// Phases 1 and 3: sums over a rectangle. Included once per instruction set.
#if defined(UNITVAR_KERNELS_SUMS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNITVAR_KERNELS_SUMS_INL_H_
#undef UNITVAR_KERNELS_SUMS_INL_H_
#else
#define UNITVAR_KERNELS_SUMS_INL_H_
#endif

#include "kernels/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

/// What phase 1 adds up for one element: d = x - shift and d * d.
template <class T>
struct MomentTerms {
  const T* x;

  HWY_INLINE void vector(int64_t i, Vec shift, Vec& first, Vec& second) const {
    const Vec d = hn::Sub(load(x + i), shift);
    first = hn::Add(first, d);
    second = hn::Add(second, hn::Mul(d, d));
  }
  HWY_INLINE void prefetch(int64_t i) const { hwy::Prefetch(x + i); }
  HWY_INLINE void scalar(int64_t i, double shift, double& first, double& second) const {
    const double d = static_cast<double>(x[i]) - shift;
    first += d;
    second += d * d;
  }
};

/// What phase 3 adds up: dy and dy * (x - mean).
template <class T>
struct GradientTerms {
  const T* x;
  const T* dy;

  HWY_INLINE void vector(int64_t i, Vec mean, Vec& first, Vec& second) const {
    const Vec g = load(dy + i);
    first = hn::Add(first, g);
    second = hn::Add(second, hn::Mul(g, hn::Sub(load(x + i), mean)));
  }
  HWY_INLINE void prefetch(int64_t i) const {
    hwy::Prefetch(x + i);
    hwy::Prefetch(dy + i);
  }
  HWY_INLINE void scalar(int64_t i, double mean, double& first, double& second) const {
    const double g = static_cast<double>(dy[i]);
    first += g;
    second += g * (static_cast<double>(x[i]) - mean);
  }
};

/// Folds kLanes partial sums in halves: a fixed tree.
HWY_INLINE double fold(double* lanes) {
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int k = 0; k < width; ++k) lanes[k] += lanes[k + width];
  }
  return lanes[0];
}

/// Planar: element k of a row belongs to lane k % kLanes. Whole groups of kLanes are added by vectors, the rest of
/// each row to a second set of lanes by scalars, so that rows of any length keep the same order of additions.
template <class Terms>
HWY_INLINE SumPair planar_sums(const Terms& terms, Rect rect, double center) {
  const Vec center_vec = broadcast(center);
  Vec first[kVectors], second[kVectors];
  for (int v = 0; v < kVectors; ++v) first[v] = second[v] = hn::Zero(Doubles());
  double rest_first[kLanes] = {}, rest_second[kLanes] = {};

  const int64_t whole = rect.cols - rect.cols % kLanes;
  for (int64_t r = 0; r < rect.rows; ++r) {
    const int64_t row = r * rect.stride;
    for (int64_t k = 0; k < whole; k += kLanes) {
      for (int v = 0; v < kVectors; ++v) terms.vector(row + k + v * kWidth, center_vec, first[v], second[v]);
    }
    for (int64_t k = whole; k < rect.cols; ++k) {
      terms.scalar(row + k, center, rest_first[k - whole], rest_second[k - whole]);
    }
  }

  double lanes_first[kLanes], lanes_second[kLanes];
  for (int v = 0; v < kVectors; ++v) {
    store(first[v], lanes_first + v * kWidth);
    store(second[v], lanes_second + v * kWidth);
  }
  for (int k = 0; k < kLanes; ++k) {
    lanes_first[k] += rest_first[k];
    lanes_second[k] += rest_second[k];
  }
  return {fold(lanes_first), fold(lanes_second)};
}

/// Interleaved: kRows rows at a time, so that a column's two sums are loaded and stored once per kRows additions. Each
/// row is a stream too short for the hardware to see coming, so the next kRows are prefetched by hand.
template <int kRows, class Terms>
HWY_INLINE void add_rows(const Terms& terms, int64_t row, Rect rect, const double* center, double* first,
                         double* second) {
  int64_t k = 0;
  for (; k + kWidth <= rect.cols; k += kWidth) {
    if (k % 16 == 0) {
      for (int r = 0; r < kRows; ++r) terms.prefetch(row + (kRows + r) * rect.stride + k);
    }
    const Vec c = load(center + k);
    Vec a = load(first + k), b = load(second + k);
    for (int r = 0; r < kRows; ++r) terms.vector(row + r * rect.stride + k, c, a, b);
    store(a, first + k);
    store(b, second + k);
  }
  for (; k < rect.cols; ++k) {
    for (int r = 0; r < kRows; ++r) terms.scalar(row + r * rect.stride + k, center[k], first[k], second[k]);
  }
}

template <class Terms>
HWY_INLINE void interleaved_sums(const Terms& terms, Rect rect, const double* center, double* first, double* second) {
  constexpr int kRows = 4;
  int64_t r = 0;
  for (; r + kRows <= rect.rows; r += kRows) add_rows<kRows>(terms, r * rect.stride, rect, center, first, second);
  for (; r < rect.rows; ++r) add_rows<1>(terms, r * rect.stride, rect, center, first, second);
}

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
