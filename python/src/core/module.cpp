#include "module.hpp"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "unitvar/schedule.hpp"
#include "unitvar/version.hpp"

namespace unitvar::python {

Options CallOptions::get() const {
  return {.cpu = {.threads = threads, .isa = isa, .walk = walk},
          .communicator =
              communicator.is_valid() && !communicator.is_none() ? nb::cast<Communicator*>(communicator) : nullptr};
}

namespace {

Walk walk_from_name(const std::string& name) {
  if (name == "automatic") return Walk::automatic;
  if (name == "resident") return Walk::resident;
  if (name == "streamed") return Walk::streamed;
  throw nb::value_error(("Options: walk is '" + name + "', want automatic, resident or streamed").c_str());
}
const char* name_of(Walk walk) {
  return walk == Walk::automatic ? "automatic" : walk == Walk::resident ? "resident" : "streamed";
}
Pass pass_from_name(const std::string& name) {
  if (name == "forward") return Pass::forward;
  if (name == "backward") return Pass::backward;
  if (name == "inference") return Pass::inference;
  throw nb::value_error(("explain: pass is '" + name + "', want forward, backward or inference").c_str());
}
// A communicator may hold the options that name it.
int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  if (nb::inst_ready(self)) Py_VISIT(nb::inst_ptr<CallOptions>(self)->communicator.ptr());
  return 0;
}
int clear(PyObject* self) {
  nb::inst_ptr<CallOptions>(self)->communicator.reset();
  return 0;
}
PyType_Slot kSlots[] = {
    {Py_tp_traverse, reinterpret_cast<void*>(traverse)}, {Py_tp_clear, reinterpret_cast<void*>(clear)}, {0, nullptr}};

nb::dict to_dict(const Explanation& e) {
  nb::dict d;
  d["walk"] = name_of(e.walk);
  d["threads"] = e.threads;
  d["reads"] = e.reads;
  d["writes"] = e.writes;
  d["largest_share"] = e.largest_share;
  d["text"] = e.text;
  return d;
}

}  // namespace

void define_options(nb::module_& m) {
  nb::class_<CallOptions>(m, "Options", nb::type_slots(kSlots),
                          "How a call runs: threads, instruction set, walk over memory, ranks.")
      .def(
          "__init__",
          [](CallOptions* self, int threads, const std::string& isa, const std::string& walk, nb::object communicator) {
            if (!communicator.is_none() && !nb::isinstance<Communicator>(communicator)) {
              throw nb::type_error("Options: communicator is not a unitvar.ranks.Communicator");
            }
            if (!communicator.is_none() && !nb::inst_ready(communicator)) {
              throw nb::type_error("Options: communicator was not made, want a call of super().__init__(rank, size)");
            }
            new (self) CallOptions{threads, isa_from_name(isa), walk_from_name(walk), std::move(communicator)};
          },
          nb::kw_only(), nb::arg("threads") = 0, nb::arg("isa") = "automatic", nb::arg("walk") = "automatic",
          nb::arg("communicator") = nb::none(),
          "threads: OpenMP threads, 0 is the runtime's default. isa: one of supported_isas(), or 'automatic'.\n"
          "walk: 'automatic', 'resident' or 'streamed'. communicator: ranks that share the batch.")
      .def_ro("threads", &CallOptions::threads)
      .def_prop_ro("isa", [](const CallOptions& o) { return std::string(isa_name(o.isa)); })
      .def_prop_ro("walk", [](const CallOptions& o) { return name_of(o.walk); })
      .def_ro("communicator", &CallOptions::communicator)
      .def("__repr__", [](const CallOptions& o) {
        return "Options(threads=" + std::to_string(o.threads) + ", isa='" + std::string(isa_name(o.isa)) + "', walk='" +
               name_of(o.walk) + "')";
      });
  m.def(
      "supported_isas",
      [] {
        std::vector<std::string> names;
        for (const Isa isa : supported_isas()) names.emplace_back(isa_name(isa));
        return names;
      },
      "The instruction sets that this machine and this build have, the best first.");
  m.def(
      "selected_isa", [](const std::string& isa) { return std::string(isa_name(selected_isa(isa_from_name(isa)))); },
      nb::arg("isa") = "automatic", "The instruction set that Options(isa=isa) runs on this machine.");
  // NumPy knows no bf16, so its import of DLPack refuses it. The result is read-only, and keeps what it reads alive.
  m.def("bits_of", [](const nb::object& x) {
    using Array = nb::ndarray<nb::ro, nb::device::cpu>;
    auto* const a = new Array(nb::cast<Array>(x));
    const nb::capsule owner(a, [](void* p) noexcept { delete static_cast<Array*>(p); });
    if (a->dtype().bits != 16) throw nb::type_error("an element has another size, want 16 bits");
    std::vector<std::size_t> shape(a->ndim());
    std::vector<int64_t> strides(a->ndim());
    for (std::size_t k = 0; k < a->ndim(); ++k) {
      shape[k] = a->shape(k);
      strides[k] = a->stride(k);
    }
    return nb::cast(
        nb::ndarray<nb::numpy, const std::uint16_t>(a->data(), a->ndim(), shape.data(), owner, strides.data()));
  });
  m.def("explain", [](int64_t n, int64_t c, int64_t s, int64_t bytes, const std::string& pass, const CallOptions& o) {
    return to_dict(explain(Extent{n, c, s}, bytes, pass_from_name(pass), o.get()));
  });
  m.def("explain_groups", [](int64_t n, int64_t c, int64_t s, int64_t sample_rows, int64_t groups, int64_t bytes,
                             const std::string& pass, const CallOptions& o) {
    return to_dict(explain_groups(Groups{{n, c, s}, sample_rows, groups}, bytes, pass_from_name(pass), o.get()));
  });
  m.def("explain_rows", [](int64_t rows, int64_t length, int64_t bytes, const std::string& pass, const CallOptions& o) {
    return to_dict(explain_rows(RowExtent{rows, length}, bytes, pass_from_name(pass), o.get()));
  });
}

}  // namespace unitvar::python

NB_MODULE(_core, m) {
  using namespace unitvar::python;
  nb::set_leak_warnings(false);  // objects that live until the interpreter ends are no leak
  m.attr("version") = std::string(unitvar::version);
  nb::exception<unitvar::Error>(m, "Error", PyExc_ValueError);
  define_ranks(m);
  define_options(m);
  define_batch_norm(m);
  define_tensors(m);
  define_variants(m);
  define_derivatives(m);
  define_relatives(m);
  define_row_add(m);
  define_phases(m);
  define_accumulators(m);
  define_layer(m);
  define_reference(m);
  define_gradcheck(m);
  define_diagnose(m);
#ifdef UNITVAR_JAX
  define_jax(m);
#endif
}
