#pragma once
#include <oneapi/dnnl/dnnl.hpp>
#include <optional>
#include <string_view>

namespace unitvar::bench {

inline std::optional<dnnl::memory::data_type> onednn_type(std::string_view dtype) {
  if (dtype == "f32") return dnnl::memory::data_type::f32;
  if (dtype == "bf16") return dnnl::memory::data_type::bf16;
#if DNNL_VERSION_MAJOR >= 3
  if (dtype == "f16") return dnnl::memory::data_type::f16;
#endif
  return std::nullopt;
}

}  // namespace unitvar::bench
