// The phases with epilogue, element by element. Included once per instruction set.
#if defined(UNITVAR_KERNELS_EPILOGUE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNITVAR_KERNELS_EPILOGUE_INL_H_
#undef UNITVAR_KERNELS_EPILOGUE_INL_H_
#else
#define UNITVAR_KERNELS_EPILOGUE_INL_H_
#endif

#include "cpu/kernels/epilogue_ops-inl.h"
#include "cpu/kernels/shapes-inl.h"
#include "cpu/kernels/table.hpp"
#include "cpu/kernels/target-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

/// Phase 1 with weights: w * d and w * d * d, nothing of what has no weight.
template <class T, class A, class V, class Op>
struct WeightedMomentTerms {
  static constexpr bool kHasEpilogue = true;
  static constexpr int kTensors = 1;
  using Sum = VectorOf<A>;
  const T* x;
  V shift;
  Op op;

  template <class U>
  HWY_INLINE Terms<typename U::Value> terms(int64_t i, int64_t k) const {
    const auto d = op.template zero_unweighted<U>(U::sub(U::load(x + i), U::at(shift, k)), i);
    const auto wd = U::mul(op.template weight<U>(i), d);
    return {wd, U::mul(wd, d)};
  }
  HWY_INLINE void prefetch(int64_t i) const { kernels::HWY_NAMESPACE::prefetch(x + i); }
  HWY_INLINE auto channel(int64_t j) const { return WeightedMomentTerms<T, A, A, Op>{x, shift[j], op.channel(j)}; }
  HWY_INLINE auto row(int64_t r, int64_t i) const { return WeightedMomentTerms{x, shift, op.row(r, i)}; }
  HWY_INLINE const WeightedMomentTerms& step(int64_t) const { return *this; }
};

/// Phase 3 behind any operation.
template <class T, class A, class V, class Op>
struct EpilogueGradientTerms {
  static constexpr bool kHasEpilogue = true;
  static constexpr int kTensors = 2;
  using Sum = VectorOf<A>;
  const T* x;
  const T* dy;
  V center;
  Op op;

  template <class U>
  HWY_INLINE Terms<typename U::Value> terms(int64_t i, int64_t k) const {
    auto value = U::load(x + i), g = U::load(dy + i);
    op.template gradient<U>(value, g, i);
    return {g, U::mul(g, U::sub(value, U::at(center, k)))};
  }
  HWY_INLINE void prefetch(int64_t i) const {
    kernels::HWY_NAMESPACE::prefetch(x + i);
    kernels::HWY_NAMESPACE::prefetch(dy + i);
  }
  HWY_INLINE auto channel(int64_t j) const {
    return EpilogueGradientTerms<T, A, A, Op>{x, dy, center[j], op.channel(j)};
  }
  HWY_INLINE auto row(int64_t r, int64_t i) const { return with(op.row(r, i)); }
  HWY_INLINE auto step(int64_t i) const { return with(op.step(i)); }

 private:
  template <class Other>
  HWY_INLINE auto with(const Other& other) const {
    return EpilogueGradientTerms<T, A, V, Other>{x, dy, center, other};
  }
};

/// Elements that are written together, and what else comes with them.
template <class U>
struct WithSide {
  typename U::Value value, side;
};

/// A tensor that may be absent, to prefetch.
template <class T>
struct Beside {
  const T* tensor;
  HWY_INLINE void prefetch(int64_t i) const {
    if (tensor != nullptr) kernels::HWY_NAMESPACE::prefetch(tensor + i);
  }
};

/// Phase 2, then the residual if there is one, the activation and its bits.
template <class T, class A, class V, class Op>
struct ActivatedNormalizeMap {
  static constexpr bool kHasEpilogue = true;
  using Vector = InOrder<T, A>;
  const T* x;
  const T* residual;
  T* out;
  NormalizeCoefficients<V> c;
  Op op;

  /// Before the activation.
  template <class U>
  HWY_INLINE typename U::Value value(int64_t i, int64_t k) const {
    return residual == nullptr ? sum<U, false>(i, k) : sum<U, true>(i, k);
  }
  /// n elements from i on. The condition stands here, once for all of them: another kernel for it is no faster.
  template <bool kStream, int64_t n>
  HWY_INLINE void write_lines(int64_t i, int64_t k) const {
    const std::uint64_t blocked =
        residual == nullptr ? write_all<kStream, n, false>(i, k) : write_all<kStream, n, true>(i, k);
    if (op.bits == nullptr) return;
    store_bytes<n>(op.bits, i - op.origin, ~blocked & ~std::uint64_t{0} >> (kWord - n));
    op.prefetch(i);
  }

