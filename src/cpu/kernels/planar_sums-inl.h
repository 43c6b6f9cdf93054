// The sums of planar rows: lanes, their fold, and what is kept from row to row. Included once per instruction set.
#if defined(UNITVAR_KERNELS_PLANAR_SUMS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNITVAR_KERNELS_PLANAR_SUMS_INL_H_
#undef UNITVAR_KERNELS_PLANAR_SUMS_INL_H_
#else
#define UNITVAR_KERNELS_PLANAR_SUMS_INL_H_
#endif

#include "cpu/kernels/phases-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

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

/// Whether the vectors of a Wide<U> hold its sums in order.
template <class U>
constexpr bool kLanesInOrder = false;
template <class A>
constexpr bool kLanesInOrder<VectorOf<A>> = true;

/// kLanes partial sums of what is taken a U at a time.
template <class U>
struct Lanes {
  static constexpr int kParts = kLanes / U::kWidth;
  Wide<U> parts[kParts];

  HWY_INLINE Lanes() {}
  HWY_INLINE Lanes(const Lanes& from) { *this = from; }
  HWY_INLINE Lanes& operator=(const Lanes& from) {
    unrolled<kParts>([&](auto p) HWY_ATTR { parts[p] = from.parts[p]; });
    return *this;
  }
  HWY_INLINE void clear() {
    unrolled<kParts>([&](auto p) HWY_ATTR { parts[p].clear(); });
  }
  HWY_INLINE double fold() const {
    const Tag<double> d;
    if constexpr (kLanesInOrder<U>) {
      return fold_vector(d, fold_to_vector());
    } else {  // the tree adds even and odd lanes in its last step
      return fold_vector(d, folded<1, 0>([&](auto p) HWY_ATTR -> const auto& { return parts[p].even; })) +
             fold_vector(d, folded<1, 0>([&](auto p) HWY_ATTR -> const auto& { return parts[p].odd; }));
    }
  }
  HWY_INLINE VectorOf<double>::Value fold_to_vector() const {
    return folded<1, 0>([&](auto p) HWY_ATTR -> const auto& { return parts[p]; });
  }

 private:
  /// Vector k of n to which all vectors of of(0) .. of(kParts - 1) have been folded, in halves: a fixed tree, whatever
  /// the vector width. Nothing goes through memory: of a short row this is most of the work.
  template <int n, int k, class Of>
  static HWY_INLINE VectorOf<double>::Value folded(const Of& of) {
    constexpr int kEach = std::remove_cvref_t<decltype(of(std::integral_constant<int, 0>()))>::kVectors;
    if constexpr (n == kParts * kEach) {
      return of(std::integral_constant<int, k / kEach>()).v[k % kEach];
    } else {
      return VectorOf<double>::add(folded<2 * n, k>(of), folded<2 * n, k + n>(of));
    }
  }
};

/// The sums of one channel while its rows are added.
template <class U>
struct Partial {
  using Taken = U;
  Lanes<U> first, second;

  HWY_INLINE Partial() {}
  HWY_INLINE Partial(const Partial& from) { *this = from; }
  HWY_INLINE Partial& operator=(const Partial& from) {
    first = from.first;
    second = from.second;
    return *this;
  }
  HWY_INLINE void clear() {
    first.clear();
    second.clear();
  }
};

/// Elements of a channel whose terms float adds, where it adds any: of 16 bits. The sums then go to those in double.
/// They take half of the registers, and no conversion for every step.
constexpr int64_t kNearElements = 1024;
template <class U>
constexpr bool kAddsNear = true;
template <>
inline constexpr bool kAddsNear<VectorOf<double>> = false;

/// One of these sums, and those of all lanes.
template <class U>
struct NearSum {
  typename U::Value v;

  HWY_INLINE NearSum() {}
  HWY_INLINE void add(typename U::Value terms) { v = U::add(v, terms); }
};
template <class U>
struct NearPartial {
  using Taken = U;
  struct NearLanes {
    NearSum<U> parts[kLanes / U::kWidth];
    HWY_INLINE NearLanes() {}
  };
  NearLanes first, second;

