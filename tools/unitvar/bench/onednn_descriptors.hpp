#pragma once
#include <oneapi/dnnl/dnnl.hpp>
#include <optional>

#include "unitvar/schedule.hpp"

/// What differs between oneDNN 2.6 and 3.x.
namespace unitvar::bench {

/// What oneDNN wants to know of a pass before it makes its primitive: the backward one is there for Pass::backward.
struct Descriptors {
  dnnl::batch_normalization_forward::primitive_desc forward;
  std::optional<dnnl::batch_normalization_backward::primitive_desc> backward;
};

/// 2.x wants the shift in the backward pass, too; 3.x refuses it there.
inline constexpr bool backward_takes_shift = DNNL_VERSION_MAJOR < 3;

inline Descriptors describe(Pass pass, const dnnl::memory::desc& tensor, float small, const dnnl::engine& engine) {
  using Flags = dnnl::normalization_flags;
  const bool inference = pass == Pass::inference;
  const Flags parameters = Flags::use_scale | Flags::use_shift;
  const Flags flags = inference ? parameters | Flags::use_global_stats : parameters;
  const auto kind = inference ? dnnl::prop_kind::forward_inference : dnnl::prop_kind::forward_training;
  const auto back = dnnl::prop_kind::backward;
#if DNNL_VERSION_MAJOR >= 3
  Descriptors result{{engine, kind, tensor, tensor, small, flags}, {}};
  if (pass == Pass::backward) {
    result.backward.emplace(engine, back, tensor, tensor, tensor, small, flags, result.forward);
  }
#else
  Descriptors result{{{kind, tensor, small, flags}, engine}, {}};
  if (pass == Pass::backward) {
    const dnnl::batch_normalization_backward::desc of(back, tensor, tensor, small, flags);
    result.backward.emplace(of, engine, result.forward);
  }
#endif
  return result;
}

}  // namespace unitvar::bench
