// Rows with coefficients of their own and parameters by column: what is added up, and what an element becomes. Included
// once per instruction set.
#if defined(UNITVAR_KERNELS_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNITVAR_KERNELS_ROWS_INL_H_
#undef UNITVAR_KERNELS_ROWS_INL_H_
#else
#define UNITVAR_KERNELS_ROWS_INL_H_
#endif

#include "kernels/interleaved-inl.h"
#include "kernels/planar-inl.h"
#include "kernels/rows.hpp"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

/// A parameter at column k, in the arithmetic of U.
template <class U, class P>
HWY_INLINE typename U::Value parameter(const P* p, int64_t k) {
  if constexpr (requires { U::at(p, k); }) {
    return U::at(p, k);
  } else {
    return U::load(p + k);
  }
}

/// Along a row: g = gamma * dy and g * (x - center), at column i.
template <class T, class A>
struct RowGradientTerms {
  const T* x;
  const T* dy;
  A center;
  const param_t<T>* gamma;

  template <class U>
  HWY_INLINE Terms<typename U::Value> terms(int64_t i, int64_t) const {
    const auto g = U::mul(U::load(dy + i), parameter<U>(gamma, i));
    return {g, U::mul(g, U::sub(U::load(x + i), U::at(center, i)))};
  }
};

/// kLanes sums, and what is left over of the row, an element for each of the first lanes.
template <class A>
HWY_INLINE double fold_with(const Lanes<Many<A>>& sums, const double* rest) {
  using U = Many<A>;
  double lanes[kLanes];
  for (int k = 0; k < kLanes; k += U::kWidth) sums.parts[k / U::kWidth].store(lanes + k);
  for (int k = 0; k < kLanes; ++k) lanes[k] += rest[k];
  return fold_lanes<kLanes>(lanes);
}

/// Both sums of a source's terms over a row: element k is added to lane k % kLanes, n groups of kLanes as a tree.
template <class A, int n, class Source>
HWY_INLINE Terms<double> sum_row(const Source& source, int64_t cols) {
  Partial<Many<A>> sums;
  sums.clear();
  int64_t k = 0;
  for (; k + n * kLanes <= cols; k += n * kLanes) add_groups<n>(source, k, sums);
  for (; k + kLanes <= cols; k += kLanes) add_groups<1>(source, k, sums);
  if (k == cols) return {sums.first.fold(), sums.second.fold()};
  double first[kLanes] = {}, second[kLanes] = {};
  for (int lane = 0; k < cols; ++k, ++lane) {
    const auto terms = source.template terms<One<A>>(k, 0);
    first[lane] = static_cast<double>(terms.first);
    second[lane] = static_cast<double>(terms.second);
  }
  return {fold_with(sums.first, first), fold_with(sums.second, second)};
}

/// ((x - center) * scale + shift) * gamma + beta: center is the mean as A holds it, shift what that leaves of it.
template <class T, class A>
struct RowNormalizeMap {
  static constexpr bool kExtended = false;
  using Vector = Widest<T, A, const A*>;
  const T* x;
  T* out;
  NormalizeCoefficients<A> c;
  ColumnParameters<T> parameters;

  template <class U>
  HWY_INLINE typename U::Value value(int64_t i, int64_t k) const {
    const auto d = U::sub(U::load(x + i), U::at(c.center, k));
    const auto x_hat = U::add(U::mul(d, U::at(c.scale, k)), U::at(c.beta, k));
    return U::add(U::mul(x_hat, parameter<U>(parameters.gamma, k)), parameter<U>(parameters.beta, k));
  }
  HWY_INLINE void prefetch(int64_t i) const { kernels::HWY_NAMESPACE::prefetch(x + i); }
};

/// ((gamma * dy - level) - (x - center) * slope) * scale.
template <class T, class A>
struct RowGradientMap {
  static constexpr bool kExtended = false;
  using Vector = Widest<T, A, const A*>;
  const T* x;
  const T* dy;
  T* out;
  GradientCoefficients<A> c;
  const param_t<T>* gamma;

  template <class U>
  HWY_INLINE typename U::Value value(int64_t i, int64_t k) const {
    const auto along = U::mul(U::sub(U::load(x + i), U::at(c.center, k)), U::at(c.slope, k));
    auto g = U::sub(U::mul(U::load(dy + i), parameter<U>(gamma, k)), U::at(c.level.hi, k));
    if constexpr (!std::is_same_v<A, double>) g = U::sub(g, U::at(c.level.lo, k));
    return U::mul(U::sub(g, along), U::at(c.scale, k));
  }
  HWY_INLINE void prefetch(int64_t i) const {
    kernels::HWY_NAMESPACE::prefetch(x + i);
    kernels::HWY_NAMESPACE::prefetch(dy + i);
  }
};

/// Down the columns: dy and dy * x_hat of row r, column k.
template <class T, class A>
struct ParameterTerms {
  const T* x;
  const T* dy;
  int64_t cols;
  NormalizeCoefficients<const A*> c;

  template <class U>
  HWY_INLINE Terms<typename U::Value> terms(int64_t r, int64_t k) const {
    const int64_t i = r * cols + k;
    const auto d = U::sub(U::load(x + i), U::at(c.center[r], k));
    const auto x_hat = U::add(U::mul(d, U::at(c.scale[r], k)), U::at(c.beta[r], k));
    const auto g = U::load(dy + i);
    return {g, U::mul(g, x_hat)};
  }
};

/// Whether float held the terms. x_hat is not small, so products that underflow do not matter beside a result in float;
/// those that overflow do. False for NaN.
template <class A>
HWY_INLINE bool are_finite(const Terms<typename Many<A>::Value>& terms) {
  if constexpr (std::is_same_v<A, double>) {
    return true;
  } else {
    const Tag<A> d;
    const auto most = hn::Set(d, 0x1p100F);
    const auto fits = hn::And(hn::Le(hn::Abs(terms.first), most), hn::Le(hn::Abs(terms.second), most));
    return hn::AllTrue(d, fits);
  }
}

/// Columns [k, end) of rows r ... r + n - 1, one by one; a sum again in double where float does not hold its terms.
template <class A, int n, class Source>
HWY_NOINLINE void add_each_column(const Source& source, int64_t r, int64_t k, int64_t end, double* first,
                                  double* second) {
  const auto trusted = [](A v) { return std::is_same_v<A, double> || (v <= A(0x1p100) && v >= A(-0x1p100)); };
  for (; k < end; ++k) {
    const auto terms = tree<One<A>, n>(source, r, 1, k);
    const auto wide = tree<One<double>, n>(source, r, 1, k);
    first[k] += trusted(terms.first) ? static_cast<double>(terms.first) : wide.first;
    second[k] += trusted(terms.second) ? static_cast<double>(terms.second) : wide.second;
  }
}

/// n rows at a time, so that a column's two sums are loaded and stored once for all of them.
template <class A, int n, class Source>
HWY_INLINE void add_columns(const Source& source, int64_t r, double* first, double* second) {
  using U = Many<A>;
  int64_t k = 0;
  for (; k + U::kWidth <= source.cols; k += U::kWidth) {
    const auto terms = tree<U, n>(source, r, 1, k);
    if (HWY_UNLIKELY(!are_finite<A>(terms))) {
      add_each_column<A, n>(source, r, k, k + U::kWidth, first, second);
      continue;
    }
    Wide<U> a, b;
    a.load(first + k);
    b.load(second + k);
    a.add(terms.first);
    b.add(terms.second);
    a.store(first + k);
    b.store(second + k);
  }
  add_each_column<A, n>(source, r, k, source.cols, first, second);
}

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
