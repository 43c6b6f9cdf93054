#include "module.hpp"

#include "unitvar/accumulator.hpp"

#include <nanobind/stl/tuple.h>
#include <variant>
#include <vector>

// Moments and gradient sums, tile by tile, as a producer makes them.
namespace unitvar::python {
namespace {

/// An accumulator of any storage type, and what it reads.
template <template <class> class Accumulator>
struct Holder {
  std::variant<Accumulator<float>, Accumulator<double>, Accumulator<bf16>, Accumulator<f16>> any;
  nb::object communicator;
  std::vector<double> mean;  ///< of gradient sums
};
using MomentsHolder = Holder<MomentsAccumulator>;
using SumsHolder = Holder<GradientSumsAccumulator>;

template <class H>
void define_tiles(nb::class_<H>& c) {
  c.def("tiles", [](H& h) { return std::visit([](auto& a) { return a.tiles(); }, h.any); });
  c.def("tile", [](H& h, int64_t t) {
    const TileRange r = std::visit([t](auto& a) { return a.tile(t); }, h.any);
    return std::make_tuple(r.outer, r.outers, r.inner, r.inners);
  });
  c.def("clear", [](H& h) { std::visit([](auto& a) { a.clear(); }, h.any); });
  c.def("finish", [](H& h, const Out& first, const Out& second) {
    std::visit(
        [&](auto& a) {
          const auto to_first = first.of<double>(0), to_second = second.of<double>(0);
          without_lock([&] { a.finish(to_first, to_second); });
        },
        h.any);
  });
}

}  // namespace

void define_accumulators(nb::module_& m) {
  nb::class_<MomentsHolder> moments(m, "MomentsAccumulator");
  moments.def(
      "__init__", [](MomentsHolder* self, int dtype, int64_t n, int64_t c, int64_t s, const CallOptions& options) {
        with_dtype(dtype, [&]<class T>() {
          new (self) MomentsHolder{MomentsAccumulator<T>(Extent{n, c, s}, options.get()), options.communicator, {}};
        });
      });
  define_tiles(moments);
  moments.def("add", [](MomentsHolder& h, int64_t t, int64_t begin, int64_t end, const In& x) {
    std::visit(
        [&]<class T>(MomentsAccumulator<T>& a) {
          const auto all = x.of<T>(a.extent().size());
          without_lock([&] { a.add(t, begin, end, all); });
        },
        h.any);
  });

  nb::class_<SumsHolder> sums(m, "GradientSumsAccumulator");
  sums.def("__init__", [](SumsHolder* self, int dtype, int64_t n, int64_t c, int64_t s, const In& mean,
                          const CallOptions& options) {
    const auto given = mean.of<double>(c);
    std::vector<double> own(given.begin(), given.end());
    with_dtype(dtype, [&]<class T>() {
      GradientSumsAccumulator<T> empty(Extent{n, c, s}, own, options.get());
      new (self) SumsHolder{std::move(empty), options.communicator, std::move(own)};  // the values stay where they are
    });
  });
  define_tiles(sums);
  sums.def("add", [](SumsHolder& h, int64_t t, int64_t begin, int64_t end, const In& x, const In& dy) {
    std::visit(
        [&]<class T>(GradientSumsAccumulator<T>& a) {
          const auto of_x = x.of<T>(a.extent().size()), of_dy = dy.of<T>(a.extent().size());
          without_lock([&] { a.add(t, begin, end, of_x, of_dy); });
        },
        h.any);
  });
}

}  // namespace unitvar::python
