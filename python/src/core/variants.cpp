#include <nanobind/stl/tuple.h>

#include <tuple>

#include "module.hpp"

// Variants of batch normalization: activation, in place, weights, ghost batches, renormalization, folding.
namespace unitvar::python {
namespace {

/// An activation as Python has it: the number of its kind, negative_slope, low, high.
using Numbers = std::tuple<int, double, double, double>;

Activation activation_of(const Numbers& numbers) {
  const auto [kind, negative_slope, low, high] = numbers;
  if (kind < 0 || kind > static_cast<int>(Activation::Kind::silu)) {
    throw nb::value_error(("activation is number " + std::to_string(kind) + ", want 0 to 4").c_str());
  }
  return {static_cast<Activation::Kind>(kind), negative_slope, low, high};
}

template <bool kFrozen>
void define_act_double_backward(nb::module_& m, const char* name) {
  m.def(name,
        [](int dtype, int64_t n, int64_t c, int64_t s, const In& x, const In& dy, const In& residual, const In& mean,
           const In& rstd, const In& gamma, const In& beta, const In& grad_dx, const In& grad_dresidual,
           const In& grad_dgamma, const In& grad_dbeta, const Out& grad_x, const Out& grad_dy, const Out& grad_residual,
           const Out& grad_gamma, const Out& grad_beta, const Numbers& activation, const CallOptions& options) {
          with_dtype(dtype, [&]<class T>() {
            using P = param_t<T>;
            const BatchNormActDoubleBackward<T> args{.extent = {n, c, s},
                                                     .x = x.of<T>(n * c * s),
                                                     .dy = dy.of<T>(n * c * s),
                                                     .residual = residual.of<T>(n * c * s),
                                                     .mean = mean.of<double>(c),
                                                     .rstd = rstd.of<double>(c),
                                                     .gamma = gamma.of<P>(c),
                                                     .beta = beta.of<P>(c),
                                                     .grad_dx = grad_dx.of<T>(n * c * s),
                                                     .grad_dresidual = grad_dresidual.of<T>(n * c * s),
                                                     .grad_dgamma = grad_dgamma.of<P>(c),
                                                     .grad_dbeta = grad_dbeta.of<P>(c),
                                                     .grad_x = grad_x.of<T>(n * c * s),
                                                     .grad_dy = grad_dy.of<T>(n * c * s),
                                                     .grad_residual = grad_residual.of<T>(n * c * s),
                                                     .grad_gamma = grad_gamma.of<P>(c),
                                                     .grad_beta = grad_beta.of<P>(c),
                                                     .activation = activation_of(activation)};
            without_lock(options, [&](const Options& own) {
              if constexpr (kFrozen) {
                batch_norm_act_frozen_double_backward<T>(args, own);
              } else {
                batch_norm_act_double_backward<T>(args, own);
              }
            });
          });
        });
}

void define_activation(nb::module_& m) {
  m.def("batch_norm_act_mask_bytes", [](int64_t n, int64_t c, int64_t s, const Numbers& activation) {
    return batch_norm_act_mask_bytes(Extent{n, c, s}, activation_of(activation));
  });
  m.def("batch_norm_act_forward",
        [](int dtype, int64_t n, int64_t c, int64_t s, const In& x, const In& residual, const In& gamma, const In& beta,
           const Out& y, const Out& mask, const Out& mean, const Out& var, const Out& rstd, double eps,
           const Numbers& activation, const CallOptions& options) {
          with_dtype(dtype, [&]<class T>() {
            using P = param_t<T>;
            const Extent extent{n, c, s};
            const Activation own_activation = activation_of(activation);
            const BatchNormActForward<T> args{
                .extent = extent,
                .x = x.of<T>(n * c * s),
                .residual = residual.of<T>(n * c * s),
                .gamma = gamma.of<P>(c),
                .beta = beta.of<P>(c),
                .y = y.of<T>(n * c * s),
                .mask = mask.of<std::uint8_t>(batch_norm_act_mask_bytes(extent, own_activation)),
                .mean = mean.of<double>(c),
                .var = var.of<double>(c),
                .rstd = rstd.of<double>(c),
                .eps = eps,
                .activation = own_activation};
            without_lock(options, [&](const Options& own) { batch_norm_act_forward<T>(args, own); });
          });
        });
  m.def("batch_norm_act_inference", [](int dtype, int64_t n, int64_t c, int64_t s, const In& x, const In& residual,
                                       const In& mean, const In& var, const In& gamma, const In& beta, const Out& y,
                                       double eps, const Numbers& activation, const CallOptions& options) {
    with_dtype(dtype, [&]<class T>() {
      using P = param_t<T>;
      const Activation own_activation = activation_of(activation);
      const BatchNormActInference<T> args{.extent = {n, c, s},
                                          .x = x.of<T>(n * c * s),
                                          .residual = residual.of<T>(n * c * s),
                                          .mean = mean.of<double>(c),
                                          .var = var.of<double>(c),
                                          .gamma = gamma.of<P>(c),
                                          .beta = beta.of<P>(c),
                                          .y = y.of<T>(n * c * s),
                                          .eps = eps,
                                          .activation = own_activation};
      without_lock(options, [&](const Options& own) { batch_norm_act_inference<T>(args, own); });
    });
  });
  m.def("batch_norm_act_backward",
        [](int dtype, int64_t n, int64_t c, int64_t s, const In& x, const In& dy, const In& mask, const In& residual,
           const In& mean, const In& rstd, const In& gamma, const In& beta, const Out& dx, const Out& dresidual,
           const Out& dgamma, const Out& dbeta, const Numbers& activation, const CallOptions& options) {
          with_dtype(dtype, [&]<class T>() {
            using P = param_t<T>;
            const Extent extent{n, c, s};
            const Activation own_activation = activation_of(activation);
            const BatchNormActBackward<T> args{
                .extent = extent,
                .x = x.of<T>(n * c * s),
                .dy = dy.of<T>(n * c * s),
                .mask = mask.of<std::uint8_t>(batch_norm_act_mask_bytes(extent, own_activation)),
                .residual = residual.of<T>(n * c * s),
                .mean = mean.of<double>(c),
                .rstd = rstd.of<double>(c),
                .gamma = gamma.of<P>(c),
                .beta = beta.of<P>(c),
                .dx = dx.of<T>(n * c * s),
                .dresidual = dresidual.of<T>(n * c * s),
                .dgamma = dgamma.of<P>(c),
                .dbeta = dbeta.of<P>(c),
                .activation = own_activation};
            without_lock(options, [&](const Options& own) { batch_norm_act_backward<T>(args, own); });
          });
        });
  define_act_double_backward<false>(m, "batch_norm_act_double_backward");
  define_act_double_backward<true>(m, "batch_norm_act_frozen_double_backward");
}

void define_in_place(nb::module_& m) {
  m.def("batch_norm_in_place_forward", [](int dtype, int64_t n, int64_t c, int64_t s, const Out& x, const In& gamma,
                                          const In& beta, const Out& mean, const Out& var, const Out& rstd, double eps,
                                          double negative_slope, double max_lost_digits, const CallOptions& options) {
    with_dtype(dtype, [&]<class T>() {
      using P = param_t<T>;
      const BatchNormInPlaceForward<T> args{.extent = {n, c, s},
                                            .x = x.of<T>(n * c * s),
                                            .gamma = gamma.of<P>(c),
                                            .beta = beta.of<P>(c),
                                            .mean = mean.of<double>(c),
                                            .var = var.of<double>(c),
                                            .rstd = rstd.of<double>(c),
                                            .eps = eps,
                                            .negative_slope = negative_slope,
                                            .max_lost_digits = max_lost_digits};
      without_lock(options, [&](const Options& own) { batch_norm_in_place_forward<T>(args, own); });
    });
  });
  m.def("batch_norm_in_place_backward",
        [](int dtype, int64_t n, int64_t c, int64_t s, const In& y, const In& dy, const In& rstd, const In& gamma,
           const In& beta, const Out& dx, const Out& dgamma, const Out& dbeta, double negative_slope,
           double max_lost_digits, const CallOptions& options) {
          with_dtype(dtype, [&]<class T>() {
            using P = param_t<T>;
            const BatchNormInPlaceBackward<T> args{.extent = {n, c, s},
                                                   .y = y.of<T>(n * c * s),
                                                   .dy = dy.of<T>(n * c * s),
                                                   .rstd = rstd.of<double>(c),
                                                   .gamma = gamma.of<P>(c),
                                                   .beta = beta.of<P>(c),
                                                   .dx = dx.of<T>(n * c * s),
                                                   .dgamma = dgamma.of<P>(c),
                                                   .dbeta = dbeta.of<P>(c),
                                                   .negative_slope = negative_slope,
                                                   .max_lost_digits = max_lost_digits};
            without_lock(options, [&](const Options& own) { batch_norm_in_place_backward<T>(args, own); });
          });
        });
}

void define_weighted(nb::module_& m) {
  m.def("batch_norm_weighted_forward",
        [](int dtype, int64_t n, int64_t c, int64_t s, const In& x, const In& weight, const In& gamma, const In& beta,
           const Out& y, const Out& mean, const Out& var, const Out& rstd, double eps, bool zero_unweighted,
           const CallOptions& options) {
          return with_dtype(dtype, [&]<class T>() {
            using P = param_t<T>;
            const BatchNormWeightedForward<T> args{.extent = {n, c, s},
                                                   .x = x.of<T>(n * c * s),
                                                   .weight = weight.of<P>(n * s),
                                                   .gamma = gamma.of<P>(c),
                                                   .beta = beta.of<P>(c),
                                                   .y = y.of<T>(n * c * s),
                                                   .mean = mean.of<double>(c),
                                                   .var = var.of<double>(c),
                                                   .rstd = rstd.of<double>(c),
                                                   .eps = eps,
                                                   .zero_unweighted = zero_unweighted};
            return without_lock(options, [&](const Options& own) { return batch_norm_weighted_forward<T>(args, own); });
          });
        });
  m.def("batch_norm_weighted_backward",
        [](int dtype, int64_t n, int64_t c, int64_t s, const In& x, const In& dy, const In& mean, const In& rstd,
           const In& gamma, const Out& dx, const Out& dgamma, const Out& dbeta, const In& weight,
           const CallOptions& options) {
          with_dtype(dtype, [&]<class T>() {
            using P = param_t<T>;
            const BatchNormWeightedBackward<T> args{.extent = {n, c, s},
                                                    .x = x.of<T>(n * c * s),
                                                    .dy = dy.of<T>(n * c * s),
                                                    .weight = weight.of<P>(n * s),
                                                    .mean = mean.of<double>(c),
                                                    .rstd = rstd.of<double>(c),
                                                    .gamma = gamma.of<P>(c),
                                                    .dx = dx.of<T>(n * c * s),
                                                    .dgamma = dgamma.of<P>(c),
                                                    .dbeta = dbeta.of<P>(c)};
            without_lock(options, [&](const Options& own) { batch_norm_weighted_backward<T>(args, own); });
          });
        });
}

void define_ghost(nb::module_& m) {
  m.def("batch_norm_ghost_forward",
        [](int dtype, int64_t n, int64_t c, int64_t s, int64_t ghost, const In& x, const In& gamma, const In& beta,
           const Out& y, const Out& mean, const Out& var, const Out& rstd, double eps, const CallOptions& options) {
          with_dtype(dtype, [&]<class T>() {
            using P = param_t<T>;
            const Extent extent{n, c, s};
            const int64_t saved = ghost > 0 ? ghost_batches(extent, ghost) * c : 0;
            const BatchNormGhostForward<T> args{.extent = extent,
                                                .ghost = ghost,
                                                .x = x.of<T>(n * c * s),
                                                .gamma = gamma.of<P>(c),
                                                .beta = beta.of<P>(c),
                                                .y = y.of<T>(n * c * s),
                                                .mean = mean.of<double>(saved),
                                                .var = var.of<double>(saved),
                                                .rstd = rstd.of<double>(saved),
                                                .eps = eps};
            without_lock(options, [&](const Options& own) { batch_norm_ghost_forward<T>(args, own); });
          });
        });
  m.def("batch_norm_ghost_backward", [](int dtype, int64_t n, int64_t c, int64_t s, int64_t ghost, const In& x,
                                        const In& dy, const In& mean, const In& rstd, const In& gamma, const Out& dx,
                                        const Out& dgamma, const Out& dbeta, const CallOptions& options) {
    with_dtype(dtype, [&]<class T>() {
      using P = param_t<T>;
      const Extent extent{n, c, s};
      const int64_t saved = ghost > 0 ? ghost_batches(extent, ghost) * c : 0;
      const BatchNormGhostBackward<T> args{.extent = extent,
                                           .ghost = ghost,
                                           .x = x.of<T>(n * c * s),
                                           .dy = dy.of<T>(n * c * s),
                                           .mean = mean.of<double>(saved),
                                           .rstd = rstd.of<double>(saved),
                                           .gamma = gamma.of<P>(c),
                                           .dx = dx.of<T>(n * c * s),
                                           .dgamma = dgamma.of<P>(c),
                                           .dbeta = dbeta.of<P>(c)};
      without_lock(options, [&](const Options& own) { batch_norm_ghost_backward<T>(args, own); });
    });
  });
}

void define_renorm(nb::module_& m) {
  m.def("batch_norm_renorm_forward", [](int dtype, int64_t n, int64_t c, int64_t s, const In& x, const In& gamma,
                                        const In& beta, const In& running_mean, const In& running_var, const Out& y,
                                        const Out& mean, const Out& var, const Out& rstd, const Out& r, const Out& d,
                                        double r_max, double d_max, double eps, const CallOptions& options) {
    with_dtype(dtype, [&]<class T>() {
      using P = param_t<T>;
      const BatchNormRenormForward<T> args{.extent = {n, c, s},
                                           .x = x.of<T>(n * c * s),
                                           .gamma = gamma.of<P>(c),
                                           .beta = beta.of<P>(c),
                                           .running_mean = running_mean.of<double>(c),
                                           .running_var = running_var.of<double>(c),
                                           .y = y.of<T>(n * c * s),
                                           .mean = mean.of<double>(c),
                                           .var = var.of<double>(c),
                                           .rstd = rstd.of<double>(c),
                                           .r = r.of<double>(c),
                                           .d = d.of<double>(c),
                                           .r_max = r_max,
                                           .d_max = d_max,
                                           .eps = eps};
      without_lock(options, [&](const Options& own) { batch_norm_renorm_forward<T>(args, own); });
    });
  });
  m.def("batch_norm_renorm_backward",
        [](int dtype, int64_t n, int64_t c, int64_t s, const In& x, const In& dy, const In& mean, const In& rstd,
           const In& r, const In& d, const In& gamma, const Out& dx, const Out& dgamma, const Out& dbeta,
           const CallOptions& options) {
          with_dtype(dtype, [&]<class T>() {
            using P = param_t<T>;
            const BatchNormRenormBackward<T> args{.extent = {n, c, s},
                                                  .x = x.of<T>(n * c * s),
                                                  .dy = dy.of<T>(n * c * s),
                                                  .mean = mean.of<double>(c),
                                                  .rstd = rstd.of<double>(c),
                                                  .r = r.of<double>(c),
                                                  .d = d.of<double>(c),
                                                  .gamma = gamma.of<P>(c),
                                                  .dx = dx.of<T>(n * c * s),
                                                  .dgamma = dgamma.of<P>(c),
                                                  .dbeta = dbeta.of<P>(c)};
            without_lock(options, [&](const Options& own) { batch_norm_renorm_backward<T>(args, own); });
          });
        });
}

void define_fold(nb::module_& m) {
  m.def("batch_norm_scale_and_shift", [](int dtype, const In& mean, const In& var, const In& gamma, const In& beta,
                                         const Out& scale, const Out& shift, double eps) {
    const auto run = [&]<class P>() {
      const BatchNormScaleAndShift<P> args{.mean = mean.of<double>(0),
                                           .var = var.of<double>(0),
                                           .gamma = gamma.of<P>(0),
                                           .beta = beta.of<P>(0),
                                           .scale = scale.of<P>(0),
                                           .shift = shift.of<P>(0),
                                           .eps = eps};
      without_lock([&] { batch_norm_scale_and_shift<P>(args); });
    };
    dtype == f64_code ? run.operator()<double>() : run.operator()<float>();
  });
  m.def("batch_norm_fold", [](int dtype, int64_t groups, int64_t n, int64_t c, int64_t s, const In& weight,
                              const In& bias, const In& mean, const In& var, const In& gamma, const In& beta,
                              const Out& folded_weight, const Out& folded_bias, double eps) {
    with_dtype(dtype, [&]<class T>() {
      using P = param_t<T>;
      const WeightExtent extent{groups, {n, c, s}};
      const BatchNormFold<T> args{.extent = extent,
                                  .weight = weight.of<T>(extent.size()),
                                  .bias = bias.of<P>(extent.channels()),
                                  .mean = mean.of<double>(extent.channels()),
                                  .var = var.of<double>(extent.channels()),
                                  .gamma = gamma.of<P>(extent.channels()),
                                  .beta = beta.of<P>(extent.channels()),
                                  .folded_weight = folded_weight.of<T>(extent.size()),
                                  .folded_bias = folded_bias.of<P>(extent.channels()),
                                  .eps = eps};
      without_lock([&] { batch_norm_fold<T>(args); });
    });
  });
}

}  // namespace

void define_variants(nb::module_& m) {
  define_activation(m);
  define_in_place(m);
  define_weighted(m);
  define_ghost(m);
  define_renorm(m);
  define_fold(m);
}

}  // namespace unitvar::python
