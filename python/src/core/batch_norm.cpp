#include "module.hpp"

#include <vector>

namespace unitvar::python {
namespace {

/// Running statistics of type T by one batch, by the unbiased variance: widened, moved, and rounded once.
template <class T>
void move_running_statistics(std::span<T> mean, std::span<T> var, double count, std::span<const double> batch_mean,
                             std::span<const double> batch_var, double momentum) {
  const std::size_t c = mean.size();
  std::vector<double> wide(2 * c);
  const std::span<double> wide_mean(wide.data(), c), wide_var(wide.data() + c, c);
  for (std::size_t k = 0; k < c; ++k) {
    wide_mean[k] = static_cast<double>(mean[k]);
    wide_var[k] = static_cast<double>(var[k]);
  }
  update_running_statistics({.mean = wide_mean, .var = wide_var}, count, batch_mean, batch_var, {.momentum = momentum});
  for (std::size_t k = 0; k < c; ++k) {
    mean[k] = static_cast<T>(wide_mean[k]);
    var[k] = static_cast<T>(wide_var[k]);
  }
}

}  // namespace

void define_batch_norm(nb::module_& m) {
  m.def("move_running_statistics", [](int dtype, int64_t c, const Out& mean, const Out& var, double count,
                                      const In& saved, double momentum) {
    with_dtype(dtype, [&]<class T>() {
      const auto batch = saved.of<double>(2 * c);
      move_running_statistics<T>(mean.of<T>(c), var.of<T>(c), count, batch.first(c), batch.subspan(c, c), momentum);
    });
  });
  // batch_norm_forward whose statistics are one span, mean, var, rstd, and which moves running statistics.
  m.def("batch_norm_training",
        [](int dtype, int64_t n, int64_t c, int64_t s, const In& x, const In& gamma, const In& beta, const Out& y,
           const Out& saved, double eps, const CallOptions& options, int running_dtype, const Out& running_mean,
           const Out& running_var, double momentum) {
          const auto statistics = saved.of<double>(3 * c);
          const auto mean = statistics.first(c), var = statistics.subspan(c, c), rstd = statistics.last(c);
          const double count = with_dtype(dtype, [&]<class T>() {
            using P = param_t<T>;
            const BatchNormForward<T> args{.extent = {n, c, s},
                                           .x = x.of<T>(n * c * s),
                                           .gamma = gamma.of<P>(c),
                                           .beta = beta.of<P>(c),
                                           .y = y.of<T>(n * c * s),
                                           .mean = mean,
                                           .var = var,
                                           .rstd = rstd,
                                           .eps = eps};
            return without_lock(options, [&](const Options& own) { return batch_norm_forward<T>(args, own); });
          });
          with_dtype(running_dtype, [&]<class T>() {
            const auto of_mean = running_mean.of<T>(c), of_var = running_var.of<T>(c);
            if (!of_mean.empty()) move_running_statistics<T>(of_mean, of_var, count, mean, var, momentum);
          });
        });
  m.def("batch_norm_forward",
        [](int dtype, int64_t n, int64_t c, int64_t s, const In& x, const In& gamma, const In& beta, const Out& y,
           const Out& mean, const Out& var, const Out& rstd, double eps, const CallOptions& options) {
          return with_dtype(dtype, [&]<class T>() {
            using P = param_t<T>;
            const BatchNormForward<T> args{.extent = {n, c, s},
                                           .x = x.of<T>(n * c * s),
                                           .gamma = gamma.of<P>(c),
                                           .beta = beta.of<P>(c),
                                           .y = y.of<T>(n * c * s),
                                           .mean = mean.of<double>(c),
                                           .var = var.of<double>(c),
                                           .rstd = rstd.of<double>(c),
                                           .eps = eps};
            return without_lock(options, [&](const Options& own) { return batch_norm_forward<T>(args, own); });
          });
        });
  m.def("batch_norm_inference",
        [](int dtype, int64_t n, int64_t c, int64_t s, const In& x, const In& mean, const In& var, const In& gamma,
           const In& beta, const Out& y, double eps, const CallOptions& options) {
          with_dtype(dtype, [&]<class T>() {
            using P = param_t<T>;
            const BatchNormInference<T> args{.extent = {n, c, s},
                                             .x = x.of<T>(n * c * s),
                                             .mean = mean.of<double>(c),
                                             .var = var.of<double>(c),
                                             .gamma = gamma.of<P>(c),
                                             .beta = beta.of<P>(c),
                                             .y = y.of<T>(n * c * s),
                                             .eps = eps};
            without_lock(options, [&](const Options& own) { batch_norm_inference<T>(args, own); });
          });
        });
  m.def("batch_norm_backward",
        [](int dtype, int64_t n, int64_t c, int64_t s, const In& x, const In& dy, const In& mean, const In& rstd,
           const In& gamma, const Out& dx, const Out& dgamma, const Out& dbeta, const CallOptions& options) {
          with_dtype(dtype, [&]<class T>() {
            using P = param_t<T>;
            const BatchNormBackward<T> args{.extent = {n, c, s},
                                            .x = x.of<T>(n * c * s),
                                            .dy = dy.of<T>(n * c * s),
                                            .mean = mean.of<double>(c),
                                            .rstd = rstd.of<double>(c),
                                            .gamma = gamma.of<P>(c),
                                            .dx = dx.of<T>(n * c * s),
                                            .dgamma = dgamma.of<P>(c),
                                            .dbeta = dbeta.of<P>(c)};
            without_lock(options, [&](const Options& own) { batch_norm_backward<T>(args, own); });
          });
        });
  m.def("batch_norm_frozen_backward", [](int dtype, int64_t n, int64_t c, int64_t s, const In& x, const In& dy,
                                         const In& mean, const In& var, const In& gamma, const Out& dx,
                                         const Out& dgamma, const Out& dbeta, double eps, const CallOptions& options) {
    with_dtype(dtype, [&]<class T>() {
      using P = param_t<T>;
      const BatchNormFrozenBackward<T> args{.extent = {n, c, s},
                                            .x = x.of<T>(n * c * s),
                                            .dy = dy.of<T>(n * c * s),
                                            .mean = mean.of<double>(c),
                                            .var = var.of<double>(c),
                                            .gamma = gamma.of<P>(c),
                                            .dx = dx.of<T>(n * c * s),
                                            .dgamma = dgamma.of<P>(c),
                                            .dbeta = dbeta.of<P>(c),
                                            .eps = eps};
      without_lock(options, [&](const Options& own) { batch_norm_frozen_backward<T>(args, own); });
    });
  });
}

}  // namespace unitvar::python
