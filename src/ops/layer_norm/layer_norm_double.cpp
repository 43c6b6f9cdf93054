// The double backward of layer and RMS normalization: compositions in double, row by row.
#include <algorithm>

#include "core/standard_arithmetic.hpp"
#include "core/vector_loop.hpp"
#include "cpu/passes/channel_arrays.hpp"
#include "cpu/passes/column_sums.hpp"
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
  bool one_plus_gamma;
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
                          .one_plus_gamma = a.one_plus_gamma,
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

/// One row at a time in double. It knows no T, so that storage types with the same parameters share its loops.
template <class P>
class RowInDouble {
 public:
  static constexpr int kArrays = 5;

  /// Which results are wanted.
  struct Wanted {
    bool grad_x, grad_dy, grad_gamma;
  };

  /// The parameters, and gradients for theirs. What is null is absent.
  struct Parameters {
    const P *gamma, *p, *q;
    bool one_plus_gamma;
  };

  /// `memory` is for kArrays arrays of n doubles.
  RowInDouble(int64_t n, Center center, const Parameters& of, double* memory) noexcept
      : n_(n),
        center_(center),
        gamma_(of.gamma),
        p_(of.p),
        q_(of.q),
        offset_(of.one_plus_gamma && of.gamma != nullptr ? 1 : -0.0),  // -0 changes no bit
        memory_(memory) {}

  [[nodiscard]] double* x_hat() const noexcept { return memory_; }
  [[nodiscard]] double* dy() const noexcept { return memory_ + n_; }
  [[nodiscard]] double* v() const noexcept { return memory_ + 2 * n_; }
  [[nodiscard]] double* grad_x() const noexcept { return memory_ + 3 * n_; }
  [[nodiscard]] double* grad_dy() const noexcept { return memory_ + 4 * n_; }

  /// (B82), (B85), of the x_hat, dy and v that stand in the arrays. Adds to the columns of grad_gamma.
  void take(double rstd, const Wanted& wanted, double* grad_gamma) const noexcept {
    const double *x_hat = this->x_hat(), *dy = this->dy(), *v = this->v();
    double* const w = grad_x();
    const double along_g = mean([=, this](int64_t i) { return g(i) * x_hat[i]; });
    const double along_v = mean([=](int64_t i) { return v[i] * x_hat[i]; });
    const double level_v = level([=](int64_t i) { return v[i]; });
    vector_loop(0, n_, [=](int64_t i) { w[i] = rstd * (v[i] - level_v - x_hat[i] * along_v); });
    if (wanted.grad_gamma) vector_loop(0, n_, [=](int64_t i) { grad_gamma[i] += dy[i] * w[i]; });
    if (wanted.grad_dy) {
      vector_loop(0, n_, [=, *this, out = grad_dy()](int64_t i) {
        out[i] = scale(i) * w[i] + math::beta_at(p_, i) * x_hat[i] + math::beta_at(q_, i);
      });
    }
    if (!wanted.grad_x) return;
    const double of_w = mean([=, this](int64_t i) { return g(i) * w[i]; });
    double* const e = w;
    vector_loop(0, n_, [=, *this](int64_t i) {
      e[i] = math::beta_at(p_, i) * dy[i] - rstd * (g(i) * along_v + v[i] * along_g);
    });
    const double level_e = level([=](int64_t i) { return e[i]; });
    const double along_e = mean([=](int64_t i) { return e[i] * x_hat[i]; });
    vector_loop(0, n_, [=](int64_t i) { e[i] = rstd * (e[i] - level_e - x_hat[i] * (along_e + of_w)); });
  }

 private:
  /// gamma or 1 + gamma.
  [[nodiscard]] double scale(int64_t i) const noexcept { return math::gamma_at(gamma_, i) + offset_; }
  [[nodiscard]] double g(int64_t i) const noexcept { return scale(i) * dy()[i]; }

  template <class Term>
  [[nodiscard]] double mean(const Term& term) const noexcept {
    return sum_lanes(n_, term) / static_cast<double>(n_);
  }
  /// What is subtracted with the mean's own gradient, so nothing where no mean was.
  template <class Term>
  [[nodiscard]] double level(const Term& term) const noexcept {
    return center_ == Center::mean ? mean(term) : 0;
  }

  int64_t n_;
  Center center_;
  const P *gamma_, *p_, *q_;
  double offset_;  ///< of gamma
  double* memory_;
};

/// The rows of one thread, in arrays of double that it brings along.
template <class T>
class Rows {
 public:
  static constexpr int kArrays = RowInDouble<param_t<T>>::kArrays;

  Rows(const DoubleBackward<T>& a, double* memory) noexcept
      : a_(a), n_(a.extent.length), row_(n_, a.center, {a.gamma, a.p, a.q, a.one_plus_gamma}, memory) {}

  void take(int64_t row, double* grad_gamma) const noexcept {
    const int64_t o = row * n_;
    load(o, a_.center == Center::mean ? a_.mean[row] : 0, a_.rstd[row]);
    row_.take(a_.rstd[row], {!a_.grad_x.empty(), !a_.grad_dy.empty(), !a_.grad_gamma.empty()}, grad_gamma);
    if (!a_.grad_dy.empty()) store(row_.grad_dy(), a_.grad_dy.data() + o);
    if (!a_.grad_x.empty()) store(row_.grad_x(), a_.grad_x.data() + o);
  }

 private:
  void load(int64_t o, double mean, double rstd) const noexcept {
    vector_loop(0, n_, [=, x = a_.x + o, dy = a_.dy + o, to_x_hat = row_.x_hat(), to_dy = row_.dy()](int64_t i) {
      to_x_hat[i] = (static_cast<double>(x[i]) - mean) * rstd;
      to_dy[i] = static_cast<double>(dy[i]);
    });
    vector_loop(0, n_, [v = a_.grad_dx == nullptr ? nullptr : a_.grad_dx + o, to_v = row_.v()](int64_t i) {
      to_v[i] = v == nullptr ? 0 : static_cast<double>(v[i]);
    });
  }
  void store(const double* from, T* to) const noexcept { vector_loop(0, n_, math::Convert<T>{from, to}); }

  const DoubleBackward<T>& a_;
  int64_t n_;
  RowInDouble<param_t<T>> row_;
};

template <class T>
void run_double_backward(const DoubleBackward<T>& a, const Options& options) {
  const cpu::RowRunner<T> runner(a.extent, options, {3, true}, a.center, {});
  const int threads = runner.schedule().threads;
  cpu::ColumnSums<double> sums(runner.schedule().tiling, threads);
  const cpu::ChannelArrays arrays(Rows<T>::kArrays * threads, a.extent.length);
  runner.for_all_tiles([&](int64_t tile, int thread, int64_t begin, int64_t end) {
    Rows<T> rows(a, arrays[Rows<T>::kArrays * thread]);
    const kernels::ColumnTotals<double> columns = sums.start(thread);
    for (int64_t row = begin; row < end; ++row) rows.take(row, columns.first);
    sums.finish(tile, thread, columns);
  });
  cpu::store_if_wanted(sums.merge(threads).first, a.grad_gamma);
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
