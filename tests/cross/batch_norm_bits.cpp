#include "bits.hpp"

/// The plain layer, its derivatives, and its phases one by one.
namespace unitvar::cross {
namespace {

template <class T>
struct Statistics {
  explicit Statistics(std::int64_t channels) : mean(results<double>(channels)), var(mean), rstd(mean) {}
  std::vector<double> mean, var, rstd;
};

template <class T>
Statistics<T> forward(const Extent& e, const Inputs<T>& in, double eps, std::vector<T>& y) {
  Statistics<T> s(e.channels);
  call([&] {
    batch_norm_forward<T>({.extent = e,
                           .x = in.x,
                           .gamma = in.gamma,
                           .beta = in.beta,
                           .y = y,
                           .mean = s.mean,
                           .var = s.var,
                           .rstd = s.rstd,
                           .eps = eps},
                          three_threads);
  });
  return s;
}

template <class T>
void write_layer(Report& report, const Extent& e, const Kind& kind) {
  using P = param_t<T>;
  const Inputs<T> in(e.size(), e.channels, kind);
  auto y = results<T>(e.size()), inference = y, dx = y, frozen = y;
  auto dgamma = results<P>(e.channels), dbeta = dgamma, frozen_dgamma = dgamma;
  const Statistics<T> s = forward(e, in, kind.eps, y);
  call([&] {
    batch_norm_inference<T>({.extent = e,
                             .x = in.x,
                             .mean = s.mean,
                             .var = s.var,
                             .gamma = in.gamma,
                             .beta = in.beta,
                             .y = inference,
                             .eps = kind.eps},
                            three_threads);
    batch_norm_backward<T>({.extent = e,
                            .x = in.x,
                            .dy = in.dy,
                            .mean = s.mean,
                            .rstd = s.rstd,
                            .gamma = in.gamma,
                            .dx = dx,
                            .dgamma = dgamma,
                            .dbeta = dbeta},
                           three_threads);
    batch_norm_frozen_backward<T>({.extent = e,
                                   .x = in.x,
                                   .dy = in.dy,
                                   .mean = s.mean,
                                   .var = s.var,
                                   .gamma = in.gamma,
                                   .dx = frozen,
                                   .dgamma = frozen_dgamma,
                                   .eps = kind.eps},
                                  three_threads);
  });
  report.line<T>("batch norm", kind)
      .add("y", y)
      .add("mean", s.mean)
      .add("var", s.var)
      .add("rstd", s.rstd)
      .add("inference", inference)
      .add("dx", dx)
      .add("dgamma", dgamma)
      .add("dbeta", dbeta)
      .add("frozen-dx", frozen)
      .add("frozen-dgamma", frozen_dgamma);
}

template <class T>
void write_derivatives_of(Report& report, const Extent& e, const Kind& kind) {
  using P = param_t<T>;
  const Inputs<T> in(e.size(), e.channels, kind);
  auto y = results<T>(e.size()), grad_x = y, grad_dy = y, frozen_x = y, frozen_dy = y, y_dot = y, frozen_y_dot = y,
       dx = y;
  auto grad_gamma = results<P>(e.channels), frozen_gamma = grad_gamma, dgamma = grad_gamma, dbeta = grad_gamma;
  const Statistics<T> s = forward(e, in, kind.eps, y);
  Statistics<T> dots(e.channels);
  const auto twice = [&](std::vector<T>& x, std::vector<T>& dy, std::vector<P>& gamma) {
    return BatchNormDoubleBackward<T>{e, in.x, in.dy, s.mean, s.rstd, in.gamma, in.v, in.u, in.w, x, dy, gamma};
  };
  call([&] {
    batch_norm_double_backward(twice(grad_x, grad_dy, grad_gamma), three_threads);
    batch_norm_frozen_double_backward(twice(frozen_x, frozen_dy, frozen_gamma), three_threads);
    batch_norm_jvp<T>({e, in.x, s.mean, s.rstd, in.gamma, in.v, in.u, in.w, y_dot, dots.mean, dots.var}, three_threads);
    batch_norm_frozen_jvp<T>({e, in.x, s.mean, s.rstd, in.gamma, in.v, in.u, in.w, frozen_y_dot, {}, {}},
                             three_threads);
    batch_norm_statistics_backward<T>({e, in.x, in.dy, s.mean, s.rstd, in.gamma, s.mean, s.rstd, dx, dgamma, dbeta},
                                      three_threads);
  });
  report.line<T>("derivatives", kind)
      .add("grad_x", grad_x)
      .add("grad_dy", grad_dy)
      .add("grad_gamma", grad_gamma)
      .add("frozen-grad_x", frozen_x)
      .add("frozen-grad_dy", frozen_dy)
      .add("frozen-grad_gamma", frozen_gamma)
      .add("y_dot", y_dot)
      .add("mean_dot", dots.mean)
      .add("var_dot", dots.var)
      .add("frozen-y_dot", frozen_y_dot)
      .add("statistics-dx", dx)
      .add("statistics-dgamma", dgamma)
      .add("statistics-dbeta", dbeta);
}

template <class T>
void write_phases_of(Report& report, const Extent& e, const Kind& kind) {
  const Inputs<T> in(e.size(), e.channels, kind);
  auto mean = results<double>(e.channels), m2 = mean, var = mean, rstd = mean, sum_dy = mean, sum_dy_xmu = mean,
       tiled_mean = mean, tiled_m2 = mean, tiled_dy = mean, tiled_dy_xmu = mean;
  auto y = results<T>(e.size()), dx = y;
  const auto count = static_cast<double>(e.count());
  call([&] {
    moments<T>({e, in.x, mean, m2}, three_threads);
    finish_moments(count, m2, kind.eps, var, rstd);
    normalize<T>({e, in.x, mean, rstd, in.gamma, in.beta, y}, three_threads);
    gradient_sums<T>({e, in.x, in.dy, mean, sum_dy, sum_dy_xmu}, three_threads);
    input_gradient<T>({e, in.x, in.dy, mean, rstd, in.gamma, sum_dy, sum_dy_xmu, count, dx}, three_threads);
  });
  call([&] {
    MomentsAccumulator<T> moments_by_tiles(e);
    GradientSumsAccumulator<T> gradients_by_tiles(e, mean);
    for (std::int64_t t = 0; t < moments_by_tiles.tiles(); ++t) {
      moments_by_tiles.add(t, 0, e.channels, in.x);
      gradients_by_tiles.add(t, 0, e.channels, in.x, in.dy);
    }
    moments_by_tiles.finish(tiled_mean, tiled_m2);
    gradients_by_tiles.finish(tiled_dy, tiled_dy_xmu);
  });
  report.line<T>("phases", kind)
      .add("mean", mean)
      .add("m2", m2)
      .add("y", y)
      .add("sum_dy", sum_dy)
      .add("sum_dy_xmu", sum_dy_xmu)
      .add("dx", dx)
      .add("tiled-mean", tiled_mean)
      .add("tiled-m2", tiled_m2)
      .add("tiled-sum_dy", tiled_dy)
      .add("tiled-sum_dy_xmu", tiled_dy_xmu);
}

}  // namespace

void write_batch_norm(Report& report) {
  for (const Extent& extent : extents) {
    for (const Kind& kind : kinds) {
#define UNITVAR_WRITE(T) write_layer<T>(report, extent, kind);
      UNITVAR_FOR_EACH_DTYPE(UNITVAR_WRITE)
#undef UNITVAR_WRITE
    }
  }
}

void write_derivatives(Report& report) {
  for (const Extent& extent : extents) {
#define UNITVAR_WRITE(T) \
  for (const Kind& kind : kinds) write_derivatives_of<T>(report, extent, kind);
    UNITVAR_FOR_EACH_DTYPE(UNITVAR_WRITE)
#undef UNITVAR_WRITE
  }
}

void write_phases(Report& report) {
  for (const Extent& extent : extents) {
#define UNITVAR_WRITE(T) \
  for (const Kind& kind : kinds) write_phases_of<T>(report, extent, kind);
    UNITVAR_FOR_EACH_DTYPE(UNITVAR_WRITE)
#undef UNITVAR_WRITE
  }
}

}  // namespace unitvar::cross
