#pragma once
#include <string_view>

namespace unitvar {

/// What the library knows of a storage type. To add one (bf16, f16): a specialization here, the load and store of
/// one vector in src/kernels/vector-inl.h, and the instantiations listed by UNITVAR_FOR_EACH_DTYPE.
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

template <class T>
using param_t = typename DtypeTraits<T>::param;

/// Calls macro(type) for each storage type; the library's explicit instantiations are written with it.
#define UNITVAR_FOR_EACH_DTYPE(macro) macro(float) macro(double)

}  // namespace unitvar
