#include "unitvar/extent.hpp"

#include <array>
#include <string>

#include "core/limits.hpp"
#include "core/text.hpp"
#include "unitvar/error.hpp"

namespace unitvar {
namespace {

using std::int64_t;

struct Axis {
  const char* name;
  int64_t size;
};

/// Only the batch may be empty: every other axis has at least one element.
void check_axis(const std::string& maker, const Axis& axis, bool may_be_zero) {
  if (axis.size >= (may_be_zero ? 0 : 1)) return;
  const std::string name = axis.name;
  throw Error(ErrorCode::bad_extent, maker + ": " + name + " is " + std::to_string(axis.size) + ", want " + name +
                                         (may_be_zero ? " >= 0" : " >= 1"));
}

int64_t product(const std::string& maker, std::span<const Axis> axes) {
  int64_t result = 1;
  std::string text;
  for (const Axis& axis : axes) {
    text.append(text.empty() ? "" : "*").append(axis.name);
    if (__builtin_mul_overflow(result, axis.size, &result)) {
      std::string message = maker;
      message.append(": ").append(text).append(" with ").append(axis.name).append(" = ").append(
          std::to_string(axis.size));
      throw Error(ErrorCode::overflow, message + " exceeds 64 bits, want at most 9223372036854775807");
    }
  }
  return result;
}

/// `axes` stand in the order of memory: N, C, then the spatial ones.
Extent channels_first_extent(const std::string& maker, std::span<const Axis> axes) {
  for (const Axis& axis : axes) check_axis(maker, axis, &axis == axes.data());
  const Extent extent{axes[0].size, axes[1].size, product(maker, axes.subspan(2))};
  product(maker, axes);
  return extent;
}

/// `axes` stand in the order of memory: N, the spatial ones, then C.
Extent channels_last_extent(const std::string& maker, std::span<const Axis> axes) {
  for (const Axis& axis : axes) check_axis(maker, axis, &axis == axes.data());
  const Extent extent{product(maker, axes.first(axes.size() - 1)), axes.back().size, 1};
  product(maker, axes);
  return extent;
}

constexpr std::array<const char*, 3> spatial_names(std::size_t count) {
  if (count == 1) return {"L", "", ""};
  if (count == 2) return {"H", "W", ""};
  return {"D", "H", "W"};
}

void check_rank(const std::string& maker, std::size_t rank) {
  if (rank >= 2 && rank <= 5) return;
  const char* const advice = rank == 1 ? ", N and C at least; one sample of C channels is {1, C}" : "";
  throw Error(ErrorCode::bad_extent, maker + ": shape has rank " + std::to_string(rank) + ", want 2 to 5" + advice);
}

}  // namespace

Extent Extent::nc(int64_t n, int64_t c) { return channels_first_extent("Extent::nc", {{{"N", n}, {"C", c}}}); }

Extent Extent::ncl(int64_t n, int64_t c, int64_t l) {
  return channels_first_extent("Extent::ncl", {{{"N", n}, {"C", c}, {"L", l}}});
}

Extent Extent::nchw(int64_t n, int64_t c, int64_t h, int64_t w) {
  return channels_first_extent("Extent::nchw", {{{"N", n}, {"C", c}, {"H", h}, {"W", w}}});
}

Extent Extent::ncdhw(int64_t n, int64_t c, int64_t d, int64_t h, int64_t w) {
  return channels_first_extent("Extent::ncdhw", {{{"N", n}, {"C", c}, {"D", d}, {"H", h}, {"W", w}}});
}

Extent Extent::nlc(int64_t n, int64_t l, int64_t c) {
  return channels_last_extent("Extent::nlc", {{{"N", n}, {"L", l}, {"C", c}}});
}

Extent Extent::nhwc(int64_t n, int64_t h, int64_t w, int64_t c) {
  return channels_last_extent("Extent::nhwc", {{{"N", n}, {"H", h}, {"W", w}, {"C", c}}});
}

Extent Extent::ndhwc(int64_t n, int64_t d, int64_t h, int64_t w, int64_t c) {
  return channels_last_extent("Extent::ndhwc", {{{"N", n}, {"D", d}, {"H", h}, {"W", w}, {"C", c}}});
}

Extent Extent::channels_first(std::span<const int64_t> shape) {
  const std::string maker = "Extent::channels_first";
  check_rank(maker, shape.size());
  std::array<Axis, 5> axes{{{"N", shape[0]}, {"C", shape[1]}}};
  const auto names = spatial_names(shape.size() - 2);
  for (std::size_t i = 2; i < shape.size(); ++i) axes[i] = {names[i - 2], shape[i]};
  return channels_first_extent(maker, std::span(axes).first(shape.size()));
}

Extent Extent::channels_last(std::span<const int64_t> shape) {
  const std::string maker = "Extent::channels_last";
  check_rank(maker, shape.size());
  std::array<Axis, 5> axes{{{"N", shape[0]}}};
  const auto names = spatial_names(shape.size() - 2);
  for (std::size_t i = 1; i + 1 < shape.size(); ++i) axes[i] = {names[i - 1], shape[i]};
  axes[shape.size() - 1] = {"C", shape.back()};
  return channels_last_extent(maker, std::span(axes).first(shape.size()));
}

void check_extent(const char* operation, const Extent& extent, int64_t bytes_per_element) {
  const std::string op = operation;
  check_axis(op, {"extent.outer", extent.outer}, true);
  check_axis(op, {"extent.channels", extent.channels}, false);
  check_axis(op, {"extent.inner", extent.inner}, false);
  core::check_sizes(operation, "extent.channels", extent.channels, bytes_per_element);
  int64_t bytes = bytes_per_element;
  for (const int64_t factor : {extent.channels, extent.inner, extent.outer}) {
    if (__builtin_mul_overflow(bytes, factor, &bytes)) {
      throw Error(ErrorCode::overflow, op + ": " + core::shape_text(extent.outer, extent.channels, extent.inner) +
                                           " of " + std::to_string(bytes_per_element) +
                                           "-byte elements exceeds 64 bits, want at most 9223372036854775807 bytes");
    }
  }
}

}  // namespace unitvar
