#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <span>
#include <string>
#include <type_traits>

#include "unitvar/dtype.hpp"

/// Arguments of a call as spans. The Python modules around this one know shapes and layouts; what comes here is flat.
namespace unitvar::python {

namespace nb = nanobind;
using std::int64_t;

/// The storage types, as the Python modules number them.
enum Dtype : int { f32_code, f64_code, bf16_code, f16_code };

/// Calls f.template operator()<T>() with the storage type.
template <class F>
decltype(auto) with_dtype(int dtype, const F& f) {
  switch (dtype) {
    case f32_code:
      return f.template operator()<float>();
    case f64_code:
      return f.template operator()<double>();
    case bf16_code:
      return f.template operator()<bf16>();
    case f16_code:
      return f.template operator()<f16>();
    default:
      throw nb::value_error("unknown dtype");
  }
}

/// Memory: none, a contiguous array on the CPU, or an address of so many elements as the call wants.
template <bool kOutput>
struct Memory {
  using Array = std::conditional_t<kOutput, nb::ndarray<nb::c_contig, nb::device::cpu>,
                                   nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>>;
  Array array;
  std::uintptr_t address = 0;

  /// As elements of T. bf16 may come as uint16: few libraries know it.
  template <class T>
  [[nodiscard]] std::span<std::conditional_t<kOutput, T, const T>> of(int64_t wanted) const {
    using Element = std::conditional_t<kOutput, T, const T>;
    if (!array.is_valid()) {
      return {reinterpret_cast<Element*>(address), address == 0 ? 0 : static_cast<std::size_t>(wanted)};
    }
    const nb::dlpack::dtype dtype = array.dtype();
    if (dtype.bits != 8 * sizeof(T) || dtype.lanes != 1 || !is_code_of<T>(dtype.code)) {
      throw nb::type_error((std::string("an array has another type, want ") + name_of<T>()).c_str());
    }
    if (array.size() == 0) return {};  // the library asks some optional spans for their address alone
    return {static_cast<Element*>(const_cast<void*>(static_cast<const void*>(array.data()))), array.size()};
  }

 private:
  template <class T>
  static bool is_code_of(std::uint8_t code) {
    using Code = nb::dlpack::dtype_code;
    const auto is = [code](Code wanted) { return code == static_cast<std::uint8_t>(wanted); };
    if constexpr (std::is_same_v<T, bf16>) return is(Code::UInt) || is(Code::Bfloat);
    if constexpr (std::is_same_v<T, std::uint8_t>) return is(Code::UInt);
    return is(Code::Float);
  }
  template <class T>
  static const char* name_of() {
    if constexpr (std::is_same_v<T, bf16>) return "bfloat16 or uint16";
    return sizeof(T) == 1 ? "uint8" : sizeof(T) == 2 ? "float16" : sizeof(T) == 4 ? "float32" : "float64";
  }
};
using In = Memory<false>;
using Out = Memory<true>;

}  // namespace unitvar::python

namespace nanobind::detail {

template <bool kOutput>
struct type_caster<unitvar::python::Memory<kOutput>> {
  using Memory = unitvar::python::Memory<kOutput>;
  NB_TYPE_CASTER(Memory, const_name("numpy.ndarray | int"))

  bool from_python(handle from, uint32_t, cleanup_list* cleanup) noexcept {
    value = Memory();
    if (PyLong_Check(from.ptr())) {
      value.address = PyLong_AsSize_t(from.ptr());
      if (PyErr_Occurred() == nullptr) return true;
      PyErr_Clear();
      return false;
    }
    make_caster<typename Memory::Array> caster;
    if (!caster.from_python(from, 0, cleanup)) return false;
    value.array = std::move(caster.value);
    return true;
  }
};

}  // namespace nanobind::detail
