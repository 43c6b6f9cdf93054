// The sum of two tensors, a batch of rows at a time. Included once per instruction set.
#if defined(UNITVAR_KERNELS_ROW_ADD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef UNITVAR_KERNELS_ROW_ADD_INL_H_
#undef UNITVAR_KERNELS_ROW_ADD_INL_H_
#else
#define UNITVAR_KERNELS_ROW_ADD_INL_H_
#endif

#include <algorithm>

#include "cpu/kernels/lines-inl.h"
#include "cpu/kernels/rows.hpp"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

/// x + residual. Sums of 16 bits are rounded to float first, which changes nothing (B86).
template <class T>
HWY_INLINE void add_elements(const T* x, const T* residual, T* sum, int64_t n) {
  using A = fast_t<T>;
  const auto add = [&](auto vector, int64_t k) HWY_ATTR {
    using U = decltype(vector);
    U::store(U::add(U::load(x + k), U::load(residual + k)), sum + k);
  };
  using U = Widest<T, A, A>;
  int64_t k = 0;
  for (; k + U::kWidth <= n; k += U::kWidth) add(U(), k);
  for (; k < n; ++k) add(ScalarOf<A>(), k);
}

/// As many elements as a vector has, whatever they are.
template <class T>
struct Raw {
  using Lane = std::conditional_t<kIsHalf<T>, std::uint16_t, T>;
  using D = hn::CappedTag<Lane, kLine<T>>;
  static constexpr int64_t kWidth = static_cast<int64_t>(hn::MaxLanes(D()));

  static HWY_INLINE void stream(const T* from, T* to) {
    hn::Stream(hn::LoadU(D(), reinterpret_cast<const Lane*>(from)), D(), reinterpret_cast<Lane*>(to));
  }
};

/// h = sum.
template <class T>
HWY_INLINE void keep_elements(const RowSum<T>& of, int64_t n, Stores stores) {
  constexpr int64_t kElements = kLine<T>;
  if (!kHasVectors || stores != Stores::streamed) {
    std::copy_n(of.sum, n, of.h);
    return;
  }
  const int64_t begin = std::min(n, to_next_line(of.h)), end = begin + (n - begin) / kElements * kElements;
  std::copy_n(of.sum, begin, of.h);
  for (int64_t k = begin; k < end; k += kElements) {
    for (int64_t i = 0; i < kElements; i += Raw<T>::kWidth) Raw<T>::stream(of.sum + k + i, of.h + k + i);
  }
  std::copy_n(of.sum + end, n - end, of.h + end);
}

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
