#include <exception>
#include <vector>

#include "../core/module.hpp"
#include "call.hpp"

// The four operations that unitvar.jax is made of, each for all normalizations and storage types. Operands and results
// stand in the order of unitvar/jax/_primitives.py.
namespace unitvar::jax {
namespace {

/// (x, gamma, stats, beta) -> (y, saved, mean, var). Only frozen statistics are an operand; the others are saved.
struct Forward {
  template <class T>
  static void run(const Call<T>& call) {
    switch (call.family()) {
      case batch: {
        auto args = arguments<BatchNormForward<T>>(call);
        std::vector<double> var(args.mean.size());
        args.var = var;
        batch_norm_forward<T>(args, call.options());
        copy(args.mean, call.template out<param_t<T>>(2));
        copy(var, call.template out<param_t<T>>(3));
        return;
      }
      case frozen: {
        auto args = call.template common<BatchNormInference<T>>(1);
        const Statistics<param_t<T>> given(call, 2);
        given.into(args);
        args.beta = call.template in<param_t<T>>(3);
        args.y = call.template out<T>(0);
        return batch_norm_inference<T>(args, call.options());
      }
      case layer:
        return layer_norm_forward<T>(arguments<LayerNormForward<T>>(call), call.options());
      case rms:
        return rms_norm_forward<T>(arguments<RmsNormForward<T>>(call), call.options());
      case group:
        return group_norm_forward<T>(arguments<GroupNormForward<T>>(call), call.options());
    }
  }

 private:
  template <class Args, class T>
  static Args arguments(const Call<T>& call) {
    auto args = call.template common<Args>(1);
    args.beta = call.template in<param_t<T>>(3);
    args.y = call.template out<T>(0);
    const auto saved = call.template out<double>(1);
    if constexpr (requires { args.mean; }) {
      args.mean = saved.first(saved.size() / 2);
      args.rstd = saved.subspan(saved.size() / 2);
    } else {
      args.rstd = saved;
    }
    return args;
  }
  template <class P>
  static void copy(std::span<const double> from, std::span<P> to) {
    for (std::size_t k = 0; k < to.size(); ++k) to[k] = static_cast<P>(from[k]);
  }
};

/// What backward, double backward and forward mode begin with: operands x, gamma, stats.
template <class Args, class T>
Args with_statistics(const Call<T>& call, const Statistics<param_t<T>>& stats) {
  auto args = call.template common<Args>(1);
  stats.into(args);
  return args;
}

/// (x, gamma, stats, dy) -> (dx, dgamma, dbeta).
struct Backward {
  template <class T>
  static void run(const Call<T>& call) {
    const Statistics<param_t<T>> stats(call, 2);
    switch (call.family()) {
      case batch:
        return batch_norm_backward<T>(arguments<BatchNormBackward<T>>(call, stats), call.options());
      case frozen:
        return batch_norm_frozen_backward<T>(arguments<BatchNormFrozenBackward<T>>(call, stats), call.options());
      case layer:
        return layer_norm_backward<T>(arguments<LayerNormBackward<T>>(call, stats), call.options());
      case rms:
        return rms_norm_backward<T>(arguments<RmsNormBackward<T>>(call, stats), call.options());
      case group:
        return group_norm_backward<T>(arguments<GroupNormBackward<T>>(call, stats), call.options());
    }
  }

