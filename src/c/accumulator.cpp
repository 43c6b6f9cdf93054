#include "unitvar/c/accumulator.h"

#include <memory>
#include <span>
#include <string>

#include "c/memory.hpp"

using namespace unitvar;
using std::int64_t;
using unitvar::c::guarded;
using unitvar::c::need;

namespace unitvar::c {
namespace {

/// One way to use both accumulators.
class AnyAccumulator {
 public:
  virtual ~AnyAccumulator() = default;
  [[nodiscard]] virtual int64_t tiles() const = 0;
  [[nodiscard]] virtual TileRange tile(int64_t t) const = 0;
  virtual void clear() = 0;
  virtual void add(int64_t t, int64_t begin, int64_t end, const void* x, const void* dy) = 0;
  virtual void add_block(int64_t t, int64_t begin, int64_t end, const void* x, const void* dy, std::size_t length,
                         int64_t stride) = 0;
  virtual void finish(double* first, double* second) = 0;
};

template <class T>
class AnyMoments final : public AnyAccumulator {
 public:
  AnyMoments(const Extent& extent, const Options& options)
      : own_(extent, options),
        elements_(static_cast<std::size_t>(extent.size())),
        channels_(static_cast<std::size_t>(extent.channels)) {}
  [[nodiscard]] int64_t tiles() const override { return own_.tiles(); }
  [[nodiscard]] TileRange tile(int64_t t) const override { return own_.tile(t); }
  void clear() override { own_.clear(); }
  void add(int64_t t, int64_t begin, int64_t end, const void* x, const void* dy) override {
    refuse(dy);
    own_.add(t, begin, end, {static_cast<const T*>(x), elements_});
  }
  void add_block(int64_t t, int64_t begin, int64_t end, const void* x, const void* dy, std::size_t length,
                 int64_t stride) override {
    refuse(dy);
    own_.add_block(t, begin, end, {static_cast<const T*>(x), length}, stride);
  }
  void finish(double* mean, double* m2) override { own_.finish({mean, channels_}, {m2, channels_}); }

 private:
  static void refuse(const void* dy) {
    if (dy != nullptr) throw Error(ErrorCode::bad_argument, "accumulator_add: dy is given, want null for moments");
  }
  MomentsAccumulator<T> own_;
  std::size_t elements_, channels_;
};

template <class T>
class AnyGradientSums final : public AnyAccumulator {
 public:
  AnyGradientSums(const Extent& extent, std::span<const double> mean, const Options& options)
      : own_(extent, mean, options), elements_(static_cast<std::size_t>(extent.size())), channels_(mean.size()) {}
  [[nodiscard]] int64_t tiles() const override { return own_.tiles(); }
  [[nodiscard]] TileRange tile(int64_t t) const override { return own_.tile(t); }
  void clear() override { own_.clear(); }
  void add(int64_t t, int64_t begin, int64_t end, const void* x, const void* dy) override {
    own_.add(t, begin, end, {static_cast<const T*>(x), elements_}, {static_cast<const T*>(dy), elements_});
  }
  void add_block(int64_t t, int64_t begin, int64_t end, const void* x, const void* dy, std::size_t length,
                 int64_t stride) override {
    own_.add_block(t, begin, end, {static_cast<const T*>(x), length}, {static_cast<const T*>(dy), length}, stride);
  }
  void finish(double* sum_dy, double* sum_dy_xmu) override {
    own_.finish({sum_dy, channels_}, {sum_dy_xmu, channels_});
  }

 private:
  GradientSumsAccumulator<T> own_;
  std::size_t elements_, channels_;
};

}  // namespace
}  // namespace unitvar::c

struct unitvar_accumulator {
  std::unique_ptr<c::AnyAccumulator> any;
};

namespace {

/// Gives the caller a handle of what make(type, checked extent, options) makes.
template <class Make>
unitvar_status create(const char* operation, unitvar_dtype dtype, const unitvar_extent* extent,
                      const unitvar_options* options, unitvar_accumulator** out, const Make& make) noexcept {
  return guarded(operation, [&] {
    need(operation, "the extent", extent);
    need(operation, "the result", out);
    const Options with = c::options_of(operation, options);
    c::with_dtype(operation, dtype, [&](auto type) {
      const c::Memory of(type, *extent);
      *out = new unitvar_accumulator{make(type, of, with)};
    });
  });
}

}  // namespace

unitvar_status unitvar_moments_accumulator_create(unitvar_dtype dtype, const unitvar_extent* extent,
                                                  const unitvar_options* options, unitvar_accumulator** out) noexcept {
  return create("moments_accumulator_create", dtype, extent, options, out,
                [](auto type, const auto& of, const auto& with) {
                  return std::make_unique<c::AnyMoments<typename decltype(type)::type>>(of.extent, with);
                });
}
unitvar_status unitvar_gradient_sums_accumulator_create(unitvar_dtype dtype, const unitvar_extent* extent,
                                                        const double* mean, const unitvar_options* options,
                                                        unitvar_accumulator** out) noexcept {
  return create("gradient_sums_accumulator_create", dtype, extent, options, out,
                [=](auto type, const auto& of, const auto& with) {
                  return std::make_unique<c::AnyGradientSums<typename decltype(type)::type>>(of.extent,
                                                                                             of.statistic(mean), with);
                });
}
void unitvar_accumulator_destroy(unitvar_accumulator* accumulator) noexcept { delete accumulator; }

int64_t unitvar_accumulator_tiles(const unitvar_accumulator* accumulator) noexcept {
  return accumulator == nullptr ? 0 : accumulator->any->tiles();
}
unitvar_status unitvar_accumulator_tile(const unitvar_accumulator* accumulator, int64_t t,
                                        unitvar_tile* tile) noexcept {
  return guarded("accumulator_tile", [&] {
    need("accumulator_tile", "the accumulator", accumulator);
    need("accumulator_tile", "the result", tile);
    const TileRange range = accumulator->any->tile(t);
    *tile = {range.outer, range.outers, range.inner, range.inners};
  });
}
unitvar_status unitvar_accumulator_clear(unitvar_accumulator* accumulator) noexcept {
  return guarded("accumulator_clear", [&] {
    need("accumulator_clear", "the accumulator", accumulator);
    accumulator->any->clear();
  });
}
unitvar_status unitvar_accumulator_add(unitvar_accumulator* accumulator, int64_t t, int64_t begin, int64_t end,
                                       const void* x, const void* dy) noexcept {
  return guarded("accumulator_add", [&] {
    need("accumulator_add", "the accumulator", accumulator);
    accumulator->any->add(t, begin, end, x, dy);
  });
}
unitvar_status unitvar_accumulator_add_block(unitvar_accumulator* accumulator, int64_t t, int64_t begin, int64_t end,
                                             const void* x, const void* dy, int64_t length, int64_t stride) noexcept {
  return guarded("accumulator_add_block", [&] {
    need("accumulator_add_block", "the accumulator", accumulator);
    if (length < 0) {
      throw Error(ErrorCode::wrong_length,
                  "accumulator_add_block: length is " + std::to_string(length) + ", want >= 0");
    }
    accumulator->any->add_block(t, begin, end, x, dy, static_cast<std::size_t>(length), stride);
  });
}
unitvar_status unitvar_accumulator_finish(unitvar_accumulator* accumulator, double* first, double* second) noexcept {
  return guarded("accumulator_finish", [&] {
    need("accumulator_finish", "the accumulator", accumulator);
    accumulator->any->finish(first, second);
  });
}