  /// Gathers the bits of the elements from `begin` on, and writes them at the end.
  struct Step {
    static constexpr bool kHasEpilogue = true;
    using Vector = InOrder<T, A>;
    const ActivatedNormalizeMap& map;
    int64_t begin;
    std::uint64_t blocked = 0;

    template <class U>
    HWY_INLINE typename U::Value value(int64_t i, int64_t k) const {
      return map.template value<U>(i, k);
    }
    template <bool kStream, class U>
    HWY_INLINE void write(typename U::Value v, int64_t i) {
      put<kStream, U>(output<U>(map.op.kink, blocks<U>(map.op.kink, v), v), map.out + i);
      gather<U>(v, i);
    }
    template <class U>
    HWY_INLINE void gather(typename U::Value v, int64_t i) {
      blocked |= Masks<U>::bits(blocks<U>(map.op.kink, v)) << (i - begin);
    }
    /// Of elements `from` to `to`, counted from the first.
    HWY_INLINE void finish(int64_t from, int64_t to) const {
      const auto& of = map.op;
      if (of.bits == nullptr || from >= to) return;
      const std::uint64_t all = ~std::uint64_t{0} >> (kWord - (to - from));
      store_bits(of.bits, begin + from - of.origin, to - from, ~(blocked >> from) & all);
    }
  };
  HWY_INLINE Step step(int64_t i) const { return {*this, i}; }
  /// The vector whose first n elements are the last of `before`.
  template <class U>
  static HWY_INLINE void write_shared_line(Step& before, Step& after, int64_t i, int64_t n) {
    const auto first = before.template value<U>(i, 0), second = after.template value<U>(i, 0);
    const auto v = U::first_of(n, first, second);
    const auto& kink = after.map.op.kink;
    U::stream(output<U>(kink, blocks<U>(kink, v), v), after.map.out + i);
    before.template gather<U>(first, i);
    after.template gather<U>(second, i);
  }

  HWY_INLINE void prefetch(int64_t i) const {
    kernels::HWY_NAMESPACE::prefetch(x + i);
    beside().prefetch(i);
  }
  HWY_INLINE Beside<T> beside() const { return {residual}; }
  HWY_INLINE auto channel(int64_t j) const {
    return ActivatedNormalizeMap<T, A, A, Op>{x, residual, out, {c.center[j], c.scale[j], c.beta[j]}, op.channel(j)};
  }
  HWY_INLINE auto row(int64_t r, int64_t i) const {
    op.prefetch_below(r);
    return ActivatedNormalizeMap<T, A, V, ActivatedRow<decltype(op.kink)>>{x, residual, out, c, op.row(r, i)};
  }

 private:
  template <class U, bool kResidual>
  HWY_INLINE typename U::Value sum(int64_t i, int64_t k) const {
    const auto v = normalized<U>(x, c, i, k);
    if constexpr (kResidual) return U::add(v, U::load(residual + i));
    return v;
  }
  /// Returns a word whose first n bits say which elements were blocked.
  template <bool kStream, int64_t n, bool kResidual>
  HWY_INLINE std::uint64_t write_all(int64_t i, int64_t k) const {
    using U = Vector;
    Word<U, n> blocked;
    UNITVAR_UNROLL
    for (int64_t j = 0; j < n; j += U::kWidth) {
      const auto v = sum<U, kResidual>(i + j, k + j);
      const auto stopped = blocks<U>(op.kink, v);
      put<kStream, U>(output<U>(op.kink, stopped, v), out + i + j);
      blocked.add(stopped);
    }
    return blocked.first();
  }
};

/// Phase 2, and 0 where the weight is op.none.
template <class T, class A, class V, class Op>
struct WeightedNormalizeMap {
  static constexpr bool kHasEpilogue = true;
  using Vector = InOrder<T, A>;
  const T* x;
  T* out;
  NormalizeCoefficients<V> c;
  Op op;

  template <class U>
  HWY_INLINE typename U::Value value(int64_t i, int64_t k) const {
    return op.template zero_unweighted<U>(normalized<U>(x, c, i, k), i);
  }
  template <bool kStream, class U>
  HWY_INLINE void write(typename U::Value value, int64_t i) const {
    put<kStream, U>(value, out + i);
  }
  template <bool kStream, int64_t n>
  HWY_INLINE void write_lines(int64_t i, int64_t k) const {
    using U = Vector;
    for (int64_t j = 0; j < n; j += U::kWidth) write<kStream, U>(value<U>(i + j, k + j), i + j);
  }
  template <class U>
  static HWY_INLINE void write_shared_line(const auto& before, const auto& after, int64_t i, int64_t n) {
    after.template write<true, U>(U::first_of(n, before.template value<U>(i, 0), after.template value<U>(i, 0)), i);
  }
  HWY_INLINE const WeightedNormalizeMap& step(int64_t) const { return *this; }
  HWY_INLINE void finish(int64_t, int64_t) const {}

  HWY_INLINE void prefetch(int64_t i) const { kernels::HWY_NAMESPACE::prefetch(x + i); }
  HWY_INLINE auto channel(int64_t j) const {
    return WeightedNormalizeMap<T, A, A, Op>{x, out, {c.center[j], c.scale[j], c.beta[j]}, op.channel(j)};
  }
  HWY_INLINE auto row(int64_t r, int64_t i) const { return WeightedNormalizeMap{x, out, c, op.row(r, i)}; }
};

/// Phase 4 behind any operation: ((g - level) - (x - center) * slope) * scale, level and slope times the weights if
/// there are some; and g for the residual. Only an activation stands before a residual.
template <class T, class A, class V, class Op>
struct EpilogueInputGradientMap {
  static constexpr bool kHasEpilogue = true;
  static constexpr bool kWeighted = kIsWeighted<Op>;
  static constexpr bool kMayHaveSide = Op::kIsActivation;
  using Vector = InOrder<T, A>;
  const T* x;
  const T* dy;
  T* out;
  T* dresidual;
  GradientCoefficients<V> c;
  Op op;

  template <class U>
  HWY_INLINE WithSide<U> value(int64_t i, int64_t k) const {
    typename U::Value side;
    const auto dx = gradient<U>(i, k, side);
    return {dx, side};
  }
  template <bool kStream, class U>
  HWY_INLINE void write(const WithSide<U>& of, int64_t i) const {
    put<kStream, U>(of.value, out + i);
    put_side<kStream, U>(of.side, i);
  }
  template <bool kStream, int64_t n>
  HWY_INLINE void write_lines(int64_t i, int64_t k) const {
    const auto of = step(i);
    if constexpr (kMayHaveSide) {
      if (dresidual != nullptr) return of.template write_all<kStream, n, true>(i, k);
    }
    of.template write_all<kStream, n, false>(i, k);
  }
  /// Whole lines of one tensor and then of the other. Half lines in turn would be written to memory twice.
  template <bool kStream, int64_t n, bool kSide>
  HWY_INLINE void write_all(int64_t i, int64_t k) const {
    using U = Vector;
    constexpr int kVectors = kMapLine<EpilogueInputGradientMap> / U::kWidth;
    UNITVAR_UNROLL
    for (int64_t j = 0; j < n; j += kVectors * U::kWidth) {
      typename U::Value dx[kVectors], side[kVectors];
      for (int v = 0; v < kVectors; ++v) {
        const int64_t at = j + v * U::kWidth;
        dx[v] = gradient<U>(i + at, k + at, side[v]);
      }
      for (int v = 0; v < kVectors; ++v) put<kStream, U>(dx[v], out + i + j + v * U::kWidth);
      if constexpr (kSide) {
        for (int v = 0; v < kVectors; ++v) put<kStream, U>(side[v], dresidual + i + j + v * U::kWidth);
      }
    }
  }
  template <class U>
  static HWY_INLINE void write_shared_line(const auto& before, const auto& after, int64_t i, int64_t n) {
    const auto first = before.template value<U>(i, 0), second = after.template value<U>(i, 0);
    after.template write<true, U>({U::first_of(n, first.value, second.value), U::first_of(n, first.side, second.side)},
                                  i);
  }
  HWY_INLINE auto step(int64_t i) const { return with(op.step(i)); }
  HWY_INLINE void finish(int64_t, int64_t) const {}

