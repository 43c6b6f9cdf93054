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

/// The lanes of a vector, folded in halves.
template <class D>
HWY_INLINE double fold_vector([[maybe_unused]] D d, hn::Vec<D> v) {
#if HWY_TARGET != HWY_SCALAR  // which has no halves
  if constexpr (hn::MaxLanes(D()) > 1) {
    const hn::Half<D> half;
    return fold_vector(half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)));
  }
#endif
  return hn::GetLane(v);
}

/// All lanes, as Lanes::fold adds them, but without a detour through memory: of a short row it is most of the work.
template <class A>
HWY_INLINE double fold_registers(const Lanes<Many<A>>& sums) {
  using D = Many<double>;
  constexpr int kVectors = kLanes / D::kWidth, kEach = Wide<Many<A>>::kVectors;
  D::Value v[kVectors];
  for (int k = 0; k < kVectors; ++k) v[k] = sums.parts[k / kEach].v[k % kEach];
  for (int n = kVectors / 2; n > 0; n /= 2) {
    for (int k = 0; k < n; ++k) v[k] = D::add(v[k], v[k + n]);
  }
  return fold_vector(Tag<double>(), v[0]);
}

/// kLanes sums, and what is left over of the row, an element for each of the first lanes.
template <class A>
HWY_INLINE double fold_with(const Lanes<Many<A>>& sums, const double* rest) {
  using U = Many<A>;
  double lanes[kLanes];
  for (int k = 0; k < kLanes; k += U::kWidth) sums.parts[k / U::kWidth].store(lanes + k);
  for (int k = 0; k < kLanes; ++k) lanes[k] += rest[k];
  return fold_lanes<kLanes>(lanes);
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
  HWY_INLINE void prefetch_step(int64_t i) const {
    for (int64_t k = 0; k < kStep; k += kLine<T>) prefetch(x + i + k);
  }
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
  HWY_INLINE void prefetch_step(int64_t i) const {
    for (int64_t k = 0; k < kStep; k += kLine<T>) {
      prefetch(x + i + k);
      prefetch(dy + i + k);
    }
  }
};

/// Adds elements [k, cols), by groups of kLanes and one by one, and folds: both sums of a row.
template <class A, class Source>
UNITVAR_PART Terms<double> finish_row(const Source& source, int64_t k, int64_t cols, Partial<Many<A>>& sums) {
  for (; k + kLanes <= cols; k += kLanes) add_groups<1>(source, k, sums);
  if (k == cols) return {fold_registers<A>(sums.first), fold_registers<A>(sums.second)};
  double first[kLanes] = {}, second[kLanes] = {};
  for (int lane = 0; k < cols; ++k, ++lane) {
    const auto terms = source.template terms<One<A>>(k, 0);
    first[lane] = static_cast<double>(terms.first);
    second[lane] = static_cast<double>(terms.second);
  }
  return {fold_with(sums.first, first), fold_with(sums.second, second)};
}

/// Adds up source's terms over a row, element k to lane k % kLanes, and writes map's values of another, step by step
/// side by side, so that memory is read and written all the time. Either may be Nothing. With a map, what comes `ahead`
/// elements later is asked for.
template <class A, bool kStream, class Source, class Map>
HWY_INLINE Terms<double> sweep_row(const Source& source, const Map& map, int64_t cols, int64_t ahead) {
  Partial<Many<A>> sums;
  int64_t k = 0, m = 0;
  if constexpr (!kIsNothing<Source>) sums.clear();
  if constexpr (!kIsNothing<Map> && kStream) {
    m = std::min(cols, to_next_line(map.out));
    map_columns<A>(map, 0, 0, m);
  }
  for (; std::max(k, m) + kStep <= cols; k += kStep, m += kStep) {
    if constexpr (!kIsNothing<Map>) map.prefetch_step(k + ahead);
    if constexpr (!kIsNothing<Source>) add_groups<kDepth>(source, k, sums);
    if constexpr (!kIsNothing<Map>) map_lines<kStream, kStep / kMapLine<Map>>(map, 0, m);
  }
  if constexpr (!kIsNothing<Map>) {
    if (k < cols) map.prefetch_step(k + ahead);
    for (; m + kMapLine<Map> <= cols; m += kMapLine<Map>) map_lines<kStream, 1>(map, 0, m);
    map_columns<A>(map, 0, m, cols);
  }
  if constexpr (kIsNothing<Source>) {
    return {};
  } else {
    for (; k + kStep <= cols; k += kStep) add_groups<kDepth>(source, k, sums);
    return finish_row<A>(source, k, cols, sums);
  }
}

