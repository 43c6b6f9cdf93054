#include "module.hpp"

#include <nanobind/stl/string.h>

#include <variant>

#include "unitvar/batch_norm_layer.hpp"

// The BatchNorm layer, of any storage type.
namespace unitvar::python {
namespace {

struct Layer {
  std::variant<BatchNorm<float>, BatchNorm<double>, BatchNorm<bf16>, BatchNorm<f16>> any;
  nb::object communicator;  ///< keeps it alive
};

/// A view of what the layer holds, which keeps the layer alive.
template <class P>
nb::object view_of(nb::handle owner, std::span<P> values) {
  return nb::cast(nb::ndarray<nb::numpy, P, nb::ndim<1>>(values.data(), {values.size()}, owner));
}
/// A property whose value is get(layer), a span.
template <class Get>
void define_array(nb::class_<Layer>& c, const char* name, const Get& get) {
  c.def_prop_ro(name, [get](nb::handle self) {
    return std::visit([&](auto& layer) { return view_of(self, get(layer)); }, nb::cast<Layer&>(self).any);
  });
}
/// A property whose value is get(layer).
template <class Get>
void define_value(nb::class_<Layer>& c, const char* name, const Get& get) {
  c.def_prop_ro(name, [get](Layer& self) { return std::visit([&](auto& layer) { return get(layer); }, self.any); });
}
template <class F>
auto on_each(const F& f) {
  return [f](Layer& self, bool on) { std::visit([&](auto& layer) { f(layer, on); }, self.any); };
}

RunningPolicy policy_of(bool cumulative, double momentum, bool weight_of_old, bool biased, bool skip_nonfinite) {
  return {.average = cumulative ? RunningAverage::cumulative : RunningAverage::exponential,
          .momentum = momentum,
          .sense = weight_of_old ? MomentumSense::weight_of_old : MomentumSense::weight_of_new,
          .variance = biased ? VarianceKind::biased : VarianceKind::unbiased,
          .skip_nonfinite = skip_nonfinite};
}

}  // namespace

void define_layer(nb::module_& m) {
  nb::class_<Layer> layer(m, "BatchNormLayer");
  layer.def("__init__", [](Layer* self, int dtype, int64_t channels, double eps, bool affine, bool track,
                           bool cumulative, double momentum, bool weight_of_old, bool biased, bool skip_nonfinite,
                           const CallOptions& options) {
    const BatchNormConfig config{.eps = eps,
                                 .affine = affine,
                                 .track_running_statistics = track,
                                 .running = policy_of(cumulative, momentum, weight_of_old, biased, skip_nonfinite),
                                 .options = options.get()};
    with_dtype(dtype, [&]<class T>() { new (self) Layer{BatchNorm<T>(channels, config), options.communicator}; });
  });
  layer.def("forward", [](Layer& self, int64_t n, int64_t c, int64_t s, const In& x, const Out& y) {
    std::visit(
        [&]<class T>(BatchNorm<T>& own) {
          const auto from = x.of<T>(n * c * s);
          const auto to = y.of<T>(n * c * s);
          without_lock([&] { own.forward(Extent{n, c, s}, from, to); });
        },
        self.any);
  });
  layer.def("infer", [](Layer& self, int64_t n, int64_t c, int64_t s, const In& x, const Out& y) {
    std::visit(
        [&]<class T>(const BatchNorm<T>& own) {
          const auto from = x.of<T>(n * c * s);
          const auto to = y.of<T>(n * c * s);
          without_lock([&] { own.infer(Extent{n, c, s}, from, to); });
        },
        std::as_const(self.any));
  });
  layer.def("backward", [](Layer& self, int64_t n, int64_t c, int64_t s, const In& x, const In& dy, const Out& dx) {
    std::visit(
        [&]<class T>(BatchNorm<T>& own) {
          const auto of_x = x.of<T>(n * c * s), of_dy = dy.of<T>(n * c * s);
          const auto to = dx.of<T>(n * c * s);
          without_lock([&] { own.backward(Extent{n, c, s}, of_x, of_dy, to); });
        },
        self.any);
  });
  layer.def("train", on_each([](auto& own, bool on) { own.train(on); }));
  layer.def("track", on_each([](auto& own, bool on) { own.track(on); }));
  layer.def("freeze", on_each([](auto& own, bool on) { own.freeze(on); }));
  define_value(layer, "training", [](auto& own) { return own.training(); });
  define_value(layer, "tracking", [](auto& own) { return own.tracking(); });
  define_value(layer, "frozen", [](auto& own) { return own.frozen(); });
  define_value(layer, "batches_skipped", [](auto& own) { return own.batches_skipped(); });
  layer.def_prop_rw(
      "batches_tracked",
      [](Layer& self) { return std::visit([](auto& own) { return int64_t{own.batches_tracked()}; }, self.any); },
      [](Layer& self, int64_t n) { std::visit([&](auto& own) { own.batches_tracked() = n; }, self.any); });
  define_array(layer, "gamma", [](auto& own) { return own.gamma(); });
  define_array(layer, "beta", [](auto& own) { return own.beta(); });
  define_array(layer, "dgamma", [](auto& own) { return own.dgamma(); });
  define_array(layer, "dbeta", [](auto& own) { return own.dbeta(); });
  define_array(layer, "running_mean", [](auto& own) { return own.running_mean(); });
  define_array(layer, "running_var", [](auto& own) { return own.running_var(); });
  define_array(layer, "saved_mean", [](auto& own) { return own.saved_mean(); });
  define_array(layer, "saved_var", [](auto& own) { return own.saved_var(); });
  define_array(layer, "saved_rstd", [](auto& own) { return own.saved_rstd(); });
  m.def("update_running_statistics",
        [](const Out& mean, const Out& var, int64_t tracked, double count, const In& batch_mean, const In& batch_var,
           bool cumulative, double momentum, bool weight_of_old, bool biased, bool skip_nonfinite) {
          int64_t skipped = 0;
          const RunningUpdate update =
              update_running_statistics({.mean = mean.of<double>(0),
                                         .var = var.of<double>(0),
                                         .batches_tracked = &tracked,
                                         .batches_skipped = &skipped},
                                        count, batch_mean.of<double>(0), batch_var.of<double>(0),
                                        policy_of(cumulative, momentum, weight_of_old, biased, skip_nonfinite));
          return std::string(update == RunningUpdate::updated ? "updated"
                             : update == RunningUpdate::empty ? "empty"
                                                              : "skipped");
        });
}

}  // namespace unitvar::python
