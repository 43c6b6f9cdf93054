// The double backward of layer and RMS normalization: compositions in double, row by row.
#include <algorithm>

#include "core/standard_arithmetic.hpp"
#include "core/vector_loop.hpp"
#include "cpu/passes/channel_arrays.hpp"
#include "cpu/passes/row_runner.hpp"
#include "cpu/runtime/check_options.hpp"
#include "math/channel_math.hpp"
#include "ops/layer_norm/row_arguments.hpp"
#include "unitvar/layer_norm.hpp"

namespace unitvar {
namespace {

using core::Arguments;
using core::vector_loop;
using cpu::Center;
using std::int64_t;

/// Arguments of both; those of RMS normalization have no mean.
template <class T>
struct DoubleBackward {
  Center center;
  RowExtent extent;
  const T *x, *dy;
  const double *mean, *rstd;       ///< mean is null without
  const T* grad_dx;                ///< null: absent
  const param_t<T>*gamma, *p, *q;  ///< null: absent
  std::span<T> grad_x, grad_dy;
  std::span<param_t<T>> grad_gamma;

  template <class Args>
  static DoubleBackward of(const Args& a) noexcept {
    using core::data_or_null;
    DoubleBackward result{.center = ops::center_of<Args>,
                          .extent = a.extent,
                          .x = a.x.data(),
                          .dy = a.dy.data(),
                          .mean = nullptr,
                          .rstd = a.rstd.data(),
                          .grad_dx = data_or_null(a.grad_dx),
                          .gamma = data_or_null(a.gamma),
                          .p = data_or_null(a.grad_dgamma),
                          .q = data_or_null(a.grad_dbeta),
                          .grad_x = a.grad_x,
                          .grad_dy = a.grad_dy,
                          .grad_gamma = a.grad_gamma};
    if constexpr (requires { a.mean; }) result.mean = a.mean.data();
    return result;
  }
};

/// The sum of term(i) over i = 0 .. n - 1 in kLanes lanes, folded in halves: the same bits for every vector width.
template <class Term>
UNITVAR_FOR_NEWER_PROCESSORS_TOO double sum_lanes(int64_t n, const Term& term) noexcept {
  constexpr int kLanes = kernels::kLanes;
  double lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int k = 0; k < kLanes; ++k) lanes[k] += term(i + k);
  }
  for (int k = 0; i < n; ++i, ++k) lanes[k] += term(i);
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int k = 0; k < half; ++k) lanes[k] += lanes[k + half];
  }
  return lanes[0];
}

/// The rows of one thread, in arrays of double that it brings along.
template <class T>
class Rows {
 public:
  static constexpr int kArrays = 4;

  Rows(const DoubleBackward<T>& a, double* memory) noexcept
      : a_(a), n_(a.extent.length), x_hat_(memory), dy_(memory + n_), v_(memory + 2 * n_), w_(memory + 3 * n_) {}

  /// (B82), (B85). Adds to the columns of grad_gamma.
  void take(int64_t row, double* grad_gamma) noexcept {
    load(row);
    const double rstd = a_.rstd[row];
    const double along_g = mean([&](int64_t i) { return g(i) * x_hat_[i]; });
    const double along_v = mean([&](int64_t i) { return v_[i] * x_hat_[i]; });
    const double level_v = level([&](int64_t i) { return v_[i]; });
    vector_loop(0, n_, [&](int64_t i) { w_[i] = rstd * (v_[i] - level_v - x_hat_[i] * along_v); });
    if (!a_.grad_gamma.empty()) vector_loop(0, n_, [&](int64_t i) { grad_gamma[i] += dy_[i] * w_[i]; });
    if (!a_.grad_dy.empty()) {
      write(a_.grad_dy, row, [&](int64_t i) { return gamma(i) * w_[i] + p(i) * x_hat_[i] + q(i); });
    }
    if (a_.grad_x.empty()) return;
    const double of_w = mean([&](int64_t i) { return g(i) * w_[i]; });
    double* const e = w_;
    vector_loop(0, n_, [&](int64_t i) { e[i] = p(i) * dy_[i] - rstd * (g(i) * along_v + v_[i] * along_g); });
    const double level_e = level([&](int64_t i) { return e[i]; });
    const double along_e = mean([&](int64_t i) { return e[i] * x_hat_[i]; });
    write(a_.grad_x, row, [&](int64_t i) { return rstd * (e[i] - level_e - x_hat_[i] * (along_e + of_w)); });
  }

