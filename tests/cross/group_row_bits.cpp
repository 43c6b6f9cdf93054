#include "bits.hpp"

/// Group and instance normalization, and layer and RMS normalization.
namespace unitvar::cross {
namespace {

/// Channels first and last; groups of a few channels, and of one.
const Groups groups[] = {{{3, 6, 49}, 1, 2}, {{2, 4, 4097}, 1, 2}, {{2 * 49, 6, 1}, 49, 2}, {{5, 3, 784}, 1, 3}};

const Groups instances[] = {{{3, 6, 49}}, {{2, 4, 4097}}, {{2 * 49, 6, 1}, 49}};

constexpr RowExtent row_extents[] = {{5, 784}, {37, 100}, {131, 64}, {2, 17}, {3, 16384}};

template <class T>
void write_groups(Report& report, const Groups& g, const Kind& kind) {
  const Inputs<T> in(g.extent.size(), g.extent.channels, kind);
  auto y = results<T>(g.extent.size()), dx = y, grad_x = y, grad_dy = y;
  auto dgamma = results<param_t<T>>(g.extent.channels), dbeta = dgamma, grad_gamma = dgamma;
  auto mean = results<double>(g.size()), rstd = mean;
  call([&] {
    group_norm_forward<T>({g, in.x, in.gamma, in.beta, y, mean, rstd, kind.eps}, three_threads);
    group_norm_backward<T>({g, in.x, in.dy, mean, rstd, in.gamma, dx, dgamma, dbeta}, three_threads);
    group_norm_double_backward<T>({g, in.x, in.dy, mean, rstd, in.gamma, in.v, in.u, in.w, grad_x, grad_dy, grad_gamma},
                                  three_threads);
  });
  report.line<T>("group norm", kind)
      .add("y", y)
      .add("mean", mean)
      .add("rstd", rstd)
      .add("dx", dx)
      .add("dgamma", dgamma)
      .add("dbeta", dbeta)
      .add("grad_x", grad_x)
      .add("grad_dy", grad_dy)
      .add("grad_gamma", grad_gamma);
}

template <class T>
void write_instances(Report& report, const Groups& g, const Kind& kind) {
  const Inputs<T> in(g.extent.size(), g.extent.channels, kind);
  auto y = results<T>(g.extent.size()), dx = y, grad_x = y, grad_dy = y;
  auto dgamma = results<param_t<T>>(g.extent.channels), dbeta = dgamma;
  auto mean = results<double>(g.size()), rstd = mean;
  call([&] {
    instance_norm_forward<T>({g, in.x, in.gamma, in.beta, y, mean, rstd, kind.eps}, three_threads);
    instance_norm_backward<T>({g, in.x, in.dy, mean, rstd, in.gamma, dx, dgamma, dbeta}, three_threads);
    instance_norm_double_backward<T>({g, in.x, in.dy, mean, rstd, in.gamma, in.v, in.u, in.w, grad_x, grad_dy, {}},
                                     three_threads);
  });
  report.line<T>("instance norm", kind)
      .add("y", y)
      .add("mean", mean)
      .add("rstd", rstd)
      .add("dx", dx)
      .add("dgamma", dgamma)
      .add("dbeta", dbeta)
      .add("grad_x", grad_x)
      .add("grad_dy", grad_dy);
}

template <class T>
void write_layer_norm(Report& report, const RowExtent& e, const Kind& kind) {
  const Inputs<T> in(e.size(), e.length, kind);
  auto y = results<T>(e.size()), dx = y, grad_x = y, grad_dy = y;
  auto dgamma = results<param_t<T>>(e.length), dbeta = dgamma, grad_gamma = dgamma;
  auto mean = results<double>(e.rows), rstd = mean;
  call([&] {
    layer_norm_forward<T>({e, in.x, in.gamma, in.beta, y, mean, rstd, kind.eps}, three_threads);
    layer_norm_backward<T>({e, in.x, in.dy, mean, rstd, in.gamma, dx, dgamma, dbeta}, three_threads);
    layer_norm_double_backward<T>({e, in.x, in.dy, mean, rstd, in.gamma, in.v, in.u, in.w, grad_x, grad_dy, grad_gamma},
                                  three_threads);
  });
  report.line<T>("layer norm", kind)
      .add("y", y)
      .add("mean", mean)
      .add("rstd", rstd)
      .add("dx", dx)
      .add("dgamma", dgamma)
      .add("dbeta", dbeta)
      .add("grad_x", grad_x)
      .add("grad_dy", grad_dy)
      .add("grad_gamma", grad_gamma);
}

template <class T>
void write_rms_norm(Report& report, const RowExtent& e, const Kind& kind) {
  const Inputs<T> in(e.size(), e.length, kind);
  auto y = results<T>(e.size()), dx = y, grad_x = y, grad_dy = y;
  auto dgamma = results<param_t<T>>(e.length), dbeta = dgamma, grad_gamma = dgamma;
  auto rstd = results<double>(e.rows);
  call([&] {
    rms_norm_forward<T>({e, in.x, in.gamma, in.beta, y, rstd, kind.eps}, three_threads);
    rms_norm_backward<T>({e, in.x, in.dy, rstd, in.gamma, dx, dgamma, dbeta}, three_threads);
    rms_norm_double_backward<T>({e, in.x, in.dy, rstd, in.gamma, in.v, in.u, in.w, grad_x, grad_dy, grad_gamma},
                                three_threads);
  });
  report.line<T>("rms norm", kind)
      .add("y", y)
      .add("rstd", rstd)
      .add("dx", dx)
      .add("dgamma", dgamma)
      .add("dbeta", dbeta)
      .add("grad_x", grad_x)
      .add("grad_dy", grad_dy)
      .add("grad_gamma", grad_gamma);
}

}  // namespace

void write_group_norm(Report& report) {
  for (const Groups& g : groups) {
    for (const Kind& kind : kinds) {
#define UNITVAR_WRITE(T) write_groups<T>(report, g, kind);
      UNITVAR_FOR_EACH_DTYPE(UNITVAR_WRITE)
#undef UNITVAR_WRITE
    }
  }
}

void write_instance_norm(Report& report) {
  for (const Groups& g : instances) {
    for (const Kind& kind : kinds) {
#define UNITVAR_WRITE(T) write_instances<T>(report, g, kind);
      UNITVAR_FOR_EACH_DTYPE(UNITVAR_WRITE)
#undef UNITVAR_WRITE
    }
  }
}

void write_row_norms(Report& report) {
  for (const RowExtent& extent : row_extents) {
    for (const Kind& kind : kinds) {
#define UNITVAR_WRITE(T)                     \
  write_layer_norm<T>(report, extent, kind); \
  write_rms_norm<T>(report, extent, kind);
      UNITVAR_FOR_EACH_DTYPE(UNITVAR_WRITE)
#undef UNITVAR_WRITE
    }
  }
}

}  // namespace unitvar::cross
