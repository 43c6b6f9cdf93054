#pragma once
#include "memory.hpp"
#include "unitvar/options.hpp"
#include "unitvar/unitvar.hpp"

namespace unitvar::python {

/// How a call runs, as Python holds it.
struct CallOptions {
  int threads = 0;
  Isa isa = Isa::automatic;
  Walk walk = Walk::automatic;
  nb::object communicator;  ///< keeps it alive

  [[nodiscard]] Options get() const;
};

/// Runs f without the interpreter's lock. Callbacks take it again. f touches no object of Python's.
template <class F>
decltype(auto) without_lock(const F& f) {
  const nb::gil_scoped_release unlocked;
  return f();
}
/// f(options) likewise.
template <class F>
decltype(auto) without_lock(const CallOptions& options, const F& f) {
  const Options own = options.get();
  return without_lock([&]() -> decltype(auto) { return f(own); });
}

/// Each defines its functions in the module.
void define_options(nb::module_& m);
void define_ranks(nb::module_& m);
void define_batch_norm(nb::module_& m);
void define_tensors(nb::module_& m);
void define_variants(nb::module_& m);
void define_derivatives(nb::module_& m);
void define_relatives(nb::module_& m);
void define_row_add(nb::module_& m);
void define_phases(nb::module_& m);
void define_accumulators(nb::module_& m);
void define_layer(nb::module_& m);
void define_reference(nb::module_& m);
void define_gradcheck(nb::module_& m);
void define_diagnose(nb::module_& m);
void define_jax(nb::module_& m);  ///< if UNITVAR_JAX is defined

}  // namespace unitvar::python
