// Layer and RMS normalization and their gradients, with a residual that is added first and without.
#include "unitvar/layer_norm.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/standard_arithmetic.hpp"
#include "core/text.hpp"
#include "core/workspace.hpp"
#include "cpu/passes/channel_arrays.hpp"
#include "cpu/passes/column_sums.hpp"
#include "cpu/passes/row_runner.hpp"
#include "cpu/runtime/check_options.hpp"
#include "math/channel_math.hpp"
#include "ops/layer_norm/row_arguments.hpp"
#include "unitvar/layer_norm_add.hpp"

namespace unitvar {
namespace {

using core::Arguments;
using cpu::Center;
using cpu::RowRunner;
using std::int64_t;

/// Arguments of all forwards; those of RMS normalization have no mean, and those without a residual no h.
template <class T>
struct Forward {
  const char* operation;
  Center center;
  RowExtent extent;
  const T *x, *residual;  ///< residual is null without
  cpu::RowParameters<param_t<T>> parameters;
  T *y, *h;
  std::span<double> mean, rstd;
  double eps;

  template <class Args>
  static Forward of(const char* operation, const Args& a) noexcept {
    Forward result{.operation = operation,
                   .center = ops::center_of<Args>,
                   .extent = a.extent,
                   .x = a.x.data(),
                   .residual = nullptr,
                   .parameters = {a.gamma, a.beta, a.one_plus_gamma},
                   .y = a.y.data(),
                   .h = nullptr,
                   .mean = {},
                   .rstd = a.rstd,
                   .eps = a.eps};
    if constexpr (requires { a.mean; }) result.mean = a.mean;
    if constexpr (ops::kHasResidual<Args>) result.residual = a.residual.data(), result.h = a.h.data();
    return result;
  }
};

/// Arguments of all backwards.
template <class T>
struct Backward {
  Center center;
  RowExtent extent;
  const T *x, *dy, *dh;       ///< x is what was normalized; dh is null without
  const double *mean, *rstd;  ///< mean is null without
  cpu::RowParameters<param_t<T>> parameters;
  T* dx;  ///< null: not wanted
  std::span<param_t<T>> dgamma, dbeta;

  template <class Args>
  static Backward of(const Args& a) noexcept {
    Backward result{.center = ops::center_of<Args>,
                    .extent = a.extent,
                    .x = nullptr,
                    .dy = a.dy.data(),
                    .dh = nullptr,
                    .mean = nullptr,
                    .rstd = a.rstd.data(),
                    .parameters = {a.gamma, {}, a.one_plus_gamma},
                    .dx = core::data_or_null(a.dx),
                    .dgamma = a.dgamma,
                    .dbeta = a.dbeta};
    if constexpr (requires { a.mean; }) result.mean = a.mean.data();
    if constexpr (requires { a.h; }) {
      result.x = a.h.data(), result.dh = core::data_or_null(a.dh);
    } else {
      result.x = a.x.data();
    }
    return result;
  }
};

template <class T, class Args>
void check_forward(const char* operation, const Args& a, const Options& options) {
  Arguments check(operation);
  ops::check_row_forward(check, a, ops::checked_lengths<T>(check, a.extent));
  check.finite("eps", a.eps, ErrorCode::bad_epsilon);
  cpu::check_options(check, options);
}

template <class T, class Args>
void check_backward(const char* operation, const Args& a, const Options& options) {
  Arguments check(operation);
  ops::check_row_backward(check, a, ops::checked_lengths<T>(check, a.extent));
  cpu::check_options(check, options);
}

/// What threads do with rows: those of x, or of the sum of x and the residual (B86), which a thread keeps beside it for
/// all passes over a batch.
template <class T>
class ForwardRows {
 public:
  ForwardRows(const RowRunner<T>& runner, const Forward<T>& a)
      : runner_(runner),
        a_(a),
        kept_(a.residual == nullptr ? 0 : runner.schedule().batch_rows * runner.length() + kPage),
        sums_(static_cast<std::size_t>(kept_ * runner.schedule().threads) * sizeof(T)) {}

