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

template <class T, class Args>
void check_arguments(const char* operation, const Args& a, const Options& options) {
  Arguments check(operation);
  ops::check_double_backward_spans(check, a, ops::checked_lengths<T>(check, a.extent));
  cpu::check_options(check, options);
}

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
template <class T, class Args>
class Rows {
 public:
  static constexpr int kArrays = 4;

  Rows(const Args& a, double* memory) noexcept
      : a_(a),
        gamma_(core::data_or_null(a.gamma)),
        p_(core::data_or_null(a.grad_dgamma)),
        q_(core::data_or_null(a.grad_dbeta)),
        n_(a.extent.length),
        x_hat_(memory),
        dy_(memory + n_),
        v_(memory + 2 * n_),
        w_(memory + 3 * n_) {}

  /// (B82), (B85). Adds to the columns of grad_gamma.
  void take(int64_t row, double* grad_gamma) noexcept {
    load(row);
    const double rstd = a_.rstd[static_cast<std::size_t>(row)];
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
  [[nodiscard]] double gamma(int64_t i) const noexcept { return math::gamma_at(gamma_, i); }
  [[nodiscard]] double p(int64_t i) const noexcept { return math::beta_at(p_, i); }
  [[nodiscard]] double q(int64_t i) const noexcept { return math::beta_at(q_, i); }
  [[nodiscard]] double g(int64_t i) const noexcept { return gamma(i) * dy_[i]; }

  template <class Term>
  [[nodiscard]] double mean(const Term& term) const noexcept {
    return sum_lanes(n_, term) / static_cast<double>(n_);
  }
  /// What is subtracted with the mean's own gradient, so nothing where no mean was.
  template <class Term>
  [[nodiscard]] double level(const Term& term) const noexcept {
    return ops::center_of<Args> == Center::mean ? mean(term) : 0;
  }

  void load(int64_t row) noexcept {
    const T *x = a_.x.data() + row * n_, *dy = a_.dy.data() + row * n_;
    const T* v = a_.grad_dx.empty() ? nullptr : a_.grad_dx.data() + row * n_;
    const auto r = static_cast<std::size_t>(row);
    const double rstd = a_.rstd[r];
    double mean = 0;
    if constexpr (requires { a_.mean; }) mean = a_.mean[r];
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

  const Args& a_;
  const param_t<T>*gamma_, *p_, *q_;
  int64_t n_;
  double *x_hat_, *dy_, *v_, *w_;
};

template <class T, class Args>
void double_backward(const char* operation, const Args& a, const Options& options) {
  check_arguments<T>(operation, a, options);
  using RowsOf = Rows<T, Args>;
  const cpu::RowRunner<T> runner(a.extent, options, 3, ops::center_of<Args>, {}, {});
  const int threads = runner.schedule().threads;
  const cpu::ColumnSums<double> sums(runner.schedule().tiling, threads);
  const cpu::ChannelArrays arrays(RowsOf::kArrays * threads, a.extent.length);
  runner.for_all_tiles([&](int64_t tile, int thread, int64_t begin, int64_t end) {
    RowsOf rows(a, arrays[RowsOf::kArrays * thread]);
    double* const grad_gamma = sums.start(tile, thread).wide_first;
    for (int64_t row = begin; row < end; ++row) rows.take(row, grad_gamma);
  });
  sums.merge(threads);
  cpu::store_if_wanted(sums.of(0).first, a.grad_gamma);
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
