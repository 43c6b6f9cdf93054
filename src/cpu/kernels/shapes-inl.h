// The two memory shapes as types that a phase is written for. Included once per instruction set.
#if defined(UNITVAR_KERNELS_SHAPES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNITVAR_KERNELS_SHAPES_INL_H_
#undef UNITVAR_KERNELS_SHAPES_INL_H_
#else
#define UNITVAR_KERNELS_SHAPES_INL_H_
#endif

#include "cpu/kernels/interleaved-inl.h"
#include "cpu/kernels/planar-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

struct Planar {
  static constexpr bool kPlanar = true;
  template <class T, class A, class Source>
  static HWY_INLINE void add(const Source& source, const Rect& rect, const Access& access, double* first,
                             double* second) {
    planar_sweep<T, A>(source, Nothing(), rect, access, first, second);
  }
  template <class T, class A, class Map>
  static HWY_INLINE void write(const Map& map, const Rect& rect, const Access& access) {
    planar_sweep<T, A>(Nothing(), map, rect, access, nullptr, nullptr);
  }
};

struct Interleaved {
  static constexpr bool kPlanar = false;
  template <class T, class A, class Source>
  static HWY_INLINE void add(const Source& source, const Rect& rect, const Access&, double* first, double* second) {
    add_all_rows<T, A, kRows<Source>>(source, rect, first, second);
  }
  template <class T, class A, class Map>
  static HWY_INLINE void write(const Map& map, const Rect& rect, const Access& access) {
    map_all_rows<T, A>(map, rect, access);
  }
};

/// Either shape without vectors, for what is rare.
template <bool kIsPlanar>
struct OneByOne {
  static constexpr bool kPlanar = kIsPlanar;
  /// Calls f(side, i, k, sum) for every element i: what `side` is there, its column, and where its sums are.
  template <class Side, class F>
  static HWY_INLINE void for_each(const Side& side, const Rect& rect, const F& f) {
    for (int64_t r = 0; r < rect.rows; ++r) {
      const int64_t row = r * rect.stride;
      if constexpr (kPlanar) {
        for (int64_t j = 0; j < rect.channels; ++j) {
          const int64_t piece = row + j * rect.inner;
          const auto own = side.channel(j).row(r, piece);
          for (int64_t k = 0; k < rect.inner; ++k) f(own, piece + k, k, j);
        }
      } else {
        const auto own = side.row(r, row);
        for (int64_t k = 0; k < rect.cols(); ++k) f(own, row + k, k, k);
      }
    }
  }

  template <class T, class A, class Source>
  static HWY_INLINE void add(const Source& source, const Rect& rect, const Access&, double* first, double* second) {
    for_each(source, rect, [=](const auto& own, int64_t i, int64_t k, int64_t sum) HWY_ATTR {
      const auto terms = own.template terms<ScalarOf<A>>(i, k);
      first[sum] += static_cast<double>(terms.first);
      second[sum] += static_cast<double>(terms.second);
    });
  }
  template <class T, class A, class Map>
  static HWY_INLINE void write(const Map& map, const Rect& rect, const Access&) {
    for_each(map, rect, [](const auto& own, int64_t i, int64_t k, int64_t) HWY_ATTR {
      auto step = step_of(own, i);
      kernels::HWY_NAMESPACE::write<false, ScalarOf<A>>(step, step.template value<ScalarOf<A>>(i, k), i);
      if constexpr (Map::kHasEpilogue) step.finish(0, 1);
    });
  }
};

/// How maps with an epilogue walk. Without vectors they take one element at a time, whatever the shape. Sums need the
/// shape, for their bits.
template <class Shape>
using MapShape = std::conditional_t<kHasVectors, Shape, OneByOne<Shape::kPlanar>>;

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
