#pragma once
#include "core/arguments.hpp"
#include "cpu/passes/pass_runner.hpp"
#include "math/forward.hpp"

namespace unitvar::ops {

/// Normalization by given mean and var, one pass. Args has the tensors of BatchNormInference; they are checked.
template <class T, class Args>
void normalize_by_variance(const Args& args, const Options& options, const kernels::Epilogue<T>* epilogue = nullptr) {
  const std::int64_t C = args.extent.channels;
  cpu::PassRunner<T> runner(args.extent, cpu::in_one_pass(options), 1, epilogue);
  const cpu::ChannelArrays arrays(4, C);
  const auto scale = math::ScaleArrays::of<param_t<T>>(arrays[0], arrays[1]);
  double *beta = arrays[2], *rstd = arrays[3];
  cpu::for_channels(0, C,
                    math::AffineByVariance<param_t<T>>{.var = args.var.data(),
                                                       .gamma = core::data_or_null(args.gamma),
                                                       .beta = core::data_or_null(args.beta),
                                                       .eps = args.eps,
                                                       .rstd = rstd,
                                                       .to_scale = scale,
                                                       .to_beta = beta});
  runner.traversal().apply(
      runner.normalize(args.x.data(), args.y.data(), {args.mean.data(), scale.scale, beta, scale.factor}));
}

}  // namespace unitvar::ops