 private:
  template <class Args, class T>
  static Args arguments(const Call<T>& call, const Statistics<param_t<T>>& stats) {
    auto args = with_statistics<Args>(call, stats);
    args.dy = call.template in<T>(3);
    args.dx = call.template out<T>(0);
    args.dgamma = call.template out<param_t<T>>(1);
    args.dbeta = call.template out<param_t<T>>(2);
    return args;
  }
};

/// Runs the double backward of the call's family. set(args) adds what is asked for.
template <class T, class Set>
void double_backward(const Call<T>& call, const Set& set) {
  const Statistics<param_t<T>> stats(call, 2);
  const auto with = [&]<class Args>(auto* run) {
    auto args = with_statistics<Args>(call, stats);
    set(args);
    run(args, call.options());
  };
  switch (call.family()) {
    case batch:
      return with.template operator()<BatchNormDoubleBackward<T>>(batch_norm_double_backward<T>);
    case frozen:
      return with.template operator()<BatchNormDoubleBackward<T>>(batch_norm_frozen_double_backward<T>);
    case layer:
      return with.template operator()<LayerNormDoubleBackward<T>>(layer_norm_double_backward<T>);
    case rms:
      return with.template operator()<RmsNormDoubleBackward<T>>(rms_norm_double_backward<T>);
    case group:
      return with.template operator()<GroupNormDoubleBackward<T>>(group_norm_double_backward<T>);
  }
}

/// (x, gamma, stats, x_dot, gamma_dot, beta_dot) -> y_dot. A double backward's gradient for dy is the tangent in the
/// direction of what it is given, whatever dy is: the map from tangents to y_dot is the transpose of the backward.
struct Tangent {
  template <class T>
  static void run(const Call<T>& call) {
    double_backward(call, [&](auto& args) {
      args.dy = args.x;
      args.grad_dx = call.template in<T>(3);
      args.grad_dgamma = call.template in<param_t<T>>(4);
      args.grad_dbeta = call.template in<param_t<T>>(5);
      args.grad_dy = call.template out<T>(0);
    });
  }
};

/// (x, gamma, stats, dy, v, u) -> (grad_x, grad_gamma): the Hessian of sum(dy * y) in x and gamma, times (v, u).
struct Hessian {
  template <class T>
  static void run(const Call<T>& call) {
    double_backward(call, [&](auto& args) {
      args.dy = call.template in<T>(3);
      args.grad_dx = call.template in<T>(4);
      args.grad_dgamma = call.template in<param_t<T>>(5);
      args.grad_x = call.template out<T>(0);
      args.grad_gamma = call.template out<param_t<T>>(1);
    });
  }
};

template <class Operation>
void run(const Frame& frame) {
  switch (frame.arg(0).element_type()) {
    case ffi::F32:
      return Operation::run(Call<float>(frame));
    case ffi::F64:
      return Operation::run(Call<double>(frame));
    case ffi::BF16:
      return Operation::run(Call<bf16>(frame));
    case ffi::F16:
      return Operation::run(Call<f16>(frame));
    default:
      throw std::invalid_argument("unitvar.jax: x has another dtype, want float32, float64, bfloat16 or float16");
  }
}

/// The handler of an operation. XLA calls it on threads of its own, which hold no lock of Python's.
template <class Operation>
XLA_FFI_Error* handle(XLA_FFI_CallFrame* call_frame) {
  static const auto handler =
      ffi::Ffi::Bind()
          .RemainingArgs()
          .RemainingRets()
          .Attr<std::int32_t>("family")
          .Attr<int64_t>("sample_rows")
          .Attr<int64_t>("groups")
          .Attr<double>("eps")
          .Attr<std::int32_t>("threads")
          .To([](ffi::RemainingArgs args, ffi::RemainingRets rets, std::int32_t family, int64_t sample_rows,
                 int64_t groups, double eps, std::int32_t threads) -> ffi::Error {
            try {
              run<Operation>(Frame{args, rets, family, sample_rows, groups, eps, threads});
              return ffi::Error::Success();
            } catch (const std::exception& e) {
              return ffi::Error::InvalidArgument(e.what());
            }
          });
  return handler->Call(call_frame);
}

}  // namespace
}  // namespace unitvar::jax

namespace unitvar::python {

void define_jax(nb::module_& m) {
  m.def(
      "jax_targets",
      [] {
        nb::dict targets;
        const auto add = [&](const char* name, XLA_FFI_Handler* handler) {
          targets[name] = nb::capsule(reinterpret_cast<void*>(handler));
        };
        add("unitvar_forward", jax::handle<jax::Forward>);
        add("unitvar_backward", jax::handle<jax::Backward>);
        add("unitvar_tangent", jax::handle<jax::Tangent>);
        add("unitvar_hessian", jax::handle<jax::Hessian>);
        return targets;
      },
      "XLA's handlers by their names, for jax.ffi.register_ffi_target.");
}

}  // namespace unitvar::python