  /// With eps > 0 nothing can be refused; else all rows are looked at before anything is written.
  void check_variances() const {
    if (a_.eps > 0) return;
    const cpu::ChannelArrays vars(1, a_.extent.rows);
    runner_.for_all_ranges([&](int64_t begin, int64_t end, int thread) {
      runner_.for_batches(begin, end, [&](int64_t row, int64_t rows) {
        cpu::BatchMoments m;
        runner_.batch().moments(normalized(row, rows, thread), rows, m);
        std::copy_n(m.var, rows, vars[0] + row);
      });
    });
    const char* what = a_.center == Center::mean ? "var" : "mean(x^2)";
    for (int64_t r = 0; r < a_.extent.rows; ++r) {
      const double var = vars[0][r];
      if (var + a_.eps > 0 || std::isnan(var)) continue;
      Arguments(a_.operation)
          .fail(ErrorCode::bad_epsilon, std::string(what) + " + eps is " + core::number(var) + " + " +
                                            core::number(a_.eps) + " in row " + std::to_string(r) + ", want > 0");
    }
  }

  /// Batch after batch: moments while x comes from memory, then the results, which ask for the next batch.
  void run(int64_t begin, int64_t end, int thread) const {
    kernels::Access access = runner_.schedule().access;
    if (a_.residual != nullptr) access.ahead = 0;  // no batch follows the sum
    runner_.for_batches(begin, end, [&](int64_t row, int64_t rows) {
      const T* x = normalized(row, rows, thread);
      cpu::BatchMoments moments;
      cpu::BatchArray rstd;
      runner_.batch().moments(x, rows, moments);
      cpu::for_channels(0, rows, math::Rstd{.var = moments.var, .eps = a_.eps, .rstd = rstd});
      if (a_.residual != nullptr) runner_.batch().keep(sum(row, thread), rows, access.stores);
      runner_.batch().normalize(x, a_.y + row * a_.extent.length, rows, moments.mean, rstd, access);
      if (!a_.mean.empty()) std::copy_n(moments.mean, rows, a_.mean.data() + row);
      if (!a_.rstd.empty()) std::copy_n(rstd, rows, a_.rstd.data() + row);
    });
  }

 private:
  /// Threads are a page apart, as in ColumnSums.
  static constexpr int64_t kPage = 4096 / sizeof(T);

  [[nodiscard]] kernels::RowSum<T> sum(int64_t row, int thread) const noexcept {
    const int64_t o = row * a_.extent.length;
    return {a_.x + o, a_.residual + o, sums_.template as<T>() + thread * kept_, a_.h + o};
  }
  /// The rows of a batch, which are added first if there is something to add.
  [[nodiscard]] const T* normalized(int64_t row, int64_t rows, int thread) const noexcept {
    if (a_.residual == nullptr) return a_.x + row * a_.extent.length;
    const kernels::RowSum<T> of = sum(row, thread);
    runner_.batch().add(of, rows);
    return of.sum;
  }

  const RowRunner<T>& runner_;
  const Forward<T>& a_;
  int64_t kept_;  ///< elements of a thread
  core::Workspace sums_;
};

template <class T, class Args>
void forward(const char* operation, const Args& args, const Options& options) {
  check_forward<T>(operation, args, options);
  const auto a = Forward<T>::of(operation, args);
  const int tensors_read = ops::kHasResidual<Args> ? 2 : 1;
  const RowRunner<T> runner(a.extent, options, {tensors_read, false}, a.center, a.parameters);
  const ForwardRows<T> rows(runner, a);
  rows.check_variances();
  runner.for_all_ranges([&](int64_t begin, int64_t end, int thread) { rows.run(begin, end, thread); });
}

/// What a thread does with a tile of rows.
template <class T>
struct BackwardTile {
  using Sum = kernels::sum_t<T>;

  const RowRunner<T>& runner;
  const Backward<T>& a;
  const double* means;
  cpu::ColumnSums<Sum>* sums;  ///< null: column sums are not wanted

