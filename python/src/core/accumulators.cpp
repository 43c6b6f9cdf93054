#include "module.hpp"

#include "unitvar/accumulator.hpp"

#include <nanobind/stl/tuple.h>
#include <memory>
#include <variant>
#include <vector>

// Moments and gradient sums, tile by tile, as a producer makes them.
namespace unitvar::python {
namespace {

/// An accumulator of any storage type.
template <template <class> class Accumulator>
using Any = std::variant<std::monostate, Accumulator<float>, Accumulator<double>, Accumulator<bf16>, Accumulator<f16>>;

template <template <class> class Accumulator>
struct Holder {
  Any<Accumulator> any;
  std::vector<double> mean;  ///< of gradient sums, which read it
  CallOptions options;

  /// Calls f(accumulator, T()).
  template <class F>
  decltype(auto) with(const F& f) {
    switch (any.index()) {
      case 1:
        return f.template operator()<float>(std::get<1>(any));
      case 2:
        return f.template operator()<double>(std::get<2>(any));
      case 3:
        return f.template operator()<bf16>(std::get<3>(any));
      default:
        return f.template operator()<f16>(std::get<4>(any));
    }
  }
};
using MomentsHolder = Holder<MomentsAccumulator>;
using SumsHolder = Holder<GradientSumsAccumulator>;

template <class H>
void define_tiles(nb::class_<H>& c) {
  c.def("tiles", [](H& h) { return h.with([]<class T>(auto& a) { return a.tiles(); }); });
  c.def("tile", [](H& h, int64_t t) {
    const TileRange r = h.with([&]<class T>(auto& a) { return a.tile(t); });
    return std::make_tuple(r.outer, r.outers, r.inner, r.inners);
  });
  c.def("clear", [](H& h) { h.with([]<class T>(auto& a) { a.clear(); }); });
}

}  // namespace

void define_accumulators(nb::module_& m) {
  nb::class_<MomentsHolder> moments(m, "MomentsAccumulator");
  moments.def("__init__",
              [](MomentsHolder* self, int dtype, int64_t n, int64_t c, int64_t s, const CallOptions& options) {
                auto holder = std::make_unique<MomentsHolder>();
                holder->options = options;
                with_dtype(dtype, [&]<class T>() {
                  holder->any.template emplace<MomentsAccumulator<T>>(Extent{n, c, s}, options.get());
                });
                new (self) MomentsHolder(std::move(*holder));
              });
  define_tiles(moments);
  moments.def("add", [](MomentsHolder& h, int64_t t, int64_t begin, int64_t end, const In& x) {
    h.with([&]<class T>(auto& a) {
      const auto all = x.of<T>(a.extent().size());
      without_lock([&] { a.add(t, begin, end, all); });
    });
  });
  moments.def("add_block",
              [](MomentsHolder& h, int64_t t, int64_t begin, int64_t end, const In& block, int64_t stride) {
                h.with([&]<class T>(auto& a) {
                  const auto all = block.of<T>(0);
                  without_lock([&] { a.add_block(t, begin, end, all, stride); });
                });
              });
  moments.def("finish", [](MomentsHolder& h, const Out& mean, const Out& m2) {
    h.with([&]<class T>(auto& a) {
      const auto to_mean = mean.of<double>(0), to_m2 = m2.of<double>(0);
      without_lock([&] { a.finish(to_mean, to_m2); });
    });
  });

  nb::class_<SumsHolder> sums(m, "GradientSumsAccumulator");
  sums.def("__init__", [](SumsHolder* self, int dtype, int64_t n, int64_t c, int64_t s, const In& mean,
                          const CallOptions& options) {
    auto holder = std::make_unique<SumsHolder>();
    const auto given = mean.of<double>(c);
    holder->mean.assign(given.begin(), given.end());
    holder->options = options;
    with_dtype(dtype, [&]<class T>() {
      holder->any.template emplace<GradientSumsAccumulator<T>>(Extent{n, c, s}, holder->mean, options.get());
    });
    new (self) SumsHolder(std::move(*holder));
  });
  define_tiles(sums);
  sums.def("add", [](SumsHolder& h, int64_t t, int64_t begin, int64_t end, const In& x, const In& dy) {
    h.with([&]<class T>(auto& a) {
      const auto of_x = x.of<T>(a.extent().size()), of_dy = dy.of<T>(a.extent().size());
      without_lock([&] { a.add(t, begin, end, of_x, of_dy); });
    });
  });
  sums.def("add_block",
           [](SumsHolder& h, int64_t t, int64_t begin, int64_t end, const In& x, const In& dy, int64_t stride) {
             h.with([&]<class T>(auto& a) {
               const auto of_x = x.of<T>(0), of_dy = dy.of<T>(0);
               without_lock([&] { a.add_block(t, begin, end, of_x, of_dy, stride); });
             });
           });
  sums.def("finish", [](SumsHolder& h, const Out& sum_dy, const Out& sum_dy_xmu) {
    h.with([&]<class T>(auto& a) {
      const auto first = sum_dy.of<double>(0), second = sum_dy_xmu.of<double>(0);
      without_lock([&] { a.finish(first, second); });
    });
  });
}

}  // namespace unitvar::python
