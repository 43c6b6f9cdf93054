// What is added for a few rows at a time: the terms of moments and of gradients, and the sums that registers hold
// meanwhile. Included once per instruction set.
#if defined(UNITVAR_KERNELS_ROW_TERMS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNITVAR_KERNELS_ROW_TERMS_INL_H_
#undef UNITVAR_KERNELS_ROW_TERMS_INL_H_
#else
#define UNITVAR_KERNELS_ROW_TERMS_INL_H_
#endif

#include <cmath>

#include "cpu/kernels/planar-inl.h"
#include "cpu/kernels/rows.hpp"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

/// Vectors of both sums of rows that registers hold.
constexpr int kSumVectors = 4;

/// Whether U holds even and odd columns apart.
template <class U>
constexpr bool kIsApart = false;
#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
template <class T>
constexpr bool kIsApart<PairOf<T, false>> = PairOf<T, false>::kAlternate;
#endif

/// A parameter at column k, in the arithmetic of U.
template <class U, class T>
HWY_INLINE typename U::Value parameter(const ColumnParameter<T>& p, int64_t k) {
  if constexpr (kIsApart<U>) {
    return {U::M::load(p.apart.even + k / 2), U::M::load(p.apart.odd + k / 2)};
  } else if constexpr (requires { U::at(p.values, k); }) {
    return U::at(p.values, k);
  } else {
    return U::load(p.values + k);
  }
}

/// Both sums of n rows, in kLanes parts: column k belongs to part k % kLanes.
template <int n>
struct RowLanes {
  double first[n][kLanes], second[n][kLanes];

  HWY_INLINE RowLanes() {}
};

/// A vector U of parts, for n rows, while a span of columns is added. Terms in double are added to what the lanes hold,
/// terms in float among themselves first. What the lanes hold is ignored in a row's first span.
template <class U, class S, int n, bool kFirst>
struct SpanSums {
  static constexpr bool kInDouble = std::is_same_v<S, double>;
  typename U::Value first[n], second[n];

  HWY_INLINE SpanSums() {}
  HWY_INLINE void clear() {
    unrolled<n>([&](auto r) HWY_ATTR {
      if constexpr (kFirst) first[r] = U::zero();
      second[r] = U::zero();
    });
  }
  HWY_INLINE void start(const RowLanes<n>& lanes, int p, bool is_first) {
    unrolled<n>([&](auto r) HWY_ATTR {
      if constexpr (kFirst) first[r] = started(lanes.first[r] + p, is_first);
      second[r] = started(lanes.second[r] + p, is_first);
    });
  }
  HWY_INLINE void finish(RowLanes<n>& lanes, int p, bool is_first) const {
    unrolled<n>([&](auto r) HWY_ATTR {
      if constexpr (kFirst) finish_one(first[r], lanes.first[r] + p, is_first);
      finish_one(second[r], lanes.second[r] + p, is_first);
    });
  }

 private:
  static HWY_INLINE typename U::Value started([[maybe_unused]] const double* from, [[maybe_unused]] bool is_first) {
    if constexpr (kInDouble) {
      return is_first ? U::zero() : U::load(from);
    } else {
      return U::zero();
    }
  }
  static HWY_INLINE void finish_one(typename U::Value sum, double* to, bool is_first) {
    if constexpr (kInDouble) {
      U::store(sum, to);
    } else if constexpr (std::is_same_v<U, ScalarOf<S>>) {
      *to = (is_first ? 0 : *to) + static_cast<double>(sum);
    } else {
      Wide<U> wide;
      if (is_first) {
        wide.clear();
      } else {
        wide.load(to);
      }
      wide.add(sum);
      wide.store(to);
    }
  }
};

/// Whether registers hold both sums of a row in all lanes.
template <class S>
constexpr bool kLanesFitRegisters =
    std::is_same_v<S, double>&& kHasVectors&& kLanes / VectorOf<double>::kWidth <= kSumVectors;

/// The terms of moments: d = x - shift and d * d. Without shift, x * x alone.
template <class T, class S, bool kShifted>
struct MomentRows {
  static constexpr bool kFirst = kShifted;
  static constexpr bool kInRegisters = kLanesFitRegisters<S>;
  const T* x;
  const S* shift;
  int64_t cols;

  HWY_INLINE MomentRows from(int64_t r) const { return {x + r * cols, shift + (kShifted ? r : 0), cols}; }
  HWY_INLINE const MomentRows& span(int64_t) const { return *this; }
  template <class U, int n>
  HWY_INLINE void add(int64_t k, SpanSums<U, S, n, kFirst>& sums) const {
    unrolled<n>([&](auto r) HWY_ATTR {
      auto d = U::load(x + r * cols + k);
      if constexpr (kShifted) {
        d = U::sub(d, U::at(shift[r], 0));
        sums.first[r] = U::add(sums.first[r], d);
      }
      sums.second[r] = U::add(sums.second[r], U::mul(d, d));
    });
  }
};