  HWY_INLINE NearPartial() {}
  HWY_INLINE NearPartial(const NearPartial& from) { *this = from; }
  HWY_INLINE NearPartial& operator=(const NearPartial& from) {
    unrolled<kLanes / U::kWidth>([&](auto p) HWY_ATTR {
      first.parts[p].v = from.first.parts[p].v;
      second.parts[p].v = from.second.parts[p].v;
    });
    return *this;
  }
  HWY_INLINE void clear() {
    unrolled<kLanes / U::kWidth>([&](auto p) HWY_ATTR { first.parts[p].v = second.parts[p].v = U::zero(); });
  }
  HWY_INLINE void move_to(Partial<U>& far) {
    unrolled<kLanes / U::kWidth>([&](auto p) HWY_ATTR {
      far.first.parts[p].add(first.parts[p].v);
      far.second.parts[p].add(second.parts[p].v);
    });
    clear();
  }
};

/// The sums of a run of channels while its rows are added; of a single row nothing is kept.
template <class U>
struct RunSums {
  double* first;
  double* second;
  int64_t rows, cols;
  Partial<U> kept[kMostRun];
  NearPartial<U> kept_near[kAddsNear<U> ? kMostRun : 1];

  HWY_INLINE RunSums(double* to_first, double* to_second, const Rect& rect)
      : first(to_first), second(to_second), rows(rect.rows), cols(rect.inner) {}

  HWY_INLINE void finish(int64_t j, const Partial<U>& own) {
    first[j] += own.first.fold();
    second[j] += own.second.fold();
  }
};

/// What the terms of channel j's row r are added to.
template <class U, bool kHasTerms, bool kNear = kAddsNear<U>>
class SumsOfRow {
 public:
  HWY_INLINE SumsOfRow(RunSums<U>& run, int64_t r, int64_t j) : run_(run), r_(r), j_(j) {
    if (r == 0) {
      own_.clear();
    } else {
      own_ = run.kept[j];
    }
  }
  HWY_INLINE Partial<U>& sums() { return own_; }
  /// Element k, a multiple of kStep, comes next.
  HWY_INLINE void before(int64_t) {}
  HWY_INLINE void finish() {
    if (r_ + 1 < run_.rows) {
      run_.kept[j_] = own_;
    } else {
      run_.finish(j_, own_);
    }
  }

 private:
  RunSums<U>& run_;
  int64_t r_, j_;
  Partial<U> own_;
};

/// Float's sums go to double after kNearElements of a row, and with the row that reaches as many of the channel.
template <class U>
class SumsOfRow<U, true, true> {
 public:
  HWY_INLINE SumsOfRow(RunSums<U>& run, int64_t r, int64_t j)
      : run_(run), r_(r), j_(j), far_(run.rows == 1 ? alone_ : run.kept[j]) {
    if (r == 0) {
      near_.clear();
      far_.clear();
    } else {
      near_ = run.kept_near[j];
    }
  }
  HWY_INLINE NearPartial<U>& sums() { return near_; }
  HWY_INLINE void before(int64_t k) {
    if (k % kNearElements == 0 && k > 0) near_.move_to(far_);
  }
  HWY_INLINE void finish() {
    const bool last = r_ + 1 == run_.rows;
    if (last || (r_ + 1) * run_.cols / kNearElements > r_ * run_.cols / kNearElements) near_.move_to(far_);
    if (last) {
      run_.finish(j_, far_);
    } else {
      run_.kept_near[j_] = near_;
    }
  }

 private:
  RunSums<U>& run_;
  int64_t r_, j_;
  Partial<U> alone_;
  Partial<U>& far_;
  NearPartial<U> near_;
};

template <class U, bool kNear>
class SumsOfRow<U, false, kNear> {
 public:
  HWY_INLINE SumsOfRow(RunSums<U>&, int64_t, int64_t) {}
};

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
