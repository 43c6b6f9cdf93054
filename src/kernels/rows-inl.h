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

/// Whether a sum in A may take a term; x_hat is not small, so products that underflow do not matter beside others, but
/// those that overflow do. False for NaN.
template <class A>
HWY_INLINE bool is_moderate(A v) {
  return std::is_same_v<A, double> || (v <= A(0x1p100) && v >= A(-0x1p100));
}

/// One row's part of the column sums: dy and dy * x_hat, added in A where A holds them, and in double elsewhere.
template <class T, class A>
struct RowColumns {
  const T* x;
  const T* dy;
  NormalizeCoefficients<A> c;
  ColumnTotals<A> to;  ///< null: not wanted

  template <class U>
  HWY_INLINE Terms<typename U::Value> terms(const NormalizeCoefficients<typename U::Value>& in_u, int64_t k) const {
    const auto x_hat = U::add(U::mul(U::sub(U::load(x + k), in_u.center), in_u.scale), in_u.beta);
    const auto g = U::load(dy + k);
    return {g, U::mul(g, x_hat)};
  }
  HWY_INLINE void add(int64_t k, int64_t end) const {
    using U = Many<A>;
    if (to.first == nullptr) return;
    const NormalizeCoefficients<typename U::Value> in_u{U::at(c.center, 0), U::at(c.scale, 0), U::at(c.beta, 0)};
    for (; k + U::kWidth <= end; k += U::kWidth) {
      const auto term = terms<U>(in_u, k);
      if (HWY_UNLIKELY(!are_moderate(term))) {
        add_each(k, k + U::kWidth);
        continue;
      }
      U::store(U::add(U::load(to.first + k), term.first), to.first + k);
      U::store(U::add(U::load(to.second + k), term.second), to.second + k);
    }
    if (k < end) add_each(k, end);
  }

 private:
  static HWY_INLINE bool are_moderate(const Terms<typename Many<A>::Value>& term) {
    if constexpr (std::is_same_v<A, double>) return true;
    const Tag<A> d;
    return hn::AllTrue(d, hn::Le(hn::Add(hn::Abs(term.first), hn::Abs(term.second)), hn::Set(d, A(0x1p100))));
  }
  HWY_NOINLINE void add_each(int64_t k, int64_t end) const {
    const NormalizeCoefficients<double> wide{static_cast<double>(c.center), static_cast<double>(c.scale),
                                             static_cast<double>(c.beta)};
    for (; k < end; ++k) {
      const auto term = terms<One<A>>(c, k);
      const auto again = terms<One<double>>(wide, k);
      add_one(term.first, again.first, to.first[k], to.wide_first[k]);
      add_one(term.second, again.second, to.second[k], to.wide_second[k]);
    }
  }
  static HWY_INLINE void add_one(A term, double again, A& sum, double& wide_sum) {
    if (is_moderate(term)) {
      sum += term;
    } else {
      wide_sum += again;
    }
  }
};

/// In place of column sums.
struct NoColumns {
  HWY_INLINE void add(int64_t, int64_t) const {}
};

/// Adds up source's terms over a row, element k to lane k % kLanes, and writes map's values of another, step by step
/// side by side, so that memory is read and written all the time. Either may be Nothing. With a map, what comes `ahead`
/// elements later is asked for. `columns` are of the source's row.
template <class A, bool kStream, class Source, class Map, class Columns>
HWY_INLINE Terms<double> sweep_row(const Source& source, const Map& map, const Columns& columns, int64_t cols,
                                   int64_t ahead) {
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
    columns.add(k, k + kStep);
    if constexpr (!kIsNothing<Map>) map_lines<kStream, kStep / kMapLine<Map>>(map, 0, m);
  }
  if constexpr (!kIsNothing<Map>) {
    if (k < cols) map.prefetch_step(k + ahead);
    for (; m + kMapLine<Map> <= cols; m += kMapLine<Map>) map_lines<kStream, 1>(map, 0, m);
    map_columns<A>(map, 0, m, cols);
  }
  columns.add(k, cols);
  if constexpr (kIsNothing<Source>) {
    return {};
  } else {
    for (; k + kStep <= cols; k += kStep) add_groups<kDepth>(source, k, sums);
    return finish_row<A>(source, k, cols, sums);
  }
}

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
