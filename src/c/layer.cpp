#include "unitvar/c/layer.h"

#include <span>
#include <string>
#include <variant>

#include "c/memory.hpp"
#include "core/arguments.hpp"

using namespace unitvar;
using std::int32_t;
using std::int64_t;
using unitvar::c::guarded;
using unitvar::c::need;

struct unitvar_layer {
  std::variant<BatchNorm<float>, BatchNorm<double>, BatchNorm<bf16>, BatchNorm<f16>> any;
};

namespace {

/// Calls act with the layer of its type.
template <class Layer, class Act>
unitvar_status with_layer(const char* operation, Layer* layer, const Act& act) noexcept {
  return guarded(operation, [&] {
    need(operation, "the layer", layer);
    std::visit(act, layer->any);
  });
}

/// A tensor of the layer's type.
template <class T>
struct Tensors {
  Extent extent;
  std::size_t size;  ///< 0 where the extent is refused by the layer, which then tells the other ranks

  Tensors(const BatchNorm<T>& /*layer*/, const unitvar_extent* given)
      : extent(given == nullptr ? Extent() : c::extent_of(*given)), size(0) {
    try {
      check_extent("layer", extent, sizeof(T));
      size = static_cast<std::size_t>(extent.size());
    } catch (const Error&) {
    }
  }
  [[nodiscard]] std::span<const T> at(const void* p) const noexcept { return {static_cast<const T*>(p), size}; }
  [[nodiscard]] std::span<T> at(void* p) const noexcept { return {static_cast<T*>(p), size}; }
};

/// Calls act with the layer of its type, and the tensors of this extent.
template <class Layer, class Act>
unitvar_status with_tensors(const char* operation, Layer* layer, const unitvar_extent* extent,
                            const Act& act) noexcept {
  return with_layer(operation, layer, [&](auto& own) { act(own, Tensors(own, extent)); });
}

/// The first element, or null where there is none.
template <class Span>
auto* first_of(const Span& span) noexcept {
  return span.empty() ? nullptr : span.data();
}

}  // namespace

unitvar_status unitvar_layer_create(const unitvar_layer_config* config, const unitvar_options* options,
                                    unitvar_layer** out) noexcept {
  constexpr const char* kName = "layer_create";
  return guarded(kName, [&] {
    need(kName, "the result", out);
    const unitvar_layer_config& own = c::taken(kName, "the configuration", config);
    const BatchNormConfig with{.eps = own.eps,
                               .affine = own.without_parameters == 0,
                               .track_running_statistics = own.without_running_statistics == 0,
                               .running = c::policy_of(own.running),
                               .options = c::options_of(kName, options)};
    c::with_dtype(kName, own.dtype, [&](auto type) {
      using T = typename decltype(type)::type;
      *out = new unitvar_layer{BatchNorm<T>(own.channels, with)};
    });
  });
}
void unitvar_layer_destroy(unitvar_layer* layer) noexcept { delete layer; }

unitvar_status unitvar_layer_set_training(unitvar_layer* layer, int32_t on) noexcept {
  return with_layer("layer_set_training", layer, [=](auto& own) { own.train(on != 0); });
}
unitvar_status unitvar_layer_set_tracking(unitvar_layer* layer, int32_t on) noexcept {
  return with_layer("layer_set_tracking", layer, [=](auto& own) { own.track(on != 0); });
}
unitvar_status unitvar_layer_set_frozen(unitvar_layer* layer, int32_t on) noexcept {
  return with_layer("layer_set_frozen", layer, [=](auto& own) { own.freeze(on != 0); });
}
unitvar_status unitvar_layer_set_batches_tracked(unitvar_layer* layer, int64_t batches) noexcept {
  constexpr const char* kName = "layer_set_batches_tracked";
  return with_layer(kName, layer, [=](auto& own) {
    core::Arguments(kName).may_be_incremented("batches", batches);
    own.batches_tracked() = batches;
  });
}

unitvar_status unitvar_layer_look(unitvar_layer* layer, unitvar_layer_view* view) noexcept {
  return with_layer("layer_look", layer, [=](auto& own) {
    c::taken("layer_look", "the view", view);
    *view = {.struct_size = view->struct_size,
             .gamma = first_of(own.gamma()),
             .beta = first_of(own.beta()),
             .dgamma = first_of(own.dgamma()),
             .dbeta = first_of(own.dbeta()),
             .running_mean = first_of(own.running_mean()),
             .running_var = first_of(own.running_var()),
             .saved_mean = first_of(own.saved_mean()),
             .saved_var = first_of(own.saved_var()),
             .saved_rstd = first_of(own.saved_rstd()),
             .batches_tracked = own.batches_tracked(),
             .batches_skipped = own.batches_skipped(),
             .training = own.training() ? 1 : 0,
             .tracking = own.tracking() ? 1 : 0,
             .frozen = own.frozen() ? 1 : 0};
  });
}

unitvar_status unitvar_layer_forward(unitvar_layer* layer, const unitvar_extent* extent, const void* x,
                                     void* y) noexcept {
  return with_tensors("layer_forward", layer, extent,
                      [=](auto& own, const auto& of) { own.forward(of.extent, of.at(x), of.at(y)); });
}
unitvar_status unitvar_layer_infer(const unitvar_layer* layer, const unitvar_extent* extent, const void* x,
                                   void* y) noexcept {
  return with_tensors("layer_infer", layer, extent,
                      [=](const auto& own, const auto& of) { own.infer(of.extent, of.at(x), of.at(y)); });
}
unitvar_status unitvar_layer_backward(unitvar_layer* layer, const unitvar_extent* extent, const void* x, const void* dy,
                                      void* dx) noexcept {
  return with_tensors("layer_backward", layer, extent, [=](auto& own, const auto& of) {
    own.backward(of.extent, of.at(x), of.at(dy), c::maybe(of.at(dx)));
  });
}
