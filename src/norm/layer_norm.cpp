#include "unitvar/layer_norm.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/arguments.hpp"
#include "core/text.hpp"
#include "core/vector_loop.hpp"
#include "norm/channel_math.hpp"
#include "norm/row_engine.hpp"

namespace unitvar {
namespace {

using core::Arguments;
using norm::Center;
using norm::RowEngine;
using std::int64_t;

/// Arguments of both forwards; those of RMS normalization have no mean.
template <class T>
struct Forward {
  const char* operation;
  Center center;
  RowExtent extent;
  std::span<const T> x;
  std::span<const param_t<T>> gamma, beta;
  std::span<T> y;
  std::span<double> mean, rstd;
  double eps;
};

/// Arguments of both backwards.
template <class T>
struct Backward {
  const char* operation;
  Center center;
  RowExtent extent;
  std::span<const T> x, dy;
  std::span<const double> mean, rstd;
  std::span<const param_t<T>> gamma;
  std::span<T> dx;
  std::span<param_t<T>> dgamma, dbeta;
};

template <class T>
void check_arguments(const Forward<T>& a, const Options& options) {
  Arguments check(a.operation);
  check_extent(check.operation(), a.extent, sizeof(T));
  const int64_t D = a.extent.length, rows = a.extent.rows;
  check.input("x", a.x, a.extent.size(), "rows*D");
  check.optional_input("gamma", a.gamma, D, "D");
  check.optional_input("beta", a.beta, D, "D");
  check.output("y", a.y, a.extent.size(), "rows*D");
  check.optional_output("mean", a.mean, rows, "rows");
  check.optional_output("rstd", a.rstd, rows, "rows");
  check.no_overlap("y", "x");
  check.finite("eps", a.eps, ErrorCode::bad_epsilon);
  check.options(options);
}

template <class T>
void check_arguments(const Backward<T>& a, const Options& options) {
  Arguments check(a.operation);
  check_extent(check.operation(), a.extent, sizeof(T));
  const int64_t D = a.extent.length, rows = a.extent.rows;
  check.input("x", a.x, a.extent.size(), "rows*D");
  check.input("dy", a.dy, a.extent.size(), "rows*D");
  if (a.center == Center::mean) check.input("mean", a.mean, rows, "rows");
  check.input("rstd", a.rstd, rows, "rows");
  check.optional_input("gamma", a.gamma, D, "D");
  check.optional_output("dx", a.dx, a.extent.size(), "rows*D");
  check.optional_output("dgamma", a.dgamma, D, "D");
  check.optional_output("dbeta", a.dbeta, D, "D");
  check.no_overlap("dx", "dy");
  check.options(options);
}

/// With eps > 0 nothing can be refused; else all rows are looked at before anything is written.
template <class T>
void check_variances(const RowEngine<T>& engine, const Forward<T>& a) {
  if (a.eps > 0) return;
  const norm::ChannelArrays arrays(2, a.extent.rows);
  engine.for_all_batches([&](int64_t row, int64_t rows) {
    engine.batch().statistics(a.x.data() + row * a.extent.length, rows, arrays[0] + row, arrays[1] + row);
  });
  const char* what = a.center == Center::mean ? "var" : "mean(x^2)";
  for (int64_t r = 0; r < a.extent.rows; ++r) {
    const double var = arrays[1][r];
    if (var + a.eps > 0 || std::isnan(var)) continue;
    Arguments(a.operation)
        .fail(ErrorCode::bad_epsilon, std::string(what) + " + eps is " + core::number(var) + " + " +
                                          core::number(a.eps) + " in row " + std::to_string(r) + ", want > 0");
  }
}

template <class T>
void forward(const Forward<T>& a, const Options& options) {
  check_arguments(a, options);
  const RowEngine<T> engine(a.extent, options, 1, a.center, a.gamma, a.beta);
  check_variances(engine, a);
  engine.for_all_batches([&](int64_t row, int64_t rows) {
    double mean[norm::kMostBatchRows], rstd[norm::kMostBatchRows];
    const int64_t o = row * a.extent.length;
    engine.batch().statistics(a.x.data() + o, rows, mean, rstd);
    core::vector_loop(0, rows, [&rstd, eps = a.eps](int64_t r) { rstd[r] = norm::rstd_of(rstd[r], eps); });
    engine.batch().normalize(a.x.data() + o, a.y.data() + o, rows, mean, rstd, engine.schedule().access);
    if (!a.mean.empty()) std::copy_n(mean, rows, a.mean.data() + row);
    if (!a.rstd.empty()) std::copy_n(rstd, rows, a.rstd.data() + row);
  });
}

template <class P>
void write_if_wanted(const double* from, std::span<P> to) {
  core::vector_loop(0, std::ssize(to), [=, to = to.data()](int64_t k) { to[k] = static_cast<P>(from[k]); });
}

/// A batch's parameter sums come before its dx, which may take the place of dy.
template <class T>
void backward(const Backward<T>& a, const Options& options) {
  check_arguments(a, options);
  const bool wants_parameters = !a.dgamma.empty() || !a.dbeta.empty();
  if (a.dx.empty() && !wants_parameters) return;
  const RowEngine<T> engine(a.extent, options, 2, a.center, a.gamma, {});
  const norm::ColumnSums sums(wants_parameters ? engine.schedule().tiling : norm::RowTiling{{0, 1}, 1, 0});
  const norm::ChannelArrays zeros(a.center == Center::mean ? 0 : 1, a.extent.rows);
  if (a.center == Center::zero) std::fill_n(zeros[0], a.extent.rows, 0.0);
  const double* means = a.center == Center::mean ? a.mean.data() : zeros[0];

  const auto start = [&](int64_t tile) {
    if (wants_parameters) sums.clear(tile);
  };
  engine.for_all_tiles(start, [&](int64_t tile, int64_t row, int64_t rows) {
    const int64_t o = row * a.extent.length;
    const T *x = a.x.data() + o, *dy = a.dy.data() + o;
    const double *mean = means + row, *rstd = a.rstd.data() + row;
    const auto [sum_dy, sum_dy_x_hat] = sums.of(tile);
    if (wants_parameters) engine.batch().parameter_sums(x, dy, rows, mean, rstd, sum_dy, sum_dy_x_hat);
    if (a.dx.empty()) return;
    engine.batch().input_gradient(x, dy, a.dx.data() + o, rows, mean, rstd, engine.schedule().access);
  });
  if (!wants_parameters) return;
  sums.merge(engine.schedule().threads);
  write_if_wanted(sums.of(0).second, a.dgamma);
  write_if_wanted(sums.of(0).first, a.dbeta);
}

}  // namespace

template <class T>
void layer_norm_forward(const LayerNormForward<T>& a, const Options& options) {
  forward<T>({"layer_norm_forward", Center::mean, a.extent, a.x, a.gamma, a.beta, a.y, a.mean, a.rstd, a.eps}, options);
}

template <class T>
void layer_norm_backward(const LayerNormBackward<T>& a, const Options& options) {
  backward<T>(
      {"layer_norm_backward", Center::mean, a.extent, a.x, a.dy, a.mean, a.rstd, a.gamma, a.dx, a.dgamma, a.dbeta},
      options);
}

template <class T>
void rms_norm_forward(const RmsNormForward<T>& a, const Options& options) {
  forward<T>({"rms_norm_forward", Center::zero, a.extent, a.x, a.gamma, a.beta, a.y, {}, a.rstd, a.eps}, options);
}

template <class T>
void rms_norm_backward(const RmsNormBackward<T>& a, const Options& options) {
  backward<T>({"rms_norm_backward", Center::zero, a.extent, a.x, a.dy, {}, a.rstd, a.gamma, a.dx, a.dgamma, a.dbeta},
              options);
}

#define UNITVAR_INSTANTIATE(T)                                                       \
  template void layer_norm_forward<T>(const LayerNormForward<T>&, const Options&);   \
  template void layer_norm_backward<T>(const LayerNormBackward<T>&, const Options&); \
  template void rms_norm_forward<T>(const RmsNormForward<T>&, const Options&);       \
  template void rms_norm_backward<T>(const RmsNormBackward<T>&, const Options&);
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar
