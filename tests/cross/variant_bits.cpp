#include <algorithm>

#include "bits.hpp"

/// Variants of the layer: an activation and a residual, weights, in place, renormalization, ghost batches, folding.
namespace unitvar::cross {
namespace {

template <class T>
using Params = std::vector<param_t<T>>;

template <class T>
void write_activation(Report& report, const Extent& e, const Kind& kind, const char* name, bool residual,
                      const Activation& activation) {
  const Inputs<T> in(e.size(), e.channels, kind);
  auto y = results<T>(e.size()), inference = y, dx = y, dresidual = y;
  auto mask = results<std::uint8_t>(batch_norm_act_mask_bytes(e, activation));
  auto mean = results<double>(e.channels), var = mean, rstd = mean;
  auto dgamma = results<param_t<T>>(e.channels), dbeta = dgamma;
  const std::vector<T> z = residual ? in.v : std::vector<T>();
  const std::span<T> dz = residual ? std::span<T>(dresidual) : std::span<T>();
  call([&] {
    batch_norm_act_forward<T>({e, in.x, z, in.gamma, in.beta, y, mask, mean, var, rstd, kind.eps, activation},
                              three_threads);
    batch_norm_act_inference<T>({e, in.x, z, mean, var, in.gamma, in.beta, inference, kind.eps, activation},
                                three_threads);
    batch_norm_act_backward<T>(
        {e, in.x, in.dy, mask, z, mean, rstd, in.gamma, in.beta, dx, dz, dgamma, dbeta, activation}, three_threads);
  });
  report.line<T>(name, kind)
      .add("y", y)
      .add("mask", mask)
      .add("inference", inference)
      .add("dx", dx)
      .add("dresidual", dresidual)
      .add("dgamma", dgamma)
      .add("dbeta", dbeta);
}

template <class T>
void write_weighted(Report& report, const Extent& e, const Kind& kind) {
  const Inputs<T> in(e.size(), e.channels, kind);
  Noise noise;
  Params<T> weight = noise.values<param_t<T>>(e.count(), 0.25, 1);
  for (auto& v : weight) v = std::max(v, param_t<T>(0));
  weight[0] = weight[1] = 1;  // two are wanted
  auto y = results<T>(e.size()), dx = y;
  auto mean = results<double>(e.channels), var = mean, rstd = mean;
  auto dgamma = results<param_t<T>>(e.channels), dbeta = dgamma;
  call([&] {
    batch_norm_weighted_forward<T>({e, in.x, weight, in.gamma, in.beta, y, mean, var, rstd, kind.eps}, three_threads);
    batch_norm_weighted_backward<T>({e, in.x, in.dy, weight, mean, rstd, in.gamma, dx, dgamma, dbeta}, three_threads);
  });
  report.line<T>("weighted", kind)
      .add("y", y)
      .add("mean", mean)
      .add("var", var)
      .add("dx", dx)
      .add("dgamma", dgamma)
      .add("dbeta", dbeta);
}

/// gamma is 1 + |u|, so that no channel loses more digits than are allowed.
template <class T>
void write_in_place(Report& report, const Extent& e, const Kind& kind, const char* name, double slope) {
  Inputs<T> in(e.size(), e.channels, kind);
  for (std::size_t c = 0; c < in.gamma.size(); ++c) in.gamma[c] = 1 + std::abs(in.u[c]);
  auto y = in.x;
  auto dx = results<T>(e.size());
  auto mean = results<double>(e.channels), var = mean, rstd = mean;
  auto dgamma = results<param_t<T>>(e.channels), dbeta = dgamma;
  call([&] {
    batch_norm_in_place_forward<T>({e, y, in.gamma, in.beta, mean, var, rstd, kind.eps, slope}, three_threads);
    batch_norm_in_place_backward<T>({e, y, in.dy, rstd, in.gamma, in.beta, dx, dgamma, dbeta, slope}, three_threads);
  });
  report.line<T>(name, kind)
      .add("y", y)
      .add("mean", mean)
      .add("rstd", rstd)
      .add("dx", dx)
      .add("dgamma", dgamma)
      .add("dbeta", dbeta);
}

template <class T>
void write_renorm(Report& report, const Extent& e, const Kind& kind) {
  const Inputs<T> in(e.size(), e.channels, kind);
  const std::vector<double> running_mean(static_cast<std::size_t>(e.channels), kind.mean + kind.scale / 4),
      running_var(running_mean.size(), kind.scale * kind.scale / 2);
  auto y = results<T>(e.size()), dx = y;
  auto mean = results<double>(e.channels), var = mean, rstd = mean, r = mean, d = mean;
  auto dgamma = results<param_t<T>>(e.channels), dbeta = dgamma;
  call([&] {
    batch_norm_renorm_forward<T>({.extent = e,
                                  .x = in.x,
                                  .gamma = in.gamma,
                                  .beta = in.beta,
                                  .running_mean = running_mean,
                                  .running_var = running_var,
                                  .y = y,
                                  .mean = mean,
                                  .var = var,
                                  .rstd = rstd,
                                  .r = r,
                                  .d = d,
                                  .r_max = 3,
                                  .d_max = 5,
                                  .eps = kind.eps},
                                 three_threads);
    batch_norm_renorm_backward<T>({e, in.x, in.dy, mean, rstd, r, d, in.gamma, dx, dgamma, dbeta}, three_threads);
  });
  report.line<T>("renorm", kind)
      .add("y", y)
      .add("r", r)
      .add("d", d)
      .add("dx", dx)
      .add("dgamma", dgamma)
      .add("dbeta", dbeta);
}

template <class T>
void write_ghost(Report& report, const Extent& e, const Kind& kind) {
  const std::int64_t ghost = e.outer / 2 + 1, size = ghost_batches(e, ghost) * e.channels;
  const Inputs<T> in(e.size(), e.channels, kind);
  auto y = results<T>(e.size()), dx = y;
  auto mean = results<double>(size), var = mean, rstd = mean;
  auto dgamma = results<param_t<T>>(e.channels), dbeta = dgamma;
  call([&] {
    batch_norm_ghost_forward<T>({e, ghost, in.x, in.gamma, in.beta, y, mean, var, rstd, kind.eps}, three_threads);
    batch_norm_ghost_backward<T>({e, ghost, in.x, in.dy, mean, rstd, in.gamma, dx, dgamma, dbeta}, three_threads);
  });
  report.line<T>("ghost", kind)
      .add("y", y)
      .add("mean", mean)
      .add("var", var)
      .add("dx", dx)
      .add("dgamma", dgamma)
      .add("dbeta", dbeta);
}

template <class T>
void write_fold(Report& report, const Extent& e, const Kind& kind) {
  const Inputs<T> in(e.size(), e.channels, kind);
  const std::vector<double> mean(in.u.begin(), in.u.end()), var(mean.size(), 1.5);
  auto weight = results<T>(e.size());
  auto bias = results<param_t<T>>(e.channels), scale = bias, shift = bias;
  call([&] {
    batch_norm_fold<T>({.extent = {.groups = 1, .block = e},
                        .weight = in.x,
                        .bias = in.w,
                        .mean = mean,
                        .var = var,
                        .gamma = in.gamma,
                        .beta = in.beta,
                        .folded_weight = weight,
                        .folded_bias = bias,
                        .eps = kind.eps});
    batch_norm_scale_and_shift<param_t<T>>({mean, var, in.gamma, in.beta, scale, shift, kind.eps});
  });
  report.line<T>("fold", kind).add("weight", weight).add("bias", bias).add("scale", scale).add("shift", shift);
}

template <class T>
void write_all(Report& report, const Extent& e, const Kind& kind) {
  write_activation<T>(report, e, kind, "relu", false, Activation::relu());
  write_activation<T>(report, e, kind, "residual+relu", true, Activation::relu());
  write_activation<T>(report, e, kind, "residual+leaky", true, Activation::leaky_relu(0.25));
  write_activation<T>(report, e, kind, "residual", true, Activation::identity());
  write_activation<T>(report, e, kind, "clip", false, Activation::clip());
  write_activation<T>(report, e, kind, "residual+hard-swish", true, Activation::hard_swish());
  write_activation<T>(report, e, kind, "silu", false, Activation::silu());
  write_activation<T>(report, e, kind, "residual+silu", true, Activation::silu());
  write_weighted<T>(report, e, kind);
  if (kind.scale > 0) write_in_place<T>(report, e, kind, "in-place", 1);
  if (kind.scale > 0) write_in_place<T>(report, e, kind, "in-place+leaky", 0.25);
  write_renorm<T>(report, e, kind);
  write_ghost<T>(report, e, kind);
  write_fold<T>(report, e, kind);
}

}  // namespace

void write_variants(Report& report) {
  for (const Extent& extent : extents) {
    for (const Kind& kind : {kinds[0], kinds[1], kinds[3], kinds[5]}) {
#define UNITVAR_WRITE(T) write_all<T>(report, extent, kind);
      UNITVAR_FOR_EACH_DTYPE(UNITVAR_WRITE)
#undef UNITVAR_WRITE
    }
  }
}

}  // namespace unitvar::cross
