#include <optional>
#include <vector>

#include "module.hpp"

// Batch normalization of tensors that offer DLPack's exchange API, as torch's do: a tensor is read in some 20 ns, where
// a question to it from Python takes 100.
namespace unitvar::python {
namespace {

// The parts of dlpack.h 1.3 that are used here. Its major version says whether they hold.
struct DLTensor {
  void* data;
  std::int32_t device_type, device_id;
  std::int32_t ndim;
  nb::dlpack::dtype dtype;
  int64_t* shape;
  int64_t* strides;
  std::uint64_t byte_offset;
};
struct ExchangeApi {
  std::uint32_t major, minor;
  void* previous;
  int (*allocate)(DLTensor*, void**, void*, void (*)(void*, const char*, const char*));
  int (*managed_from)(void*, void**);
  int (*managed_to)(void*, void**);
  int (*tensor_from)(void*, DLTensor*);
  int (*stream)(std::int32_t, std::int32_t, void**);
};

const ExchangeApi& api_of(nb::handle capsule) {
  const auto* api = static_cast<const ExchangeApi*>(PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api"));
  if (api == nullptr) throw nb::python_error();
  if (api->major != 1) throw nb::type_error("the exchange API of DLPack has another major version, want 1");
  return *api;
}

/// A tensor's facts. They hold while the tensor does.
struct View {
  DLTensor t{};

  static std::optional<View> of(const ExchangeApi& api, nb::handle tensor) {
    if (tensor.is_none()) return std::nullopt;
    View view;
    if (api.tensor_from(tensor.ptr(), &view.t) != 0) throw nb::python_error();  // of a device without DLPack, or fake
    return view;
  }
  /// The storage type's code, or -1.
  [[nodiscard]] int code() const {
    using Code = nb::dlpack::dtype_code;
    if (t.dtype.lanes != 1) return -1;
    if (t.dtype.code == static_cast<std::uint8_t>(Code::Bfloat)) return t.dtype.bits == 16 ? bf16_code : -1;
    if (t.dtype.code != static_cast<std::uint8_t>(Code::Float)) return -1;
    return t.dtype.bits == 32 ? f32_code : t.dtype.bits == 64 ? f64_code : t.dtype.bits == 16 ? f16_code : -1;
  }
  [[nodiscard]] bool on_cpu() const { return t.device_type == 1; }
  [[nodiscard]] std::uintptr_t address() const { return reinterpret_cast<std::uintptr_t>(t.data) + t.byte_offset; }
  [[nodiscard]] bool is_vector(int64_t c) const {
    return on_cpu() && t.ndim == 1 && t.shape[0] == c && (c == 1 || t.strides[0] == 1);
  }
  [[nodiscard]] bool is_counter() const {
    return on_cpu() && t.ndim == 0 && t.dtype.code == static_cast<std::uint8_t>(nb::dlpack::dtype_code::Int) &&
           t.dtype.bits == 64;
  }
  /// Whether the axes lie in this order, the fastest first; an axis of size 1 may have any stride.
  [[nodiscard]] bool lies(bool channels_last) const {
    int64_t step = 1;
    const auto next = [&](int axis) {
      const bool fits = t.shape[axis] == 1 || t.strides[axis] == step;
      step *= t.shape[axis];
      return fits;
    };
    if (channels_last && !next(1)) return false;
    for (int axis = t.ndim - 1; axis >= 0; --axis) {
      if (!(channels_last && axis == 1) && !next(axis)) return false;
    }
    return true;
  }
  /// As the kernels take it, if it is contiguous or channels last.
  [[nodiscard]] std::optional<Extent> extent() const {
    if (t.ndim < 2) return std::nullopt;
    int64_t space = 1;
    for (int axis = 2; axis < t.ndim; ++axis) space *= t.shape[axis];
    if (lies(false)) return Extent{t.shape[0], t.shape[1], space};
    if (lies(true)) return Extent{t.shape[0] * space, t.shape[1], 1};
    return std::nullopt;
  }
};

std::uintptr_t address_of(const std::optional<View>& view) { return view ? view->address() : 0; }

template <class T>
std::span<T> span_at(const std::optional<View>& view, int64_t n) {
  return {reinterpret_cast<T*>(address_of(view)), view ? static_cast<std::size_t>(n) : 0};
}

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

/// Whether a training forward takes these tensors as they are: nothing is converted, copied or wrong.
bool fits(const ExchangeApi& api, nb::handle of_x, nb::handle of_gamma, nb::handle of_beta, nb::handle of_mean,
          nb::handle of_var, nb::handle of_batches) {
  const std::optional<View> x = View::of(api, of_x);
  if (!x || !x->on_cpu() || x->code() < 0) return false;
  const std::optional<Extent> extent = x->extent();
  if (!extent || extent->channels < 1 || extent->outer * extent->inner < 2) return false;
  const int64_t c = extent->channels;
  const int parameter_code = x->code() == f64_code ? f64_code : f32_code;
  for (const nb::handle of_parameter : {of_gamma, of_beta}) {
    const std::optional<View> t = View::of(api, of_parameter);
    if (t && (!t->is_vector(c) || t->code() != parameter_code)) return false;
  }
  const std::optional<View> mean = View::of(api, of_mean), var = View::of(api, of_var);
  if (mean.has_value() != var.has_value()) return false;
  if (mean && (!mean->is_vector(c) || !var->is_vector(c) || mean->code() < 0 || mean->code() != var->code())) {
    return false;
  }
  const std::optional<View> batches = View::of(api, of_batches);
  return !batches || batches->is_counter();
}

}  // namespace

void define_tensors(nb::module_& m) {
  m.def(
      "tensors_fit",
      [](nb::handle api, nb::handle x, nb::handle gamma, nb::handle beta, nb::handle running_mean,
         nb::handle running_var, nb::handle batches) {
        try {
          return fits(api_of(api), x, gamma, beta, running_mean, running_var, batches);
        } catch (nb::python_error& error) {
          if (!error.matches(PyExc_BufferError) && !error.matches(PyExc_RuntimeError)) throw;
          return false;
        }
      },
      nb::arg(), nb::arg(), nb::arg().none(), nb::arg().none(), nb::arg().none(), nb::arg().none(), nb::arg().none());
  // batch_norm_forward of tensors that fit. saved is mean, var, rstd, a row each. Moves running statistics, and counts.
  m.def(
      "batch_norm_training",
      [](nb::handle of_api, nb::handle of_x, nb::handle of_gamma, nb::handle of_beta, nb::handle of_y,
         nb::handle of_saved, double eps, const CallOptions& options, nb::handle of_running_mean,
         nb::handle of_running_var, nb::handle of_batches, double momentum) {
        const ExchangeApi& api = api_of(of_api);
        const auto x = View::of(api, of_x), gamma = View::of(api, of_gamma), beta = View::of(api, of_beta),
                   y = View::of(api, of_y), saved = View::of(api, of_saved),
                   running_mean = View::of(api, of_running_mean), running_var = View::of(api, of_running_var),
                   batches = View::of(api, of_batches);
        const std::optional<Extent> extent = x ? x->extent() : std::nullopt;
        if (!extent || !y || !saved) throw nb::type_error("batch_norm_training: x, y or saved lies otherwise");
        const int64_t c = extent->channels;
        const auto statistics = span_at<double>(saved, 3 * c);
        const auto mean = statistics.first(c), var = statistics.subspan(c, c), rstd = statistics.last(c);
        const double count = with_dtype(x->code(), [&]<class T>() {
          using P = param_t<T>;
          const BatchNormForward<T> args{.extent = *extent,
                                         .x = span_at<const T>(x, extent->size()),
                                         .gamma = span_at<const P>(gamma, c),
                                         .beta = span_at<const P>(beta, c),
                                         .y = span_at<T>(y, extent->size()),
                                         .mean = mean,
                                         .var = var,
                                         .rstd = rstd,
                                         .eps = eps};
          return without_lock(options, [&](const Options& own) { return batch_norm_forward<T>(args, own); });
        });
        if (batches) ++*reinterpret_cast<int64_t*>(batches->address());
        if (!running_mean) return;
        with_dtype(running_mean->code(), [&]<class T>() {
          move_running_statistics<T>(span_at<T>(running_mean, c), span_at<T>(running_var, c), count, mean, var,
                                     momentum);
        });
      },
      nb::arg(), nb::arg(), nb::arg().none(), nb::arg().none(), nb::arg(), nb::arg(), nb::arg(), nb::arg(),
      nb::arg().none(), nb::arg().none(), nb::arg().none(), nb::arg());
  m.def("move_running_statistics", [](int dtype, int64_t c, const Out& mean, const Out& var, double count,
                                      const In& saved, double momentum) {
    with_dtype(dtype, [&]<class T>() {
      const auto batch = saved.of<double>(2 * c);
      move_running_statistics<T>(mean.of<T>(c), var.of<T>(c), count, batch.first(c), batch.subspan(c, c), momentum);
    });
  });
}

}  // namespace unitvar::python
