#include "module.hpp"

namespace unitvar::python {

void define_batch_norm(nb::module_& m) {
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