  /// Batch after batch: the sums of rows and columns, then dx, which asks for the next batch. dx may take the place of
  /// dy or dh.
  void run(int64_t tile, int thread, int64_t begin, int64_t end) const {
    kernels::ColumnTotals<Sum> columns{};
    if (sums != nullptr) columns = sums->start(thread);
    runner.for_batches(begin, end, [&](int64_t row, int64_t rows) {
      const int64_t o = row * a.extent.length;
      const T *x = a.x + o, *dy = a.dy + o;
      const double *mean = means + row, *rstd = a.rstd + row;
      cpu::BatchSums row_sums;
      runner.batch().gradient_sums(x, dy, rows, mean, rstd, a.dx == nullptr ? nullptr : &row_sums,
                                   sums == nullptr ? nullptr : &columns, !a.dbeta.empty());
      if (a.dx != nullptr)
        runner.batch().input_gradient(x, dy, a.dh == nullptr ? nullptr : a.dh + o, a.dx + o, rows, mean, rstd, row_sums,
                                      runner.schedule().access);
    });
    if (sums != nullptr) sums->finish(tile, thread, columns);
  }
};

template <class T>
void run_backward(const Backward<T>& a, const Options& options) {
  const bool wants_columns = !a.dgamma.empty() || !a.dbeta.empty();
  if (a.dx == nullptr && !wants_columns) return;
  const RowRunner<T> runner(a.extent, options, {2, true}, a.center, a.parameters);
  const cpu::ChannelArrays zeros(1, a.center == Center::mean ? 0 : a.extent.rows);
  if (a.center == Center::zero) std::fill_n(zeros[0], a.extent.rows, 0.0);
  const double* means = a.center == Center::mean ? a.mean : zeros[0];
  const auto run = [&](cpu::ColumnSums<kernels::sum_t<T>>* sums) {
    const BackwardTile<T> tiles{runner, a, means, sums};
    runner.for_all_tiles(
        [&](int64_t tile, int thread, int64_t begin, int64_t end) { tiles.run(tile, thread, begin, end); });
  };
  if (!wants_columns) return run(nullptr);
  cpu::ColumnSums<kernels::sum_t<T>> sums(runner.schedule().tiling, runner.schedule().threads);
  run(&sums);
  const math::ChannelPairs all = sums.merge(runner.schedule().threads);
  cpu::store_if_wanted(all.second, a.dgamma);
  cpu::store_if_wanted(all.first, a.dbeta);
}

template <class T, class Args>
void backward(const char* operation, const Args& args, const Options& options) {
  check_backward<T>(operation, args, options);
  run_backward(Backward<T>::of(args), options);
}

}  // namespace

template <class T>
void layer_norm_forward(const LayerNormForward<T>& a, const Options& options) {
  const core::StandardArithmetic arithmetic;
  forward<T>("layer_norm_forward", a, options);
}

template <class T>
void layer_norm_backward(const LayerNormBackward<T>& a, const Options& options) {
  const core::StandardArithmetic arithmetic;
  backward<T>("layer_norm_backward", a, options);
}

template <class T>
void rms_norm_forward(const RmsNormForward<T>& a, const Options& options) {
  const core::StandardArithmetic arithmetic;
  forward<T>("rms_norm_forward", a, options);
}

template <class T>
void rms_norm_backward(const RmsNormBackward<T>& a, const Options& options) {
  const core::StandardArithmetic arithmetic;
  backward<T>("rms_norm_backward", a, options);
}

template <class T>
void layer_norm_add_forward(const LayerNormAddForward<T>& a, const Options& options) {
  const core::StandardArithmetic arithmetic;
  forward<T>("layer_norm_add_forward", a, options);
}

template <class T>
void layer_norm_add_backward(const LayerNormAddBackward<T>& a, const Options& options) {
  const core::StandardArithmetic arithmetic;
  backward<T>("layer_norm_add_backward", a, options);
}

template <class T>
void rms_norm_add_forward(const RmsNormAddForward<T>& a, const Options& options) {
  const core::StandardArithmetic arithmetic;
  forward<T>("rms_norm_add_forward", a, options);
}

template <class T>
void rms_norm_add_backward(const RmsNormAddBackward<T>& a, const Options& options) {
  const core::StandardArithmetic arithmetic;
  backward<T>("rms_norm_add_backward", a, options);
}

#define UNITVAR_INSTANTIATE(T)                                                              \
  template void layer_norm_forward<T>(const LayerNormForward<T>&, const Options&);          \
  template void layer_norm_backward<T>(const LayerNormBackward<T>&, const Options&);        \
  template void rms_norm_forward<T>(const RmsNormForward<T>&, const Options&);              \
  template void rms_norm_backward<T>(const RmsNormBackward<T>&, const Options&);            \
  template void layer_norm_add_forward<T>(const LayerNormAddForward<T>&, const Options&);   \
  template void layer_norm_add_backward<T>(const LayerNormAddBackward<T>&, const Options&); \
  template void rms_norm_add_forward<T>(const RmsNormAddForward<T>&, const Options&);       \
  template void rms_norm_add_backward<T>(const RmsNormAddBackward<T>&, const Options&);
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar
