#pragma once
#include <cstddef>

#include "bench/shape.hpp"

namespace unitvar::bench {

/// Where the elements of a tensor stand: channels in blocks of `block` beside each other, the points of the image
/// around them. 1 is nchw, c (all channels) is nhwc, 16 is nChw16c, whose last block may be padded.
struct ElementOrder {
  Shape shape;
  std::int64_t block;
};

/// Copies a tensor from one order into another, on all threads; elements have 2 or 4 bytes. Padding is left alone.
/// (oneDNN's own reorder may take seconds where this takes a tenth of one.)
void copy_elements(const void* from, const ElementOrder& from_order, void* to, const ElementOrder& to_order,
                   std::size_t bytes_per_element);

}  // namespace unitvar::bench
