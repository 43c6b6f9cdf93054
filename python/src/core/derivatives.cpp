#include "module.hpp"

// Second derivatives, forward mode, and the gradient through returned statistics.
namespace unitvar::python {
namespace {

template <bool kFrozen>
void define_double_backward(nb::module_& m, const char* name) {
  m.def(name, [](int dtype, int64_t n, int64_t c, int64_t s, const In& x, const In& dy, const In& mean, const In& rstd,
                 const In& gamma, const In& grad_dx, const In& grad_dgamma, const In& grad_dbeta, const Out& grad_x,
                 const Out& grad_dy, const Out& grad_gamma, const CallOptions& options) {
    with_dtype(dtype, [&]<class T>() {
      using P = param_t<T>;
      const BatchNormDoubleBackward<T> args{.extent = {n, c, s},
                                            .x = x.of<T>(n * c * s),
                                            .dy = dy.of<T>(n * c * s),
                                            .mean = mean.of<double>(c),
                                            .rstd = rstd.of<double>(c),
                                            .gamma = gamma.of<P>(c),
                                            .grad_dx = grad_dx.of<T>(n * c * s),
                                            .grad_dgamma = grad_dgamma.of<P>(c),
                                            .grad_dbeta = grad_dbeta.of<P>(c),
                                            .grad_x = grad_x.of<T>(n * c * s),
                                            .grad_dy = grad_dy.of<T>(n * c * s),
                                            .grad_gamma = grad_gamma.of<P>(c)};
      without_lock(options, [&](const Options& own) {
        if constexpr (kFrozen) {
          batch_norm_frozen_double_backward<T>(args, own);
        } else {
          batch_norm_double_backward<T>(args, own);
        }
      });
    });
  });
}

template <bool kFrozen>
void define_jvp(nb::module_& m, const char* name) {
  m.def(name, [](int dtype, int64_t n, int64_t c, int64_t s, const In& x, const In& mean, const In& rstd,
                 const In& gamma, const In& x_dot, const In& gamma_dot, const In& beta_dot, const Out& y_dot,
                 const Out& mean_dot, const Out& var_dot, const CallOptions& options) {
    with_dtype(dtype, [&]<class T>() {
      using P = param_t<T>;
      const BatchNormJvp<T> args{.extent = {n, c, s},
                                 .x = x.of<T>(n * c * s),
                                 .mean = mean.of<double>(c),
                                 .rstd = rstd.of<double>(c),
                                 .gamma = gamma.of<P>(c),
                                 .x_dot = x_dot.of<T>(n * c * s),
                                 .gamma_dot = gamma_dot.of<P>(c),
                                 .beta_dot = beta_dot.of<P>(c),
                                 .y_dot = y_dot.of<T>(n * c * s),
                                 .mean_dot = mean_dot.of<double>(c),
                                 .var_dot = var_dot.of<double>(c)};
      without_lock(options, [&](const Options& own) {
        if constexpr (kFrozen) {
          batch_norm_frozen_jvp<T>(args, own);
        } else {
          batch_norm_jvp<T>(args, own);
        }
      });
    });
  });
}

}  // namespace

void define_derivatives(nb::module_& m) {
  m.def("batch_norm_statistics_backward",
        [](int dtype, int64_t n, int64_t c, int64_t s, const In& x, const In& dy, const In& mean, const In& rstd,
           const In& dmean, const In& dvar, const In& gamma, const Out& dx, const Out& dgamma, const Out& dbeta,
           const CallOptions& options) {
          with_dtype(dtype, [&]<class T>() {
            using P = param_t<T>;
            const BatchNormStatisticsBackward<T> args{.extent = {n, c, s},
                                                      .x = x.of<T>(n * c * s),
                                                      .dy = dy.of<T>(n * c * s),
                                                      .mean = mean.of<double>(c),
                                                      .rstd = rstd.of<double>(c),
                                                      .gamma = gamma.of<P>(c),
                                                      .dmean = dmean.of<double>(c),
                                                      .dvar = dvar.of<double>(c),
                                                      .dx = dx.of<T>(n * c * s),
                                                      .dgamma = dgamma.of<P>(c),
                                                      .dbeta = dbeta.of<P>(c)};
            without_lock(options, [&](const Options& own) { batch_norm_statistics_backward<T>(args, own); });
          });
        });
  define_double_backward<false>(m, "batch_norm_double_backward");
  define_double_backward<true>(m, "batch_norm_frozen_double_backward");
  define_jvp<false>(m, "batch_norm_jvp");
  define_jvp<true>(m, "batch_norm_frozen_jvp");
}

}  // namespace unitvar::python
