#include "module.hpp"

// Layer, RMS, group and instance normalization.
namespace unitvar::python {
namespace {

void define_layer_norm(nb::module_& m) {
  m.def("layer_norm_forward",
        [](int dtype, int64_t rows, int64_t length, const In& x, const In& gamma, const In& beta, const Out& y,
           const Out& mean, const Out& rstd, double eps, bool one_plus_gamma, const CallOptions& options) {
          with_dtype(dtype, [&]<class T>() {
            using P = param_t<T>;
            const LayerNormForward<T> args{.extent = {rows, length},
                                           .x = x.of<T>(rows * length),
                                           .gamma = gamma.of<P>(length),
                                           .beta = beta.of<P>(length),
                                           .y = y.of<T>(rows * length),
                                           .mean = mean.of<double>(rows),
                                           .rstd = rstd.of<double>(rows),
                                           .eps = eps,
                                           .one_plus_gamma = one_plus_gamma};
            without_lock(options, [&](const Options& own) { layer_norm_forward<T>(args, own); });
          });
        });
  m.def("layer_norm_backward", [](int dtype, int64_t rows, int64_t length, const In& x, const In& dy, const In& mean,
                                  const In& rstd, const In& gamma, const Out& dx, const Out& dgamma, const Out& dbeta,
                                  bool one_plus_gamma, const CallOptions& options) {
    with_dtype(dtype, [&]<class T>() {
      using P = param_t<T>;
      const LayerNormBackward<T> args{.extent = {rows, length},
                                      .x = x.of<T>(rows * length),
                                      .dy = dy.of<T>(rows * length),
                                      .mean = mean.of<double>(rows),
                                      .rstd = rstd.of<double>(rows),
                                      .gamma = gamma.of<P>(length),
                                      .dx = dx.of<T>(rows * length),
                                      .dgamma = dgamma.of<P>(length),
                                      .dbeta = dbeta.of<P>(length),
                                      .one_plus_gamma = one_plus_gamma};
      without_lock(options, [&](const Options& own) { layer_norm_backward<T>(args, own); });
    });
  });
  m.def("layer_norm_double_backward",
        [](int dtype, int64_t rows, int64_t length, const In& x, const In& dy, const In& mean, const In& rstd,
           const In& gamma, const In& grad_dx, const In& grad_dgamma, const In& grad_dbeta, const Out& grad_x,
           const Out& grad_dy, const Out& grad_gamma, bool one_plus_gamma, const CallOptions& options) {
          with_dtype(dtype, [&]<class T>() {
            using P = param_t<T>;
            const LayerNormDoubleBackward<T> args{.extent = {rows, length},
                                                  .x = x.of<T>(rows * length),
                                                  .dy = dy.of<T>(rows * length),
                                                  .mean = mean.of<double>(rows),
                                                  .rstd = rstd.of<double>(rows),
                                                  .gamma = gamma.of<P>(length),
                                                  .grad_dx = grad_dx.of<T>(rows * length),
                                                  .grad_dgamma = grad_dgamma.of<P>(length),
                                                  .grad_dbeta = grad_dbeta.of<P>(length),
                                                  .grad_x = grad_x.of<T>(rows * length),
                                                  .grad_dy = grad_dy.of<T>(rows * length),
                                                  .grad_gamma = grad_gamma.of<P>(length),
                                                  .one_plus_gamma = one_plus_gamma};
            without_lock(options, [&](const Options& own) { layer_norm_double_backward<T>(args, own); });
          });
        });
}

void define_rms_norm(nb::module_& m) {
  m.def("rms_norm_forward",
        [](int dtype, int64_t rows, int64_t length, const In& x, const In& gamma, const In& beta, const Out& y,
           const Out& rstd, double eps, bool one_plus_gamma, const CallOptions& options) {
          with_dtype(dtype, [&]<class T>() {
            using P = param_t<T>;
            const RmsNormForward<T> args{.extent = {rows, length},
                                         .x = x.of<T>(rows * length),
                                         .gamma = gamma.of<P>(length),
                                         .beta = beta.of<P>(length),
                                         .y = y.of<T>(rows * length),
                                         .rstd = rstd.of<double>(rows),
                                         .eps = eps,
                                         .one_plus_gamma = one_plus_gamma};
            without_lock(options, [&](const Options& own) { rms_norm_forward<T>(args, own); });
          });
        });
  m.def("rms_norm_backward",
        [](int dtype, int64_t rows, int64_t length, const In& x, const In& dy, const In& rstd, const In& gamma,
           const Out& dx, const Out& dgamma, const Out& dbeta, bool one_plus_gamma, const CallOptions& options) {
          with_dtype(dtype, [&]<class T>() {
            using P = param_t<T>;
            const RmsNormBackward<T> args{.extent = {rows, length},
                                          .x = x.of<T>(rows * length),
                                          .dy = dy.of<T>(rows * length),
                                          .rstd = rstd.of<double>(rows),
                                          .gamma = gamma.of<P>(length),
                                          .dx = dx.of<T>(rows * length),
                                          .dgamma = dgamma.of<P>(length),
                                          .dbeta = dbeta.of<P>(length),
                                          .one_plus_gamma = one_plus_gamma};
            without_lock(options, [&](const Options& own) { rms_norm_backward<T>(args, own); });
          });
        });
  m.def("rms_norm_double_backward",
        [](int dtype, int64_t rows, int64_t length, const In& x, const In& dy, const In& rstd, const In& gamma,
           const In& grad_dx, const In& grad_dgamma, const In& grad_dbeta, const Out& grad_x, const Out& grad_dy,
           const Out& grad_gamma, bool one_plus_gamma, const CallOptions& options) {
          with_dtype(dtype, [&]<class T>() {
            using P = param_t<T>;
            const RmsNormDoubleBackward<T> args{.extent = {rows, length},
                                                .x = x.of<T>(rows * length),
                                                .dy = dy.of<T>(rows * length),
                                                .rstd = rstd.of<double>(rows),
                                                .gamma = gamma.of<P>(length),
                                                .grad_dx = grad_dx.of<T>(rows * length),
                                                .grad_dgamma = grad_dgamma.of<P>(length),
                                                .grad_dbeta = grad_dbeta.of<P>(length),
                                                .grad_x = grad_x.of<T>(rows * length),
                                                .grad_dy = grad_dy.of<T>(rows * length),
                                                .grad_gamma = grad_gamma.of<P>(length),
                                                .one_plus_gamma = one_plus_gamma};
            without_lock(options, [&](const Options& own) { rms_norm_double_backward<T>(args, own); });
          });
        });
}

/// Instance normalization is called by its own name, for its messages.
template <bool kInstance>
void define_group_norm(nb::module_& m, const std::string& name) {
  m.def((name + "_forward").c_str(), [](int dtype, int64_t n, int64_t c, int64_t s, int64_t sample_rows,
                                        int64_t per_sample, const In& x, const In& gamma, const In& beta, const Out& y,
                                        const Out& mean, const Out& rstd, double eps, const CallOptions& options) {
    const Groups groups{{n, c, s}, sample_rows, per_sample};
    check_groups(kInstance ? "instance_norm_forward" : "group_norm_forward", groups, 1);
    with_dtype(dtype, [&]<class T>() {
      using P = param_t<T>;
      const GroupNormForward<T> args{.groups = groups,
                                     .x = x.of<T>(n * c * s),
                                     .gamma = gamma.of<P>(c),
                                     .beta = beta.of<P>(c),
                                     .y = y.of<T>(n * c * s),
                                     .mean = mean.of<double>(groups.size()),
                                     .rstd = rstd.of<double>(groups.size()),
                                     .eps = eps};
      without_lock(options, [&](const Options& own) {
        kInstance ? instance_norm_forward<T>(args, own) : group_norm_forward<T>(args, own);
      });
    });
  });
  m.def((name + "_backward").c_str(),
        [](int dtype, int64_t n, int64_t c, int64_t s, int64_t sample_rows, int64_t per_sample, const In& x,
           const In& dy, const In& mean, const In& rstd, const In& gamma, const Out& dx, const Out& dgamma,
           const Out& dbeta, const CallOptions& options) {
          const Groups groups{{n, c, s}, sample_rows, per_sample};
          check_groups(kInstance ? "instance_norm_backward" : "group_norm_backward", groups, 1);
          with_dtype(dtype, [&]<class T>() {
            using P = param_t<T>;
            const GroupNormBackward<T> args{.groups = groups,
                                            .x = x.of<T>(n * c * s),
                                            .dy = dy.of<T>(n * c * s),
                                            .mean = mean.of<double>(groups.size()),
                                            .rstd = rstd.of<double>(groups.size()),
                                            .gamma = gamma.of<P>(c),
                                            .dx = dx.of<T>(n * c * s),
                                            .dgamma = dgamma.of<P>(c),
                                            .dbeta = dbeta.of<P>(c)};
            without_lock(options, [&](const Options& own) {
              kInstance ? instance_norm_backward<T>(args, own) : group_norm_backward<T>(args, own);
            });
          });
        });
  m.def((name + "_double_backward").c_str(),
        [](int dtype, int64_t n, int64_t c, int64_t s, int64_t sample_rows, int64_t per_sample, const In& x,
           const In& dy, const In& mean, const In& rstd, const In& gamma, const In& grad_dx, const In& grad_dgamma,
           const In& grad_dbeta, const Out& grad_x, const Out& grad_dy, const Out& grad_gamma,
           const CallOptions& options) {
          const Groups groups{{n, c, s}, sample_rows, per_sample};
          check_groups(kInstance ? "instance_norm_double_backward" : "group_norm_double_backward", groups, 1);
          with_dtype(dtype, [&]<class T>() {
            using P = param_t<T>;
            const GroupNormDoubleBackward<T> args{.groups = groups,
                                                  .x = x.of<T>(n * c * s),
                                                  .dy = dy.of<T>(n * c * s),
                                                  .mean = mean.of<double>(groups.size()),
                                                  .rstd = rstd.of<double>(groups.size()),
                                                  .gamma = gamma.of<P>(c),
                                                  .grad_dx = grad_dx.of<T>(n * c * s),
                                                  .grad_dgamma = grad_dgamma.of<P>(c),
                                                  .grad_dbeta = grad_dbeta.of<P>(c),
                                                  .grad_x = grad_x.of<T>(n * c * s),
                                                  .grad_dy = grad_dy.of<T>(n * c * s),
                                                  .grad_gamma = grad_gamma.of<P>(c)};
            without_lock(options, [&](const Options& own) {
              kInstance ? instance_norm_double_backward<T>(args, own) : group_norm_double_backward<T>(args, own);
            });
          });
        });
}

}  // namespace

void define_relatives(nb::module_& m) {
  define_layer_norm(m);
  define_rms_norm(m);
  define_group_norm<false>(m, "group_norm");
  define_group_norm<true>(m, "instance_norm");
}

}  // namespace unitvar::python
