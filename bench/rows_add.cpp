#include <cstdint>
#include <cstdio>
#include <utility>
#include <vector>

#include "bench/data.hpp"
#include "bench/line_allocator.hpp"
#include "bench/timing.hpp"
#include "unitvar/unitvar.hpp"

/// Layer and RMS norm behind a residual beside the plain norm, in turns, one thread. The forward moves four tensors
/// where the plain one moves two, the backward with dh four where the plain one moves three. So "share" is the time
/// over what these bytes take at the speed of the plain norm: 1 means that the addition is free. Also beside it: an
/// addition that is a pass of its own, and the plain norm behind it.
namespace unitvar::bench {
namespace {

using std::int64_t;

const Options kOneThread{.cpu = {.threads = 1}};

template <class T>
struct Problem {
  using P = param_t<T>;
  RowExtent extent;
  TensorOf<T> x, residual, dy, dh, y, h, dx;
  TensorOf<P> gamma, beta, dgamma, dbeta;
  std::vector<double> mean, rstd;

  Problem(int64_t rows, int64_t D)
      : extent{.rows = rows, .length = D},
        x(random_tensor<T>(rows * D, 0.5, 1, 1)),
        residual(random_tensor<T>(rows * D, 0, 1, 2)),
        dy(random_tensor<T>(rows * D, 0, 1, 3)),
        dh(random_tensor<T>(rows * D, 0, 1, 4)),
        y(x),
        h(x),
        dx(x),
        gamma(random_tensor<P>(D, 1, 0.1, 5)),
        beta(random_tensor<P>(D, 0, 0.1, 6)),
        dgamma(gamma),
        dbeta(gamma),
        mean(static_cast<std::size_t>(rows)),
        rstd(mean) {}
};

template <class T>
void layer_forward(Problem<T>& p, const TensorOf<T>& x) {
  layer_norm_forward<T>(
      {.extent = p.extent, .x = x, .gamma = p.gamma, .beta = p.beta, .y = p.y, .mean = p.mean, .rstd = p.rstd},
      kOneThread);
}
template <class T>
void layer_add_forward(Problem<T>& p, const TensorOf<T>& residual, TensorOf<T>& h) {
  layer_norm_add_forward<T>({.extent = p.extent,
                             .x = p.x,
                             .residual = residual,
                             .gamma = p.gamma,
                             .beta = p.beta,
                             .y = p.y,
                             .h = h,
                             .mean = p.mean,
                             .rstd = p.rstd},
                            kOneThread);
}
template <class T>
void rms_forward(Problem<T>& p) {
  rms_norm_forward<T>({.extent = p.extent, .x = p.x, .gamma = p.gamma, .y = p.y, .rstd = p.rstd}, kOneThread);
}
template <class T>
void rms_add_forward(Problem<T>& p) {
  rms_norm_add_forward<T>(
      {.extent = p.extent, .x = p.x, .residual = p.residual, .gamma = p.gamma, .y = p.y, .h = p.h, .rstd = p.rstd},
      kOneThread);
}
template <class T>
void layer_backward(Problem<T>& p) {
  layer_norm_backward<T>({.extent = p.extent,
                          .x = p.h,
                          .dy = p.dy,
                          .mean = p.mean,
                          .rstd = p.rstd,
                          .gamma = p.gamma,
                          .dx = p.dx,
                          .dgamma = p.dgamma,
                          .dbeta = p.dbeta},
                         kOneThread);
}
template <class T>
void layer_add_backward(Problem<T>& p) {
  layer_norm_add_backward<T>({.extent = p.extent,
                              .h = p.h,
                              .dy = p.dy,
                              .dh = p.dh,
                              .mean = p.mean,
                              .rstd = p.rstd,
                              .gamma = p.gamma,
                              .dx = p.dx,
                              .dgamma = p.dgamma,
                              .dbeta = p.dbeta},
                             kOneThread);
}

/// What a caller without these functions does first.
template <class T>
void add(Problem<T>& p) {
  for (std::size_t k = 0; k < p.h.size(); ++k) {
    p.h[k] = static_cast<T>(static_cast<param_t<T>>(p.x[k]) + static_cast<param_t<T>>(p.residual[k]));
  }
}

/// The results of the first call are those of an addition and the plain norm.
template <class T>
void validate(Problem<T>& p) {
  add(p);
  layer_forward(p, p.h);
  const auto h = p.h, y = p.y;
  layer_add_forward(p, p.residual, p.h);
  require_close("h", p.h, h, 0);
  require_close("y", p.y, y, 0);
  layer_backward(p);
  const auto plain = p.dx;
  layer_add_backward(p);
  std::vector<double> want(plain.size());
  for (std::size_t k = 0; k < want.size(); ++k) want[k] = static_cast<double>(plain[k]) + static_cast<double>(p.dh[k]);
  require_close("dx", p.dx, want, sizeof(T) == 2 ? 1e-2 : 3e-7);
}

template <class T>
void compare(int64_t rows, int64_t D) {
  Problem<T> p(rows, D);
  validate(p);
  TensorOf<T> in_place = p.residual;
  const std::vector<Work> works = {[&] { layer_forward(p, p.x); },
                                   [&] { layer_add_forward(p, p.residual, p.h); },
                                   [&] { layer_add_forward(p, in_place, in_place); },
                                   [&] { rms_forward(p); },
                                   [&] { rms_add_forward(p); },
                                   [&] { layer_backward(p); },
                                   [&] { layer_add_backward(p); }};
  const std::vector<double> s = median_seconds(works, 1);
  std::printf("%-5s %6lld %6lld  %9.1f %9.1f  %6.2f %9.2f  %6.2f  %8.2f\n", DtypeTraits<T>::name.data(),
              static_cast<long long>(rows), static_cast<long long>(D), 1e6 * s[0], 1e6 * s[1], s[1] / (2 * s[0]),
              s[2] / (2 * s[0]), s[4] / (2 * s[3]), s[6] / (s[5] * 4 / 3));
}

void run() {
  std::puts("                       microseconds      share: layer       rms  backward");
  std::puts("dtype   rows      D      plain      with   apart  in place");
  for (const auto& [rows, D] : {std::pair<int64_t, int64_t>{16384, 768}, {4096, 4096}, {16384, 1000}, {256, 768}}) {
#define UNITVAR_COMPARE(T) compare<T>(rows, D);
    UNITVAR_FOR_EACH_DTYPE(UNITVAR_COMPARE)
#undef UNITVAR_COMPARE
  }
}

}  // namespace
}  // namespace unitvar::bench

int main() { unitvar::bench::run(); }
