// Compiled once per Highway target.
#include "kernels/primitives.hpp"

#include "cpu/runtime/targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/primitives.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "cpu/kernels/mask-inl.h"

HWY_BEFORE_NAMESPACE();
namespace unitvar::kernels::HWY_NAMESPACE {

/// A value from and to its elements, in their order.
template <class U>
struct InOrder {
  using E = typename U::Value;
  static constexpr bool kKeepsOrder = true;
  static HWY_INLINE E load(const E* p) { return *p; }
  static HWY_INLINE void store(E v, E* p) { *p = v; }
};
template <class A>
struct InOrder<VectorOf<A>> {
  using E = A;
  static constexpr bool kKeepsOrder = true;
  static HWY_INLINE auto load(const A* p) { return VectorOf<A>::load(p); }
  static HWY_INLINE void store(typename VectorOf<A>::Value v, A* p) { VectorOf<A>::store(v, p); }
};
#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
template <class T, bool kInOrder>
struct InOrder<PairOf<T, kInOrder>> {
  using U = PairOf<T, kInOrder>;
  using E = float;
  static constexpr bool kKeepsOrder = kInOrder;
  static constexpr int kHalf = U::kWidth / 2;
  static constexpr int place(int k) { return U::kAlternate ? k / 2 + k % 2 * kHalf : k; }
  static HWY_INLINE typename U::Value load(const float* p) {
    float parts[U::kWidth];
    for (int k = 0; k < U::kWidth; ++k) parts[place(k)] = p[k];
    return {VectorOf<float>::load(parts), VectorOf<float>::load(parts + kHalf)};
  }
  static HWY_INLINE void store(typename U::Value v, float* p) {
    float parts[U::kWidth];
    VectorOf<float>::store(v.a, parts);
    VectorOf<float>::store(v.b, parts + kHalf);
    for (int k = 0; k < U::kWidth; ++k) p[k] = parts[place(k)];
  }
  static HWY_INLINE void store_sums(const Wide<U>& sums, double* p) {
    double parts[U::kWidth];
    sums.even.store(parts);
    sums.odd.store(parts + kHalf);
    for (int k = 0; k < U::kWidth; ++k) p[k] = parts[place(k)];
  }
};
#endif

template <class U, class T>
struct Memory {
  using O = InOrder<U>;
  using E = typename O::E;

  static void load(const T* from, E* to) { O::store(U::load(from), to); }
  static void store(const E* from, T* to) { U::store(O::load(from), to); }
  static void stream(const E* from, T* to) { U::stream(O::load(from), to); }
};

template <class U>
struct Arithmetic {
  using O = InOrder<U>;
  using E = typename O::E;

  static void zero(E* to) { O::store(U::zero(), to); }
  static void add(const E* a, const E* b, E* to) { O::store(U::add(O::load(a), O::load(b)), to); }
  static void sub(const E* a, const E* b, E* to) { O::store(U::sub(O::load(a), O::load(b)), to); }
  static void mul(const E* a, const E* b, E* to) { O::store(U::mul(O::load(a), O::load(b)), to); }
  static void at_one(E v, int64_t k, E* to) { O::store(U::at(v, k), to); }
  static void at_each(const E* v, int64_t k, E* to) { O::store(U::at(v, k), to); }
  static void first_of(int64_t n, const E* a, const E* b, E* to) {
    O::store(U::first_of(n, O::load(a), O::load(b)), to);
  }
};

template <class U>
struct Masked {
  using O = InOrder<U>;
  using E = typename O::E;
  using M = Masks<U>;

  static std::uint64_t at_most_zero(const E* v) { return M::bits(M::at_most_zero(O::load(v))); }
  static std::uint64_t word_at_most_zero(const E* v) {
    Word<U, kWord> word;
    for (int k = 0; k < kWord; k += U::kWidth) word.add(M::at_most_zero(O::load(v + k)));
    return word.first();
  }
  static void select(std::uint64_t word, int64_t at, const E* yes, const E* no, E* to) {
    O::store(M::select(M::from_bits(word, at), O::load(yes), O::load(no)), to);
  }
  static void zero_where(std::uint64_t word, int64_t at, const E* v, E* to) {
    O::store(M::zero_where(M::from_bits(word, at), O::load(v)), to);
  }
};

template <class U>
struct Summing {
  using O = InOrder<U>;
  using E = typename O::E;

