#include "module.hpp"

// Layer and RMS normalization behind a residual.
namespace unitvar::python {

void define_row_add(nb::module_& m) {
  m.def("layer_norm_add_forward", [](int dtype, int64_t rows, int64_t length, const In& x, const In& residual,
                                     const In& gamma, const In& beta, const Out& y, const Out& h, const Out& mean,
                                     const Out& rstd, double eps, bool one_plus_gamma, const CallOptions& options) {
    with_dtype(dtype, [&]<class T>() {
      using P = param_t<T>;
      const LayerNormAddForward<T> args{.extent = {rows, length},
                                        .x = x.of<T>(rows * length),
                                        .residual = residual.of<T>(rows * length),
                                        .gamma = gamma.of<P>(length),
                                        .beta = beta.of<P>(length),
                                        .y = y.of<T>(rows * length),
                                        .h = h.of<T>(rows * length),
                                        .mean = mean.of<double>(rows),
                                        .rstd = rstd.of<double>(rows),
                                        .eps = eps,
                                        .one_plus_gamma = one_plus_gamma};
      without_lock(options, [&](const Options& own) { layer_norm_add_forward<T>(args, own); });
    });
  });
  m.def("layer_norm_add_backward", [](int dtype, int64_t rows, int64_t length, const In& h, const In& dy,
                                      const In& mean, const In& rstd, const In& gamma, const Out& dx, const Out& dgamma,
                                      const Out& dbeta, const In& dh, bool one_plus_gamma, const CallOptions& options) {
    with_dtype(dtype, [&]<class T>() {
      using P = param_t<T>;
      const LayerNormAddBackward<T> args{.extent = {rows, length},
                                         .h = h.of<T>(rows * length),
                                         .dy = dy.of<T>(rows * length),
                                         .dh = dh.of<T>(rows * length),
                                         .mean = mean.of<double>(rows),
                                         .rstd = rstd.of<double>(rows),
                                         .gamma = gamma.of<P>(length),
                                         .dx = dx.of<T>(rows * length),
                                         .dgamma = dgamma.of<P>(length),
                                         .dbeta = dbeta.of<P>(length),
                                         .one_plus_gamma = one_plus_gamma};
      without_lock(options, [&](const Options& own) { layer_norm_add_backward<T>(args, own); });
    });
  });
  m.def("rms_norm_add_forward",
        [](int dtype, int64_t rows, int64_t length, const In& x, const In& residual, const In& gamma, const In& beta,
           const Out& y, const Out& h, const Out& rstd, double eps, bool one_plus_gamma, const CallOptions& options) {
          with_dtype(dtype, [&]<class T>() {
            using P = param_t<T>;
            const RmsNormAddForward<T> args{.extent = {rows, length},
                                            .x = x.of<T>(rows * length),
                                            .residual = residual.of<T>(rows * length),
                                            .gamma = gamma.of<P>(length),
                                            .beta = beta.of<P>(length),
                                            .y = y.of<T>(rows * length),
                                            .h = h.of<T>(rows * length),
                                            .rstd = rstd.of<double>(rows),
                                            .eps = eps,
                                            .one_plus_gamma = one_plus_gamma};
            without_lock(options, [&](const Options& own) { rms_norm_add_forward<T>(args, own); });
          });
        });
  m.def("rms_norm_add_backward", [](int dtype, int64_t rows, int64_t length, const In& h, const In& dy, const In& rstd,
                                    const In& gamma, const Out& dx, const Out& dgamma, const Out& dbeta, const In& dh,
                                    bool one_plus_gamma, const CallOptions& options) {
    with_dtype(dtype, [&]<class T>() {
      using P = param_t<T>;
      const RmsNormAddBackward<T> args{.extent = {rows, length},
                                       .h = h.of<T>(rows * length),
                                       .dy = dy.of<T>(rows * length),
                                       .dh = dh.of<T>(rows * length),
                                       .rstd = rstd.of<double>(rows),
                                       .gamma = gamma.of<P>(length),
                                       .dx = dx.of<T>(rows * length),
                                       .dgamma = dgamma.of<P>(length),
                                       .dbeta = dbeta.of<P>(length),
                                       .one_plus_gamma = one_plus_gamma};
      without_lock(options, [&](const Options& own) { rms_norm_add_backward<T>(args, own); });
    });
  });
}

}  // namespace unitvar::python