  /// dx, and what the residual gets.
  template <class U>
  HWY_INLINE typename U::Value gradient(int64_t i, int64_t k, typename U::Value& side) const {
    auto value = U::load(x + i);
    side = U::load(dy + i);
    op.template gradient<U>(value, side, i);
    const auto along = weighted<U>(U::mul(U::sub(value, U::at(c.center, k)), U::at(c.slope, k)), i);
    auto g = U::sub(side, weighted<U>(U::at(c.level.hi, k), i));
    if constexpr (!std::is_same_v<A, double>) g = U::sub(g, weighted<U>(U::at(c.level.lo, k), i));
    const auto dx = U::mul(U::sub(g, along), U::at(c.scale, k));
    if constexpr (kWeighted) {
      return op.template zero_unweighted<U>(dx, i);
    } else {
      return dx;
    }
  }

  HWY_INLINE void prefetch(int64_t i) const {
    kernels::HWY_NAMESPACE::prefetch(x + i);
    kernels::HWY_NAMESPACE::prefetch(dy + i);
  }
  HWY_INLINE auto channel(int64_t j) const {
    return EpilogueInputGradientMap<T, A, A, Op>{
        x, dy, out, dresidual, {c.center[j], at<A>(c.level, j), c.slope[j], c.scale[j]}, op.channel(j)};
  }
  HWY_INLINE auto row(int64_t r, int64_t i) const { return with(op.row(r, i)); }

 private:
  template <class Other>
  HWY_INLINE auto with(const Other& other) const {
    return EpilogueInputGradientMap<T, A, V, Other>{x, dy, out, dresidual, c, other};
  }
  template <bool kStream, class U>
  HWY_INLINE void put_side(typename U::Value side, int64_t i) const {
    if constexpr (kMayHaveSide) {
      if (dresidual != nullptr) put<kStream, U>(side, dresidual + i);
    }
  }
  template <class U>
  HWY_INLINE typename U::Value weighted(typename U::Value v, int64_t i) const {
    if constexpr (kWeighted) {
      return U::mul(v, op.template weight<U>(i));
    } else {
      return v;
    }
  }
};

/// How dx reaches memory. The residual's gradient takes the same kind of stores; non-temporal ones only if both tensors
/// begin at the same place of a cache line.
template <class T>
HWY_INLINE Access access_of_both(Access access, const T* dx, const T* dresidual) {
  if (dresidual != nullptr && to_next_line(dresidual) != to_next_line(dx)) access.stores = Stores::cached;
  return access;
}

template <class Kink, class T>
HWY_INLINE Activated<Kink> activated_by(const Epilogue<T>& e, const Kink& kink) {
  return {e.bits, e.bits_row, e.bits_channel, e.bits_begin, kink};
}

/// One sweep is faster only where memory is written all the time. Elsewhere the two phases run one after the other, and
/// so they do outside the fast group.
template <class T>
HWY_INLINE bool fuses(const Rect& rect, const Access& access) {
  return kFastTarget && streams_rows<T>(rect, access);
}
template <class T, class A, class Source, class Map>
HWY_INLINE void fuse([[maybe_unused]] const Source& source, [[maybe_unused]] const Map& map, const Rect& rect,
                     const Access& access, double* first, double* second) {
  if constexpr (kFastTarget) planar_sweep_as<T, A, true>(source, map, rect, access, first, second);
}

/// Phase 2 of a rectangle and phase 1 of another one, `next` elements away. Maps::normalize writes the whole rectangle;
/// Maps::with_map calls a function with the map that it writes.
template <class Maps, class T, class A, class S>
HWY_INLINE void fuse_with_moments(const T* x, T* y, const NormalizeCoefficients<const A*>& c, const Rect& rect,
                                  const Access& access, const Epilogue<T>& epilogue, int64_t next, const S* shift,
                                  double* first, double* second) {
  if (!fuses<T>(rect, access)) {
    Maps::normalize(x, y, c, rect, access, epilogue);
    table<Kernels<T>, this_isa()>().fast.planar.moments(x + next, shift, rect, access, first, second);
    return;
  }
  const MomentTerms<T, S, const S*> source{x + next, shift};
  Maps::with_map(x, y, c, epilogue,
                 [&](const auto& map) HWY_ATTR { fuse<T, A>(source, map, rect, access, first, second); });
}

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