/// The terms of gradients. Of a row they are g = gamma * dy and g * x_hat, of a column dy and dy * x_hat, where
/// x_hat = (x - c.center) * c.scale + c.beta. Without center, x_hat = x * c.scale, and the first of both is left out.
template <class T, class S, bool kCentered, bool kColumns>
struct GradientRows {
  static constexpr bool kFirst = kCentered;
  static constexpr bool kInRegisters = false;  // the terms need too many themselves
  const T* x;
  const T* dy;
  NormalizeCoefficients<const S*> c;
  ColumnParameter<T> gamma;
  int64_t cols;
  ColumnTotals<S> to;
  int64_t base = 0;  ///< the column that gamma's values begin at

  HWY_INLINE GradientRows from(int64_t r) const {
    GradientRows rows = *this;
    rows.x += r * cols;
    rows.dy += r * cols;
    if constexpr (kCentered) {
      rows.c.center += r;
      rows.c.beta += r;
    }
    rows.c.scale += r;
    return rows;
  }
  HWY_INLINE GradientRows span(int64_t k) const {
    GradientRows rows = *this;
    rows.gamma = gamma.from(k);
    rows.base = k;
    return rows;
  }
  template <class U, int n>
  HWY_INLINE void add(int64_t k, SpanSums<U, S, n, kFirst>& sums) const {
    const auto own_gamma = parameter<U>(gamma, k - base);
    typename U::Value first, second;
    if constexpr (kColumns && kCentered) first = U::load(to.first + k);
    if constexpr (kColumns) second = U::load(to.second + k);
    unrolled<n>([&](auto r) HWY_ATTR {
      const auto g = U::load(dy + r * cols + k);
      const auto along = U::mul(g, x_hat<U>(r, k));
      if constexpr (kColumns && kCentered) first = U::add(first, g);
      if constexpr (kColumns) second = U::add(second, along);
      if constexpr (kCentered) sums.first[r] = U::add(sums.first[r], U::mul(g, own_gamma));
      sums.second[r] = U::add(sums.second[r], U::mul(along, own_gamma));
    });
    if constexpr (kColumns) {
      if constexpr (!kCentered) first = U::zero();
      keep<U, n>(k, first, second);
    }
  }

 private:
  template <class U>
  HWY_INLINE typename U::Value x_hat(int64_t r, int64_t k) const {
    auto d = U::load(x + r * cols + k);
    if constexpr (kCentered) d = U::sub(d, U::at(c.center[r], 0));
    d = U::mul(d, U::at(c.scale[r], 0));
    // In double, the center is the mean itself, so nothing is to be added.
    if constexpr (kCentered && !std::is_same_v<S, double>) d = U::add(d, U::at(c.beta[r], 0));
    return d;
  }
  /// A vector of column sums, which have got n rows more. What S does not hold is added in double instead.
  template <class U, int n>
  HWY_INLINE void keep(int64_t k, typename U::Value first, typename U::Value second) const {
    if constexpr (!std::is_same_v<S, double>) {
      if (HWY_UNLIKELY(!are_moderate<U>(first, second))) {
        S firsts[U::kWidth], seconds[U::kWidth];
        U::store(first, firsts);
        U::store(second, seconds);
        for (int j = 0; j < U::kWidth; ++j) keep_one(k + j, n, firsts[j], seconds[j]);
        return;
      }
    }
    if constexpr (kCentered) U::store(first, to.first + k);
    U::store(second, to.second + k);
  }
  HWY_NOINLINE void keep_one(int64_t k, int64_t n, S first, S second) const {
    if (are_moderate<ScalarOf<S>>(first, second)) {
      to.first[k] = first;
      to.second[k] = second;
      return;
    }
    for (int64_t r = 0; r < n; ++r) {
      const auto g = static_cast<double>(dy[r * cols + k]);
      to.wide_first[k] += g;
      to.wide_second[k] += g * x_hat<ScalarOf<double>>(r, k);
    }
  }
  template <class U>
  static HWY_INLINE bool are_moderate(typename U::Value first, typename U::Value second) {
    if constexpr (std::is_same_v<U, ScalarOf<S>>) {
      return std::abs(first) + std::abs(second) <= S(0x1p100);  // not NaN
    } else {
      const Tag<S> d;
      return hn::AllTrue(d, hn::Le(hn::Add(hn::Abs(first), hn::Abs(second)), hn::Set(d, S(0x1p100))));
    }
  }
};

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
