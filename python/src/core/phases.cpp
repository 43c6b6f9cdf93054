#include "module.hpp"

#include "unitvar/communicator.hpp"

// The four phases and the merge.
namespace unitvar::python {

void define_phases(nb::module_& m) {
  m.def("moments", [](int dtype, int64_t n, int64_t c, int64_t s, const In& x, const Out& mean, const Out& m2,
                      const CallOptions& options) {
    with_dtype(dtype, [&]<class T>() {
      const Moments<T> args{
          .extent = {n, c, s}, .x = x.of<T>(n * c * s), .mean = mean.of<double>(c), .m2 = m2.of<double>(c)};
      without_lock(options, [&](const Options& own) { moments<T>(args, own); });
    });
  });
  m.def("merge_moments",
        [](double count_a, const Out& mean_a, const Out& m2_a, double count_b, const In& mean_b, const In& m2_b) {
          return merge_moments(count_a, mean_a.of<double>(0), m2_a.of<double>(0), count_b, mean_b.of<double>(0),
                               m2_b.of<double>(0));
        });
  m.def("finish_moments", [](double count, const In& m2, double eps, const Out& var, const Out& rstd) {
    finish_moments(count, m2.of<double>(0), eps, var.of<double>(0), rstd.of<double>(0));
  });
  m.def("normalize", [](int dtype, int64_t n, int64_t c, int64_t s, const In& x, const In& mean, const In& rstd,
                        const In& gamma, const In& beta, const Out& y, const CallOptions& options) {
    with_dtype(dtype, [&]<class T>() {
      using P = param_t<T>;
      const Normalize<T> args{.extent = {n, c, s},
                              .x = x.of<T>(n * c * s),
                              .mean = mean.of<double>(c),
                              .rstd = rstd.of<double>(c),
                              .gamma = gamma.of<P>(c),
                              .beta = beta.of<P>(c),
                              .y = y.of<T>(n * c * s)};
      without_lock(options, [&](const Options& own) { normalize<T>(args, own); });
    });
  });
  m.def("gradient_sums", [](int dtype, int64_t n, int64_t c, int64_t s, const In& x, const In& dy, const In& mean,
                            const Out& sum_dy, const Out& sum_dy_xmu, const CallOptions& options) {
    with_dtype(dtype, [&]<class T>() {
      const GradientSums<T> args{.extent = {n, c, s},
                                 .x = x.of<T>(n * c * s),
                                 .dy = dy.of<T>(n * c * s),
                                 .mean = mean.of<double>(c),
                                 .sum_dy = sum_dy.of<double>(c),
                                 .sum_dy_xmu = sum_dy_xmu.of<double>(c)};
      without_lock(options, [&](const Options& own) { gradient_sums<T>(args, own); });
    });
  });
  m.def("input_gradient", [](int dtype, int64_t n, int64_t c, int64_t s, const In& x, const In& dy, const In& mean,
                             const In& rstd, const In& gamma, const In& sum_dy, const In& sum_dy_xmu, double count,
                             const Out& dx, const CallOptions& options) {
    with_dtype(dtype, [&]<class T>() {
      using P = param_t<T>;
      const InputGradient<T> args{.extent = {n, c, s},
                                  .x = x.of<T>(n * c * s),
                                  .dy = dy.of<T>(n * c * s),
                                  .mean = mean.of<double>(c),
                                  .rstd = rstd.of<double>(c),
                                  .gamma = gamma.of<P>(c),
                                  .sum_dy = sum_dy.of<double>(c),
                                  .sum_dy_xmu = sum_dy_xmu.of<double>(c),
                                  .count = count,
                                  .dx = dx.of<T>(n * c * s)};
      without_lock(options, [&](const Options& own) { input_gradient<T>(args, own); });
    });
  });
}

}  // namespace unitvar::python
