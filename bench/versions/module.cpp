// A version of the library as a shared object with one symbol. Built against the headers and the archive of any
// commit since 5dc175c by script/compare: only names that all of them have are used here.
#include <exception>
#include <span>
#include <string>

#include "call.hpp"
#include "unitvar/unitvar.hpp"

namespace {

using namespace unitvar;
using versions::Call;
using versions::Op;
using versions::Pass;

template <class V>
std::span<const V> in(const void* p, std::int64_t size) {
  return {static_cast<const V*>(p), static_cast<std::size_t>(size)};
}
template <class V>
std::span<V> out(void* p, std::int64_t size) {
  return {static_cast<V*>(p), static_cast<std::size_t>(size)};
}

/// Commits before the options of the CPU had a struct of their own held them in Options itself.
template <class O>
void set_threads(O& options, int threads) {
  if constexpr (requires { options.cpu; }) {
    options.cpu.threads = threads;
  } else {
    options.threads = threads;
  }
}

/// The call's arrays in the dtype's types, and the arguments of each pass.
template <class T>
struct Arrays {
  using P = param_t<T>;

  explicit Arrays(const Call& c)
      : x(in<T>(c.x, size(c))),
        dy(in<T>(c.dy, size(c))),
        gamma(in<P>(c.gamma, c.parameters)),
        beta(in<P>(c.beta, c.parameters)),
        y(out<T>(c.y, size(c))),
        dx(out<T>(c.dx, size(c))),
        dgamma(out<P>(c.dgamma, c.parameters)),
        dbeta(out<P>(c.dbeta, c.parameters)),
        mean(out<double>(c.mean, c.statistics)),
        var(out<double>(c.var, c.statistics)),
        rstd(out<double>(c.rstd, c.statistics)) {
    set_threads(options, c.threads);
  }

  static std::int64_t size(const Call& c) { return c.outer * c.channels * c.inner; }

  std::span<const T> x, dy;
  std::span<const P> gamma, beta;
  std::span<T> y, dx;
  std::span<P> dgamma, dbeta;
  std::span<double> mean, var, rstd;
  Options options;
};

template <class T>
void run_batch_norm(const Call& c, const Arrays<T>& a) {
  const Extent e{c.outer, c.channels, c.inner};
  if (c.pass == Pass::forward) {
    batch_norm_forward<T>({.extent = e,
                           .x = a.x,
                           .gamma = a.gamma,
                           .beta = a.beta,
                           .y = a.y,
                           .mean = a.mean,
                           .var = a.var,
                           .rstd = a.rstd},
                          a.options);
  } else if (c.pass == Pass::inference) {
    batch_norm_inference<T>(
        {.extent = e, .x = a.x, .mean = a.mean, .var = a.var, .gamma = a.gamma, .beta = a.beta, .y = a.y}, a.options);
  } else {
    batch_norm_backward<T>({.extent = e,
                            .x = a.x,
                            .dy = a.dy,
                            .mean = a.mean,
                            .rstd = a.rstd,
                            .gamma = a.gamma,
                            .dx = a.dx,
                            .dgamma = a.dgamma,
                            .dbeta = a.dbeta},
                           a.options);
  }
}

template <class T>
void run_group_norm(const Call& c, const Arrays<T>& a) {
  const Groups g{{c.outer, c.channels, c.inner}, c.sample_rows, c.groups};
  if (c.pass == Pass::backward) {
    group_norm_backward<T>({g, a.x, a.dy, a.mean, a.rstd, a.gamma, a.dx, a.dgamma, a.dbeta}, a.options);
  } else {
    group_norm_forward<T>({g, a.x, a.gamma, a.beta, a.y, a.mean, a.rstd}, a.options);
  }
}

template <class T>
void run_rows(const Call& c, const Arrays<T>& a) {
  const RowExtent e{c.outer, c.channels};
  const bool backward = c.pass == Pass::backward, layer = c.op == Op::layer_norm;
  if (layer && backward) {
    layer_norm_backward<T>({e, a.x, a.dy, a.mean, a.rstd, a.gamma, a.dx, a.dgamma, a.dbeta}, a.options);
  } else if (layer) {
    layer_norm_forward<T>({e, a.x, a.gamma, a.beta, a.y, a.mean, a.rstd}, a.options);
  } else if (backward) {
    rms_norm_backward<T>({e, a.x, a.dy, a.rstd, a.gamma, a.dx, a.dgamma, a.dbeta}, a.options);
  } else {
    rms_norm_forward<T>({e, a.x, a.gamma, a.beta, a.y, a.rstd}, a.options);
  }
}

template <class T>
void run(const Call& c) {
  const Arrays<T> arrays(c);
  switch (c.op) {
    case Op::batch_norm:
      return run_batch_norm(c, arrays);
    case Op::group_norm:
      return run_group_norm(c, arrays);
    default:
      return run_rows(c, arrays);
  }
}

}  // namespace

extern "C" __attribute__((visibility("default"))) const char* unitvar_version_run(const Call* call) {
  static thread_local std::string error;
  try {
    switch (call->dtype) {
      case versions::Dtype::f32:
        run<float>(*call);
        break;
      case versions::Dtype::f64:
        run<double>(*call);
        break;
      case versions::Dtype::bf16:
        run<bf16>(*call);
        break;
      case versions::Dtype::f16:
        run<f16>(*call);
        break;
    }
    return nullptr;
  } catch (const std::exception& e) {
    error = e.what();
    return error.c_str();
  }
}
