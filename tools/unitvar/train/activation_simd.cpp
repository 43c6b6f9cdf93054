#include "train/activation_simd.hpp"

#include <cstddef>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "train/activation_simd.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// After highway.h, which it needs for each target.
#include <hwy/contrib/math/math-inl.h>

HWY_BEFORE_NAMESPACE();
namespace unitvar::train {  // NOLINT(modernize-concat-nested-namespaces)
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Highway's Exp and Tanh turn NaN into a number, which would hide that a training has diverged.
template <class D, class V, class Function>
V keep_nan(D d, V x, Function function) {
  return hn::IfThenElse(hn::IsNaN(x), x, function(d, x));
}

template <class Function>
void transform(const float* x, float* y, std::size_t count, Function function) {
  const hn::ScalableTag<float> d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(keep_nan(d, hn::LoadU(d, x + i), function), d, y + i);
  const hn::CappedTag<float, 1> one;
  for (; i < count; ++i) hn::StoreU(keep_nan(one, hn::LoadU(one, x + i), function), one, y + i);
}

void sigmoid(const float* x, float* y, std::size_t count) {
  transform(x, y, count, [](auto d, auto value) HWY_ATTR {
    // Exp is specified up to 104; exp(88) already leaves nothing of 1 / (1 + exp).
    const auto power = hn::Exp(d, hn::Min(hn::Neg(value), hn::Set(d, 88.0F)));
    const auto unit = hn::Set(d, 1.0F);
    return hn::Div(unit, hn::Add(unit, power));
  });
}

void tanh(const float* x, float* y, std::size_t count) {
  transform(x, y, count, [](auto d, auto value) HWY_ATTR { return hn::Tanh(d, value); });
}

}  // namespace HWY_NAMESPACE
}  // namespace unitvar::train
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace unitvar::train {

HWY_EXPORT(sigmoid);
HWY_EXPORT(tanh);

void sigmoid_simd(std::span<const float> x, std::span<float> y) {
  HWY_DYNAMIC_DISPATCH(sigmoid)(x.data(), y.data(), x.size());
}

void tanh_simd(std::span<const float> x, std::span<float> y) {
  HWY_DYNAMIC_DISPATCH(tanh)(x.data(), y.data(), x.size());
}

}  // namespace unitvar::train
#endif
