#pragma once
#include <cstdint>
#include <span>

#include "unitvar/api.hpp"

namespace unitvar {

/// The shape of a contiguous tensor, as a normalization sees it.
///
///   const auto extent = unitvar::Extent::nchw(8, 3, 32, 32);  // {8, 3, 1024}
///
/// Element (o, c, i) stands at (o * channels + c) * inner + i. All the usual layouts are of this form:
///
/// | tensor           | outer          | channels | inner           |
/// |------------------|----------------|----------|-----------------|
/// | NC               | N              | C        | 1               |
/// | NCL NCHW NCDHW   | N              | C        | L, H*W, D*H*W   |
/// | NLC NHWC NDHWC   | N*L, N*H*W, .. | C        | 1               |
///
/// A channel has outer * inner values. outer = 0 is an empty batch and legal; channels and inner are at least 1.
/// Every count is a 64-bit signed integer.
struct UNITVAR_API Extent {
  std::int64_t outer = 0;
  std::int64_t channels = 0;
  std::int64_t inner = 0;

  /// Makers, one per layout; the arguments stand in the order of the layout's name.
  /// Each throws Error (bad_extent, overflow) naming the maker and the axis.
  static Extent nc(std::int64_t n, std::int64_t c);
  static Extent ncl(std::int64_t n, std::int64_t c, std::int64_t l);
  static Extent nchw(std::int64_t n, std::int64_t c, std::int64_t h, std::int64_t w);
  static Extent ncdhw(std::int64_t n, std::int64_t c, std::int64_t d, std::int64_t h, std::int64_t w);
  static Extent nlc(std::int64_t n, std::int64_t l, std::int64_t c);
  static Extent nhwc(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c);
  static Extent ndhwc(std::int64_t n, std::int64_t d, std::int64_t h, std::int64_t w, std::int64_t c);

  /// The same from a shape of rank 2 to 5 whose axis 1 (channels first) or last axis (channels last) is C. A shape of
  /// rank 1, (0) included, has no axis for C beside N: bad_extent. One sample of C channels is {1, C}.
  static Extent channels_first(std::span<const std::int64_t> shape);
  static Extent channels_last(std::span<const std::int64_t> shape);

  /// Values per channel, outer * inner: the N of the formulas. Needs a checked extent (see check_extent).
  [[nodiscard]] constexpr std::int64_t count() const noexcept { return outer * inner; }
  /// Elements of the tensor, outer * channels * inner. Needs a checked extent.
  [[nodiscard]] constexpr std::int64_t size() const noexcept { return outer * channels * inner; }
  /// Index of element (o, c, i).
  [[nodiscard]] constexpr std::int64_t index(std::int64_t o, std::int64_t c, std::int64_t i) const noexcept {
    return (o * channels + c) * inner + i;
  }

  friend constexpr bool operator==(const Extent&, const Extent&) = default;
};

/// Checks an extent. Throws Error (bad_extent, overflow) unless 1 <= channels <= 2^48, inner >= 1 and outer >= 0. The
/// tensor's size in bytes must fit a signed 64-bit integer (overflow). bytes_per_element must be 1 or more
/// (bad_argument). `operation` begins the message.
UNITVAR_API void check_extent(const char* operation, const Extent& extent, std::int64_t bytes_per_element);

}  // namespace unitvar
