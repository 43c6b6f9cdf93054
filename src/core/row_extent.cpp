#include "unitvar/row_extent.hpp"

#include <string>

#include "core/limits.hpp"
#include "unitvar/error.hpp"

namespace unitvar {
namespace {

using std::int64_t;

std::string axis_text(std::size_t axis) { return "shape[" + std::to_string(axis) + "]"; }

void check_axes(const char* operation, std::span<const int64_t> shape, std::size_t first_normalized) {
  for (std::size_t k = 0; k < shape.size(); ++k) {
    const int64_t least = k < first_normalized ? 0 : 1;
    if (shape[k] >= least) continue;
    throw Error(ErrorCode::bad_extent, std::string(operation) + ": " + axis_text(k) + " is " +
                                           std::to_string(shape[k]) + ", want >= " + std::to_string(least));
  }
}

int64_t product(const char* operation, std::span<const int64_t> factors) {
  int64_t result = 1;
  for (const int64_t factor : factors) {
    if (__builtin_mul_overflow(result, factor, &result)) {
      throw Error(ErrorCode::overflow,
                  std::string(operation) + ": the product of axes exceeds 64 bits, want at most 9223372036854775807");
    }
  }
  return result;
}

}  // namespace

RowExtent RowExtent::from_axis(std::span<const int64_t> shape, int64_t axis) {
  constexpr auto operation = "RowExtent::from_axis";
  const auto rank = static_cast<int64_t>(shape.size());
  if (rank == 0) {
    throw Error(ErrorCode::bad_argument, std::string(operation) + ": shape has rank 0, want 1 or more");
  }
  if (axis < -rank || axis >= rank) {
    throw Error(ErrorCode::bad_argument, std::string(operation) + ": axis is " + std::to_string(axis) + ", want " +
                                             std::to_string(-rank) + " to " + std::to_string(rank - 1) +
                                             " for a shape of rank " + std::to_string(rank));
  }
  const auto first_normalized = static_cast<std::size_t>(axis < 0 ? axis + rank : axis);
  check_axes(operation, shape, first_normalized);
  const RowExtent extent{product(operation, shape.first(first_normalized)),
                         product(operation, shape.subspan(first_normalized))};
  product(operation, shape);
  return extent;
}

void check_extent(const char* operation, const RowExtent& extent, int64_t bytes_per_element) {
  const auto check = [operation](const char* name, int64_t value, int64_t least) {
    if (value >= least) return;
    throw Error(ErrorCode::bad_extent, std::string(operation) + ": extent." + name + " is " + std::to_string(value) +
                                           ", want >= " + std::to_string(least));
  };
  check("rows", extent.rows, 0);
  check("length", extent.length, 1);
  core::check_sizes(operation, "extent.length", extent.length, bytes_per_element);
  int64_t bytes = bytes_per_element;
  if (__builtin_mul_overflow(bytes, extent.length, &bytes) || __builtin_mul_overflow(bytes, extent.rows, &bytes)) {
    throw Error(ErrorCode::overflow, std::string(operation) + ": RowExtent{" + std::to_string(extent.rows) + ", " +
                                         std::to_string(extent.length) + "} of " + std::to_string(bytes_per_element) +
                                         "-byte elements exceeds 64 bits, want at most 9223372036854775807 bytes");
  }
}

}  // namespace unitvar