 private:
  [[nodiscard]] double gamma(int64_t i) const noexcept { return math::gamma_at(a_.gamma, i); }
  [[nodiscard]] double p(int64_t i) const noexcept { return math::beta_at(a_.p, i); }
  [[nodiscard]] double q(int64_t i) const noexcept { return math::beta_at(a_.q, i); }
  [[nodiscard]] double g(int64_t i) const noexcept { return gamma(i) * dy_[i]; }

  template <class Term>
  [[nodiscard]] double mean(const Term& term) const noexcept {
    return sum_lanes(n_, term) / static_cast<double>(n_);
  }
  /// What is subtracted with the mean's own gradient, so nothing where no mean was.
  template <class Term>
  [[nodiscard]] double level(const Term& term) const noexcept {
    return a_.center == Center::mean ? mean(term) : 0;
  }

  void load(int64_t row) noexcept {
    const T *x = a_.x + row * n_, *dy = a_.dy + row * n_;
    const T* v = a_.grad_dx == nullptr ? nullptr : a_.grad_dx + row * n_;
    const double mean = a_.center == Center::mean ? a_.mean[row] : 0, rstd = a_.rstd[row];
    vector_loop(0, n_, [&](int64_t i) {
      x_hat_[i] = (static_cast<double>(x[i]) - mean) * rstd;
      dy_[i] = static_cast<double>(dy[i]);
    });
    vector_loop(0, n_, [&](int64_t i) { v_[i] = v == nullptr ? 0 : static_cast<double>(v[i]); });
  }
  template <class Value>
  void write(std::span<T> to, int64_t row, const Value& value) const noexcept {
    T* const out = to.data() + row * n_;
    vector_loop(0, n_, [&](int64_t i) { out[i] = static_cast<T>(value(i)); });
  }

  const DoubleBackward<T>& a_;
  int64_t n_;
  double *x_hat_, *dy_, *v_, *w_;
};

template <class T>
void run_double_backward(const DoubleBackward<T>& a, const Options& options) {
  const cpu::RowRunner<T> runner(a.extent, options, 3, a.center, {}, {});
  const int threads = runner.schedule().threads;
  const cpu::ColumnSums<double> sums(runner.schedule().tiling, threads);
  const cpu::ChannelArrays arrays(Rows<T>::kArrays * threads, a.extent.length);
  runner.for_all_tiles([&](int64_t tile, int thread, int64_t begin, int64_t end) {
    Rows<T> rows(a, arrays[Rows<T>::kArrays * thread]);
    double* const grad_gamma = sums.start(tile, thread).wide_first;
    for (int64_t row = begin; row < end; ++row) rows.take(row, grad_gamma);
  });
  sums.merge(threads);
  cpu::store_if_wanted(sums.of(0).first, a.grad_gamma);
}

template <class T, class Args>
void double_backward(const char* operation, const Args& args, const Options& options) {
  Arguments check(operation);
  ops::check_double_backward_spans(check, args, ops::checked_lengths<T>(check, args.extent));
  cpu::check_options(check, options);
  run_double_backward(DoubleBackward<T>::of(args), options);
}

}  // namespace

template <class T>
void layer_norm_double_backward(const LayerNormDoubleBackward<T>& a, const Options& options) {
  const core::StandardArithmetic arithmetic;
  double_backward<T>("layer_norm_double_backward", a, options);
}

template <class T>
void rms_norm_double_backward(const RmsNormDoubleBackward<T>& a, const Options& options) {
  const core::StandardArithmetic arithmetic;
  double_backward<T>("rms_norm_double_backward", a, options);
}

#define UNITVAR_INSTANTIATE(T)                                                                    \
  template void layer_norm_double_backward<T>(const LayerNormDoubleBackward<T>&, const Options&); \
  template void rms_norm_double_backward<T>(const RmsNormDoubleBackward<T>&, const Options&);
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar
