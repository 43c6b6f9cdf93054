#include "module.hpp"

#include <nanobind/stl/string.h>

#include <cstring>
#include <span>

#include "unitvar/communicator.hpp"

// Ranks whose frames travel by Python callables.
namespace unitvar::python {
namespace {

/// A communicator whose start and wait are methods of a Python object. They get the frame's bytes as a writable array
/// of uint8, the same for both. What they raise comes out of the call; the other ranks learn of it as the engine tells
/// them.
class PythonCommunicator final : public Communicator {
 public:
  PythonCommunicator(int rank, int size, const SyncOptions& options) : Communicator(rank, size, options) {}

  nb::object start, wait;
  int64_t starts = 0;  ///< of exchanges, also of those that failed

 private:
  nb::object bytes() {
    return nb::cast(nb::ndarray<nb::numpy, std::uint8_t, nb::ndim<1>>(
        reinterpret_cast<std::uint8_t*>(frame()), {static_cast<std::size_t>(frame_bytes())}, nb::find(this)));
  }
  void do_start() override {
    const nb::gil_scoped_acquire locked;
    ++starts;
    start(bytes());
  }
  void do_wait() override {
    const nb::gil_scoped_acquire locked;
    wait(bytes());
  }
};

}  // namespace

void define_ranks(nb::module_& m) {
  nb::class_<Communicator>(m, "CommunicatorBase", "Ranks that share a batch.")
      .def_prop_ro("rank", &Communicator::rank)
      .def_prop_ro("size", &Communicator::size)
      .def_prop_ro("frame_bytes", &Communicator::frame_bytes)
      .def_prop_ro("frames", [](const Communicator& c) { return c.counters().frames; })
      .def_prop_ro("bytes", [](const Communicator& c) { return c.counters().bytes; })
      .def_prop_ro("seconds_waited", [](const Communicator& c) { return c.counters().seconds_waited; })
      .def_prop_ro("block_channels", [](const Communicator& c) { return c.options().block_channels; });
  nb::class_<PythonCommunicator, Communicator>(m, "PythonCommunicator", "Ranks whose frames Python callables exchange.",
                                               nb::is_weak_referenceable())
      .def(
          "__init__",
          [](PythonCommunicator* self, int rank, int size, nb::object start, nb::object wait, int64_t block_channels,
             bool overlap, bool global_gradients) {
            auto* made = new (self) PythonCommunicator(
                rank, size,
                {.block_channels = block_channels,
                 .overlap = overlap,
                 .parameter_gradients = global_gradients ? ParameterGradients::global : ParameterGradients::local});
            made->start = std::move(start);
            made->wait = std::move(wait);
          },
          nb::arg("rank"), nb::arg("size"), nb::arg("start"), nb::arg("wait"), nb::arg("block_channels"),
          nb::arg("overlap"), nb::arg("global_gradients"))
      .def_ro("starts", &PythonCommunicator::starts);
  m.def("merge_frames", [](const In& in, const Out& inout) {
    merge_frames(std::as_bytes(in.of<std::uint8_t>(0)), std::as_writable_bytes(inout.of<std::uint8_t>(0)));
  });
  m.def("refuse", [](const CallOptions& options, const std::string& why) {
    const Options own = options.get();
    if (own.communicator != nullptr) without_lock([&] { refuse_call(*own.communicator, why.c_str()); });
  });
}

}  // namespace unitvar::python