/// What column sums are made of.
template <class T, class A>
struct RowInputs {
  const T* x;
  const T* dy;
  NormalizeCoefficients<const A*> c;
  int64_t cols;
};

/// Down the columns of n rows: dy and dy * x_hat of row r, column k.
template <class T, class U, int n>
struct ParameterTerms {
  using Value = typename U::Value;
  const T* x;
  const T* dy;
  int64_t cols;
  Value center[n], scale[n], shift[n];

  template <class A>
  HWY_INLINE ParameterTerms(const RowInputs<T, A>& in, int64_t row)
      : x(in.x + row * in.cols), dy(in.dy + row * in.cols), cols(in.cols) {
    for (int r = 0; r < n; ++r) {
      center[r] = U::at(in.c.center[row + r], 0);
      scale[r] = U::at(in.c.scale[row + r], 0);
      shift[r] = U::at(in.c.beta[row + r], 0);
    }
  }

  HWY_INLINE void prefetch(int64_t i) const {
    for (int r = 0; r < n; ++r) kernels::HWY_NAMESPACE::prefetch(x + r * cols + i);
  }
  template <class>
  HWY_INLINE Terms<Value> terms(int64_t r, int64_t k) const {
    const int64_t i = r * cols + k;
    const auto x_hat = U::add(U::mul(U::sub(U::load(x + i), center[r]), scale[r]), shift[r]);
    const auto g = U::load(dy + i);
    return {g, U::mul(g, x_hat)};
  }
};

/// Whether a sum in A may take a term; x_hat is not small, so products that underflow do not matter beside others, but
/// those that overflow do. False for NaN.
template <class A>
HWY_INLINE bool is_moderate(A v) {
  return std::is_same_v<A, double> || (v <= A(0x1p100) && v >= A(-0x1p100));
}
template <class A>
HWY_INLINE bool are_moderate(const Terms<typename Many<A>::Value>& terms) {
  if constexpr (std::is_same_v<A, double>) {
    return true;
  } else {
    const Tag<A> d;
    const auto most = hn::Set(d, 0x1p100F);
    return hn::AllTrue(d, hn::And(hn::Le(hn::Abs(terms.first), most), hn::Le(hn::Abs(terms.second), most)));
  }
}

/// Columns [k, end) of n rows, one by one; in double where A does not hold their terms.
template <class T, class A, int n>
HWY_NOINLINE void add_each_column(const RowInputs<T, A>& in, int64_t row, int64_t k, int64_t end,
                                  const ColumnTotals<A>& to) {
  const ParameterTerms<T, One<A>, n> source(in, row);
  const ParameterTerms<T, One<double>, n> wide(in, row);
  const auto add = [](A term, double again, A& sum, double& wide_sum) {
    if (is_moderate(term)) {
      sum += term;
    } else {
      wide_sum += again;
    }
  };
  for (; k < end; ++k) {
    const auto terms = tree<One<A>, n>(source, 0, 1, k);
    const auto again = tree<One<double>, n>(wide, 0, 1, k);
    add(terms.first, again.first, to.first[k], to.wide_first[k]);
    add(terms.second, again.second, to.second[k], to.wide_second[k]);
  }
}

/// n rows at a time, so that a column's two sums are loaded and stored once for all of them.
template <class T, class A, int n>
UNITVAR_PART void add_columns(const RowInputs<T, A>& in, int64_t row, int64_t ahead, const ColumnTotals<A>& to) {
  using U = Many<A>;
  const ParameterTerms<T, U, n> source(in, row);
  int64_t k = 0;
  for (; k + U::kWidth <= in.cols; k += U::kWidth) {
    if (k % kLine<T> == 0) source.prefetch(k + ahead);
    const auto terms = tree<U, n>(source, 0, 1, k);
    if (HWY_UNLIKELY(!are_moderate<A>(terms))) {
      add_each_column<T, A, n>(in, row, k, k + U::kWidth, to);
      continue;
    }
    U::store(U::add(U::load(to.first + k), terms.first), to.first + k);
    U::store(U::add(U::load(to.second + k), terms.second), to.second + k);
  }
  if (k < in.cols) add_each_column<T, A, n>(in, row, k, in.cols, to);
}

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
