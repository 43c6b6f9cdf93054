#pragma once
#include <string_view>

#include "unitvar/half.hpp"

namespace unitvar {

/// What the library knows of a storage type. To add one: a specialization here, the load and store of one vector in
/// src/cpu/kernels/, and a place in UNITVAR_FOR_EACH_DTYPE (HACKING.md, "Adding").
template <class T>
struct DtypeTraits;

template <>
struct DtypeTraits<float> {
  using param = float;  ///< type of gamma, beta, dgamma, dbeta that go with it
  static constexpr std::string_view name = "f32";
};

template <>
struct DtypeTraits<double> {
  using param = double;
  static constexpr std::string_view name = "f64";
};

template <>
struct DtypeTraits<bf16> {
  using param = float;
  static constexpr std::string_view name = "bf16";
};

template <>
struct DtypeTraits<f16> {
  using param = float;
  static constexpr std::string_view name = "f16";
};

/// The type of the parameters and their gradients that go with tensors of T.
template <class T>
using param_t = typename DtypeTraits<T>::param;

/// Calls macro(type) for each storage type; the library's explicit instantiations are written with it.
#define UNITVAR_FOR_EACH_DTYPE(macro) macro(float) macro(double) macro(unitvar::bf16) macro(unitvar::f16)

}  // namespace unitvar
