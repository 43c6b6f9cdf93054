#include "unitvar/fold.hpp"

#include <string>

#include "core/standard_arithmetic.hpp"
#include "cpu/passes/channel_arrays.hpp"
#include "math/channel_math.hpp"
#include "ops/argument_checks.hpp"

namespace unitvar {
namespace {

using core::Arguments;
using std::int64_t;

/// The product of axes, each of which has at least one element.
int64_t product_of(const Arguments& check, std::span<const int64_t> axes) {
  int64_t product = 1;
  for (const int64_t size : axes) {
    if (size < 1)
      check.fail(ErrorCode::bad_extent, "shape has an axis of " + std::to_string(size) + ", want 1 or more");
    if (__builtin_mul_overflow(product, size, &product)) {
      check.fail(ErrorCode::overflow, "shape has more elements than 64 bits count, want fewer");
    }
  }
  return product;
}

void check_rank(const Arguments& check, std::size_t rank) {
  if (rank < 2) check.fail(ErrorCode::bad_extent, "shape has rank " + std::to_string(rank) + ", want 2 or more");
}

void check_weight_extent(const Arguments& check, const WeightExtent& e, int64_t bytes_per_element) {
  check_extent(check.operation(), e.block, bytes_per_element);
  if (e.groups < 1) {
    check.fail(ErrorCode::bad_extent, "extent.groups is " + std::to_string(e.groups) + ", want 1 or more");
  }
  int64_t bytes = 0;
  if (__builtin_mul_overflow(e.groups, e.block.channels, &bytes) ||
      __builtin_mul_overflow(e.groups, e.block.size() * bytes_per_element, &bytes)) {
    check.fail(ErrorCode::overflow, "extent of " + std::to_string(e.groups) + " groups exceeds 64 bits, want fewer");
  }
}

/// Statistics and parameters, which both functions take.
template <class Args>
void check_normalization(Arguments& check, const Args& a, int64_t C) {
  check.input("mean", a.mean, {C, "C"});
  check.input("var", a.var, {C, "C"});
  ops::check_parameters(check, a, {C, "C"});
  check.finite("eps", a.eps, ErrorCode::bad_epsilon);
  ops::check_variances(check, a.var, a.eps);
}

/// gamma * rstd of all channels. A value is multiplied by both arrays, since the product may exceed the largest double.
template <class Args>
void fill_scales(const Args& a, math::ScaleArrays to) noexcept {
  const auto* gamma = core::data_or_null(a.gamma);
  for (int64_t c = 0; c < std::ssize(a.mean); ++c) {
    const double rstd = math::rstd_of(a.var[static_cast<std::size_t>(c)], a.eps), g = math::gamma_at(gamma, c);
    to.set<double>(c, g * rstd, g, rstd);
  }
}

/// What becomes of a value `before` that is added in front of the normalization: B71 with the bias, B72 with 0.
template <class Args>
double shift_of(const Args& a, int64_t c, double before, math::ScaleArrays of) noexcept {
  const double from_mean = before - a.mean[static_cast<std::size_t>(c)];
  return from_mean * of.scale[c] * of.factor[c] + math::beta_at(core::data_or_null(a.beta), c);
}

template <class T>
void scale_weights(const WeightExtent& e, math::ScaleArrays of, const T* weight, T* folded) noexcept {
  const Extent& b = e.block;
  for (int64_t row = 0; row < e.groups * b.outer; ++row) {
    const int64_t first = row / b.outer * b.channels;
    for (int64_t c = 0; c < b.channels; ++c) {
      const int64_t begin = (row * b.channels + c) * b.inner;
      for (int64_t k = begin; k < begin + b.inner; ++k) {
        folded[k] = static_cast<T>(static_cast<double>(weight[k]) * of.scale[first + c] * of.factor[first + c]);
      }
    }
  }
}

}  // namespace

WeightExtent WeightExtent::linear(int64_t outputs, int64_t inputs) {
  product_of(Arguments("WeightExtent::linear"), {{outputs, inputs}});
  return {1, {1, outputs, inputs}};
}

WeightExtent WeightExtent::convolution(std::span<const int64_t> shape) {
  const Arguments check("WeightExtent::convolution");
  check_rank(check, shape.size());
  product_of(check, shape);
  return {1, {1, shape[0], product_of(check, shape.subspan(1))}};
}

WeightExtent WeightExtent::convolution_output_last(std::span<const int64_t> shape) {
  const Arguments check("WeightExtent::convolution_output_last");
  check_rank(check, shape.size());
  product_of(check, shape);
  return {1, {product_of(check, shape.first(shape.size() - 1)), shape.back(), 1}};
}

WeightExtent WeightExtent::transposed_convolution(std::span<const int64_t> shape, int64_t groups) {
  const Arguments check("WeightExtent::transposed_convolution");
  check_rank(check, shape.size());
  product_of(check, shape);
  if (groups < 1 || shape[0] % groups != 0) {
    check.fail(ErrorCode::bad_argument,
               "groups is " + std::to_string(groups) + ", want a divisor of I = " + std::to_string(shape[0]));
  }
  return {groups, {shape[0] / groups, shape[1], product_of(check, shape.subspan(2))}};
}

template <class P, class Out>
void batch_norm_scale_and_shift(const BatchNormScaleAndShift<P, Out>& args) {
  const core::StandardArithmetic arithmetic;
  Arguments check("batch_norm_scale_and_shift");
  const auto C = static_cast<int64_t>(args.mean.size());
  check_normalization(check, args, C);
  check.output("scale", args.scale, {C, "C, the length of mean"});
  check.output("shift", args.shift, {C, "C, the length of mean"});
  check.no_overlap();
  const cpu::ChannelArrays arrays(2, C);
  const math::ScaleArrays scale{arrays[0], arrays[1]};
  fill_scales(args, scale);
  for (int64_t c = 0; c < C; ++c) {
    args.scale[static_cast<std::size_t>(c)] = static_cast<Out>(scale.scale[c] * scale.factor[c]);
    args.shift[static_cast<std::size_t>(c)] = static_cast<Out>(shift_of(args, c, 0, scale));
  }
}

template <class T>
void batch_norm_fold(const BatchNormFold<T>& args) {
  const core::StandardArithmetic arithmetic;
  Arguments check("batch_norm_fold");
  check_weight_extent(check, args.extent, sizeof(T));
  const int64_t C = args.extent.channels();
  check.input("weight", args.weight, {args.extent.size(), "the size of extent"});
  check.optional_input("bias", args.bias, {C, "C"});
  check_normalization(check, args, C);
  check.output("folded_weight", args.folded_weight, {args.extent.size(), "the size of extent"});
  check.output("folded_bias", args.folded_bias, {C, "C"});
  check.no_overlap({{"folded_weight", "weight"}, {"folded_bias", "bias"}});

  const cpu::ChannelArrays arrays(2, C);
  const math::ScaleArrays scale{arrays[0], arrays[1]};
  fill_scales(args, scale);
  for (int64_t c = 0; c < C; ++c) {
    args.folded_bias[static_cast<std::size_t>(c)] =
        static_cast<param_t<T>>(shift_of(args, c, math::beta_at(core::data_or_null(args.bias), c), scale));
  }
  scale_weights(args.extent, scale, args.weight.data(), args.folded_weight.data());
}

template void batch_norm_scale_and_shift<float, float>(const BatchNormScaleAndShift<float, float>&);
template void batch_norm_scale_and_shift<float, double>(const BatchNormScaleAndShift<float, double>&);
template void batch_norm_scale_and_shift<double, double>(const BatchNormScaleAndShift<double, double>&);

#define UNITVAR_INSTANTIATE(T) template void batch_norm_fold<T>(const BatchNormFold<T>&);
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar
