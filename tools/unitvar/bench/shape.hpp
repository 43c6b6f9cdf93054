#pragma once
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "unitvar/extent.hpp"
#include "unitvar/group_norm.hpp"

namespace unitvar::bench {

/// A tensor of n images of c channels and d x h x w points, met `count` times in one step of its network.
struct Shape {
  std::int64_t n = 1, c = 1, d = 1, h = 1, w = 1;
  std::int64_t count = 1;

  [[nodiscard]] std::int64_t points() const { return d * h * w; }
  friend auto operator<=>(const Shape&, const Shape&) = default;  // NOLINT(modernize-use-nullptr): see RowKey
};

/// The same shape, however often a network has it.
[[nodiscard]] inline Shape counted_once(Shape shape) {
  shape.count = 1;
  return shape;
}

enum class Layout { channels_first, channels_last };

[[nodiscard]] std::string_view layout_name(Layout layout);

/// "50x64x112x112", with d in between only if it is not 1.
[[nodiscard]] std::string shape_text(const Shape& shape);

/// From "N,C", "N,C,L", "N,C,H,W" or "N,C,D,H,W". Throws UsageError.
[[nodiscard]] Shape parse_shape(std::string_view text);

/// Throws Error (overflow) if the tensor's bytes cannot be counted.
[[nodiscard]] Extent extent_of(const Shape& shape, Layout layout);

/// So many groups of each image's channels; 0: as many as there are channels.
[[nodiscard]] Groups sample_groups(const Shape& shape, Layout layout, std::int64_t groups);

}  // namespace unitvar::bench