  static void sum(const E* v, int count, double* to) {
    Wide<U> sums;
    sums.clear();
    for (int k = 0; k < count; ++k) sums.add(O::load(v + k * U::kWidth));
    if constexpr (requires { O::store_sums(sums, to); }) {
      O::store_sums(sums, to);
    } else {
      sums.store(to);
    }
  }
};

template <class U, class T>
constexpr auto transfer(const char* unit) {
  using E = typename InOrder<U>::E;
  test::Transfer<T, E> t{unit, U::kWidth, Memory<U, T>::load, Memory<U, T>::store, nullptr};
  if constexpr (!std::is_same_v<U, ScalarOf<E>>) t.stream = Memory<U, T>::stream;
  return t;
}

/// What a U has. Sums are of the units in which kernels sum a T.
template <class U, class T>
constexpr auto operations(const char* unit) {
  using E = typename InOrder<U>::E;
  using R = Arithmetic<U>;
  test::Operations<E> o{};
  o.unit = unit;
  o.width = U::kWidth;
  o.zero = R::zero;
  o.add = R::add;
  o.sub = R::sub;
  o.mul = R::mul;
  o.at_one = R::at_one;
  if constexpr (!std::is_same_v<U, ScalarOf<E>>) o.first_of = R::first_of;
  if constexpr (InOrder<U>::kKeepsOrder) {
    o.at_each = R::at_each;
    o.at_most_zero = Masked<U>::at_most_zero;
    o.word_at_most_zero = Masked<U>::word_at_most_zero;
    o.select = Masked<U>::select;
    o.zero_where = Masked<U>::zero_where;
  }
  if constexpr (std::is_same_v<U, Summed<T, E>>) o.sum = Summing<U>::sum;
  return o;
}

template <class T, class A>
constexpr test::Transfer<T, A> kTransfers[] = {transfer<ScalarOf<A>, T>("scalar"), transfer<VectorOf<A>, T>("vector")};
template <class A>
constexpr test::Operations<A> kOperations[] = {operations<ScalarOf<A>, A>("scalar"),
                                               operations<VectorOf<A>, A>("vector")};
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
template <class T>
constexpr const auto& kTransfersOf16Bits = kTransfers<T, float>;
constexpr const auto& kOperationsInFloat = kOperations<float>;
#else
template <class T>
constexpr test::Transfer<T, float> kTransfersOf16Bits[] = {
    transfer<ScalarOf<float>, T>("scalar"), transfer<VectorOf<float>, T>("vector"),
    transfer<PairOf<T, true>, T>("pair in order"), transfer<PairOf<T, false>, T>("pair in any order")};
constexpr test::Operations<float> kOperationsInFloat[] = {
    operations<ScalarOf<float>, float>("scalar"),
    operations<VectorOf<float>, float>("vector"),
    operations<PairOf<bf16, true>, bf16>("pair of bf16 in order"),
    operations<PairOf<bf16, false>, bf16>("pair of bf16 in any order"),
    operations<PairOf<f16, true>, f16>("pair of f16 in order"),
    operations<PairOf<f16, false>, f16>("pair of f16 in any order")};
#endif

const test::Primitives* primitives() {
  static constexpr test::Primitives here{
      HWY_TARGET,
      {kTransfers<float, float>, kTransfersOf16Bits<bf16>, kTransfersOf16Bits<f16>, kTransfers<double, double>,
       kTransfers<float, double>, kTransfers<bf16, double>, kTransfers<f16, double>},
      {kOperationsInFloat, kOperations<double>},
      {load_word, store_bits, store_bytes<16>, store_bytes<64>}};
  return &here;
}

}  // namespace unitvar::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <iterator>

#include "cpu/runtime/isa.hpp"

namespace unitvar::kernels {
HWY_EXPORT(primitives);
}  // namespace unitvar::kernels

namespace unitvar {

const test::Primitives& test::primitives_for(Isa isa) {
  using namespace kernels;  // where HWY_EXPORT has put its table
  const auto& table = HWY_DISPATCH_TABLE(primitives);
  hwy::ChosenTarget target;
  target.Update(cpu::highway_target(isa));
  return *(std::size(table) == 1 ? table[0] : table[target.GetIndex()])();
}

}  // namespace unitvar
#endif
