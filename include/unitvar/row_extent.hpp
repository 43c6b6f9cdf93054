#pragma once
#include <cstdint>
#include <span>

#include "unitvar/api.hpp"

namespace unitvar {

/// The shape of a contiguous tensor as layer and RMS normalization see it: `rows` rows of `length` elements, each row
/// normalized by itself. Element i of row r stands at r * length + i. rows = 0 is an empty batch and legal; length is
/// at least 1.
///
///   const std::vector<std::int64_t> shape = {32, 128, 768};
///   const auto extent = unitvar::RowExtent::from_axis(shape);  // {4096, 768}
struct UNITVAR_API RowExtent {
  std::int64_t rows = 0;
  std::int64_t length = 0;

  /// The rows of a tensor that is normalized over its axes from `axis` to the last, as in ONNX LayerNormalization and
  /// RMSNormalization. rows is the product of the axes before, length that of the axes from `axis` on. A negative axis
  /// counts from the end: -1 is the last one. A shape of rank 1 is one row. A tensor whose leading axes hold a zero is
  /// empty. Throws Error: bad_argument if the rank is 0, or axis is not within -rank ... rank - 1; bad_extent if an
  /// axis is negative, or zero among those that are normalized over; overflow.
  static RowExtent from_axis(std::span<const std::int64_t> shape, std::int64_t axis = -1);

  /// Elements of the tensor. Needs a checked extent (see check_extent).
  [[nodiscard]] constexpr std::int64_t size() const noexcept { return rows * length; }

  friend constexpr bool operator==(const RowExtent&, const RowExtent&) = default;
};

/// Checks an extent. Throws Error (bad_extent, overflow) unless 1 <= length <= 2^48 and rows >= 0. The tensor's size
/// in bytes must fit a signed 64-bit integer (overflow). bytes_per_element must be 1 or more (bad_argument).
/// `operation` begins the message.
UNITVAR_API void check_extent(const char* operation, const RowExtent& extent, std::int64_t bytes_per_element);

}  // namespace unitvar
