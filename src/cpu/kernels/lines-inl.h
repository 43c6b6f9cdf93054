// How a map is written along a row: by whole cache lines, past the caches where that is faster. Included once per
// instruction set.
#if defined(UNITVAR_KERNELS_LINES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNITVAR_KERNELS_LINES_INL_H_
#undef UNITVAR_KERNELS_LINES_INL_H_
#else
#define UNITVAR_KERNELS_LINES_INL_H_
#endif

#include "cpu/kernels/phases-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

/// Elements of a cache line.
template <class T>
constexpr int64_t kLine = 64 / sizeof(T);
/// Elements that a map writes at a time: whole cache lines of `out`.
template <class Map>
constexpr int64_t kMapLine = std::max<int64_t>(64 / sizeof(*Map::out), Map::Vector::kWidth);

template <bool kStream, class U, class T>
HWY_INLINE void put(typename U::Value value, T* p) {
  if constexpr (kStream) {
    U::stream(value, p);
  } else {
    U::store(value, p);
  }
}

/// Writes what map.value gave for element i and those beside it.
template <bool kStream, class U, class Map, class Value>
HWY_INLINE void write(Map& map, const Value& value, int64_t i) {
  if constexpr (Map::kHasEpilogue) {
    map.template write<kStream, U>(value, i);
  } else {
    put<kStream, U>(value, map.out + i);
  }
}

/// Elements that a phase with epilogue takes at a time, at most. Their bits are one word.
constexpr int kWord = 64;

/// The phase on the next kWord elements, from i on.
template <class Phase>
HWY_INLINE decltype(auto) step_of(const Phase& phase, int64_t i) {
  if constexpr (Phase::kHasEpilogue) {
    return phase.step(i);
  } else {
    return (phase);
  }
}

/// The whole vectors U of columns [k, end) of the row that starts at element `row`. Returns the first column left over.
template <class U, class Map>
HWY_INLINE int64_t map_vectors(Map& map, int64_t row, int64_t k, int64_t end) {
  for (; k + U::kWidth <= end; k += U::kWidth) write<false, U>(map, map.template value<U>(row + k, k), row + k);
  return k;
}

/// Columns [begin, end) of the row. The last vector overlaps the one before; its value is computed first, since `out`
/// may be what it is computed from.
template <class A, class Map>
UNITVAR_PART void map_columns(Map& map, int64_t row, int64_t begin, int64_t end) {
  using U = VectorOf<A>;
  if (end - begin < U::kWidth) {
    map_vectors<ScalarOf<A>>(map, row, begin, end);
    return;
  }
  const auto last = map.template value<U>(row + end - U::kWidth, end - U::kWidth);
  const int64_t k = map_vectors<typename Map::Vector>(map, row, begin, end);
  map_vectors<U>(map, row, k, end);
  write<false, U>(map, last, row + end - U::kWidth);
}

/// The same for at most kWord columns of a phase with epilogue. Not inline, since the code is long and runs rarely.
template <class A, class Map>
HWY_NOINLINE void map_few(const Map& map, int64_t row, int64_t begin, int64_t end) {
  auto step = map.step(row + begin);
  map_columns<A>(step, row, begin, end);
  step.finish(0, end - begin);
}

/// Columns of a row that are not whole cache lines.
template <class A, class Map>
HWY_INLINE void map_torn(const Map& map, int64_t row, int64_t begin, int64_t end) {
  if constexpr (Map::kHasEpilogue) {
    if (begin < end) map_few<A>(map, row, begin, end);
  } else {
    map_columns<A>(map, row, begin, end);
  }
}

/// Whether `out` begins closely behind `in`, counted within a page. A load waits for non-temporal stores that are still
/// under way to the same place of their page. In the order of memory it would meet those of the cache line before.
template <class T>
HWY_INLINE bool follows_closely(const T* out, const T* in) {
  constexpr std::uintptr_t kPageBytes = 4096, kClose = 64;
  return (reinterpret_cast<std::uintptr_t>(out) - reinterpret_cast<std::uintptr_t>(in) - 1) % kPageBytes < kClose;
}
template <class Map>
HWY_INLINE bool follows_closely(const Map& map) {
  if constexpr (!requires { map.x == map.out; }) {
    return false;
  } else if constexpr (requires { map.dy; }) {
    return follows_closely(map.out, map.x) || follows_closely(map.out, map.dy);
  } else {
    return follows_closely(map.out, map.x);
  }
}

/// n whole cache lines from column k on, the last of them first.
template <int64_t n, class Map>
HWY_NOINLINE void stream_lines_down(const Map& map, int64_t row, int64_t k) {
  using U = typename Map::Vector;
  for (int64_t i = n * kMapLine<Map> - U::kWidth; i >= 0; i -= U::kWidth) {
    write<true, U>(map, map.template value<U>(row + k + i, k + i), row + k + i);
  }
}

/// n whole cache lines from column k on. Non-temporal stores need them aligned.
template <bool kStream, int64_t n, class Map>
UNITVAR_PART void map_lines(const Map& map, int64_t row, int64_t k) {
  using U = typename Map::Vector;
  if constexpr (Map::kHasEpilogue) {
    map.template write_lines<kStream, n * kMapLine<Map>>(row + k, k);
  } else {
    if constexpr (kStream && n > 1) {
      if (HWY_UNLIKELY(follows_closely(map))) return stream_lines_down<n>(map, row, k);
    }
    for (int64_t i = 0; i < n * kMapLine<Map>; i += U::kWidth) {
      write<kStream, U>(map, map.template value<U>(row + k + i, k + i), row + k + i);
    }
  }
}

/// Columns [k, end) as far as they are whole cache lines. Prefetches what comes `ahead` elements later. Returns the
/// first column left over.
template <bool kStream, class Map>
UNITVAR_PART int64_t map_whole_lines(const Map& map, int64_t row, int64_t k, int64_t end, int64_t ahead) {
  constexpr int64_t kLineOfMap = kMapLine<Map>;
  if constexpr (kStream && !Map::kHasEpilogue) {
    if (HWY_UNLIKELY(follows_closely(map))) {
      const auto take = [&](auto lines) HWY_ATTR {
        for (; k + lines * kLineOfMap <= end; k += lines * kLineOfMap) {
          for (int64_t i = 0; i < lines; ++i) map.prefetch(row + k + i * kLineOfMap + ahead);
          stream_lines_down<lines>(map, row, k);
        }
      };
      take(std::integral_constant<int, 4>());
      take(std::integral_constant<int, 2>());
    }
  }
  for (; k + kLineOfMap <= end; k += kLineOfMap) {
    map.prefetch(row + k + ahead);
    map_lines<kStream, 1>(map, row, k);
  }
  return k;
}

/// Elements from p to the next cache line.
template <class T>
HWY_INLINE int64_t to_next_line(const T* p) {
  return static_cast<int64_t>((0 - reinterpret_cast<std::uintptr_t>(p)) % 64 / sizeof(T));
}

/// Non-temporal stores write whole vectors only.
template <class T, class A>
constexpr bool kCanStream = kHasVectors&& std::is_same_v<A, fast_t<T>>;

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
