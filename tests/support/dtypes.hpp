#pragma once
#include <gtest/gtest.h>

#include "unitvar/dtype.hpp"

/// The storage types that typed tests run on.
namespace unitvar::test {

#ifdef UNITVAR_TEST_DTYPES
using AllDtypes = ::testing::Types<UNITVAR_TEST_DTYPES>;
#else
using AllDtypes = ::testing::Types<float, double, bf16, f16>;
#endif
using HalfDtypes = ::testing::Types<bf16, f16>;

template <class T>
inline constexpr bool is_half = sizeof(T) == 2;

/// Half a step between neighbours, relative: bf16 has 8 significant bits, f16 has 11.
template <class T>
inline constexpr double half_step = std::is_same_v<T, bf16> ? 0x1p-8 : 0x1p-11;

/// Where the relative size of a step begins to grow; 0 for types whose subnormals no test reaches.
template <class T>
inline constexpr double smallest_normal = std::is_same_v<T, bf16>  ? 0x1p-126
                                          : std::is_same_v<T, f16> ? 0x1p-14
                                                                   : 0;

/// The largest finite number.
template <class T>
inline constexpr double largest = std::is_same_v<T, f16> ? 65504 : 0x1.FEp127;

}  // namespace unitvar::test
