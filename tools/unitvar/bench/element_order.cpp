#include "bench/element_order.hpp"

#include <algorithm>
#include <cstdint>

namespace unitvar::bench {
namespace {

// Address arithmetic of one image: element (c, s) stands at channel(c) + s * step.
struct Image {
  std::int64_t points, block, size;

  explicit Image(const ElementOrder& order)
      : points(order.shape.points()),
        block(order.block),
        size((order.shape.c + order.block - 1) / order.block * order.block * points) {}
  [[nodiscard]] std::int64_t channel(std::int64_t c) const { return c / block * block * points + c % block; }
};

// Few enough channels and points at a time that the lines of both orders stay in the cache.
constexpr std::int64_t channels_at_once = 16, points_at_once = 256;

template <class Element>
void copy_tile(const Element* from, const Image& from_image, Element* to, const Image& to_image, std::int64_t begin,
               std::int64_t channels) {
  for (std::int64_t first = 0; first < from_image.points; first += points_at_once) {
    const std::int64_t last = std::min(first + points_at_once, from_image.points);
    for (std::int64_t c = begin; c < std::min(begin + channels_at_once, channels); ++c) {
      const Element* source = from + from_image.channel(c);
      Element* target = to + to_image.channel(c);
      for (std::int64_t s = first; s < last; ++s) target[s * to_image.block] = source[s * from_image.block];
    }
  }
}

template <class Element>
void copy_as(const void* from, const ElementOrder& from_order, void* to, const ElementOrder& to_order) {
  const Image from_image(from_order), to_image(to_order);
  const Shape& shape = from_order.shape;
#pragma omp parallel for schedule(static)
  for (std::int64_t n = 0; n < shape.n; ++n) {
    for (std::int64_t c = 0; c < shape.c; c += channels_at_once) {
      copy_tile(static_cast<const Element*>(from) + n * from_image.size, from_image,
                static_cast<Element*>(to) + n * to_image.size, to_image, c, shape.c);
    }
  }
}

}  // namespace

void copy_elements(const void* from, const ElementOrder& from_order, void* to, const ElementOrder& to_order,
                   std::size_t bytes_per_element) {
  if (bytes_per_element == 2) {
    copy_as<std::uint16_t>(from, from_order, to, to_order);
  } else {
    copy_as<std::uint32_t>(from, from_order, to, to_order);
  }
}

}  // namespace unitvar::bench
