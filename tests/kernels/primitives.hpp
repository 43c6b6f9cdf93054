#pragma once
#include <cstdint>
#include <span>
#include <tuple>

#include "unitvar/half.hpp"
#include "unitvar/isa.hpp"

/// The primitives of src/cpu/kernels/*-inl.h of one instruction set, behind pointers to functions: tests are compiled
/// once, without any of the instructions they test.
namespace unitvar::test {

/// Loads and stores of a VectorOf<E>, a PairOf<T, ...> or a ScalarOf<E>: elements are T in memory and E in registers.
/// Every array has `width` elements.
template <class T, class E>
struct Transfer {
  const char* unit;
  int width;
  void (*load)(const T* from, E* to);
  void (*store)(const E* from, T* to);
  void (*stream)(const E* from, T* to);  ///< `to` is aligned to the vector; null if the unit has none
};

/// What the same do in registers. Elements are in their order in memory. What the unit does not have is null.
template <class E>
struct Operations {
  const char* unit;
  int width;
  void (*zero)(E* to);
  void (*add)(const E* a, const E* b, E* to);
  void (*sub)(const E* a, const E* b, E* to);
  void (*mul)(const E* a, const E* b, E* to);
  void (*at_one)(E v, std::int64_t k, E* to);
  void (*at_each)(const E* v, std::int64_t k, E* to);
  void (*first_of)(std::int64_t n, const E* a, const E* b, E* to);

  std::uint64_t (*at_most_zero)(const E* v);
  std::uint64_t (*word_at_most_zero)(const E* v);  ///< of 64 elements
  void (*select)(std::uint64_t word, std::int64_t at, const E* yes, const E* no, E* to);
  void (*zero_where)(std::uint64_t word, std::int64_t at, const E* v, E* to);

  void (*sum)(const E* v, int count, double* to);  ///< of `count` times `width` elements, those a width apart
};

struct BitRows {
  std::uint64_t (*load_word)(const std::uint8_t* row, std::int64_t k);
  void (*store_bits)(std::uint8_t* row, std::int64_t k, std::int64_t n, std::uint64_t word);
  void (*store_16)(std::uint8_t* row, std::int64_t k, std::uint64_t word);
  void (*store_64)(std::uint8_t* row, std::int64_t k, std::uint64_t word);
};

template <class T, class E>
using Transfers = std::span<const Transfer<T, E>>;

struct Primitives {
  std::int64_t target;  ///< HWY_TARGET, which the code was compiled for
  std::tuple<Transfers<float, float>, Transfers<bf16, float>, Transfers<f16, float>, Transfers<double, double>,
             Transfers<float, double>, Transfers<bf16, double>, Transfers<f16, double>>
      transfers;
  std::tuple<std::span<const Operations<float>>, std::span<const Operations<double>>> operations;
  BitRows bits;
};

/// What was compiled for an instruction set of this machine.
const Primitives& primitives_for(Isa isa);

}  // namespace unitvar::test
