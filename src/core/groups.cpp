#include <string>

#include "unitvar/error.hpp"
#include "unitvar/group_norm.hpp"

namespace unitvar {
namespace {

using std::int64_t;

/// Rows of a channels-last sample: the product of the axes between the first and the last.
int64_t spatial_size(std::span<const int64_t> shape) noexcept {
  int64_t product = 1;
  for (const int64_t size : shape.subspan(1, shape.size() - 2)) product *= size;
  return product;
}

void check_divides(const char* operation, const std::string& name, int64_t divisor, const std::string& of, int64_t n) {
  if (divisor > 0 && n % divisor == 0) return;
  throw Error(ErrorCode::bad_extent, std::string(operation) + ": " + name + " is " + std::to_string(divisor) +
                                         ", want a divisor of " + of + " = " + std::to_string(n));
}

}  // namespace

Groups Groups::channels_first(std::span<const int64_t> shape, int64_t groups) {
  const Groups result{Extent::channels_first(shape), 1, groups};
  check_groups("Groups::channels_first", result, 1);
  return result;
}

Groups Groups::channels_last(std::span<const int64_t> shape, int64_t groups) {
  const Extent extent = Extent::channels_last(shape);
  const Groups result{extent, extent.outer == 0 ? 1 : spatial_size(shape), groups};
  check_groups("Groups::channels_last", result, 1);
  return result;
}

void check_groups(const char* operation, const Groups& groups, int64_t bytes_per_element) {
  check_extent(operation, groups.extent, bytes_per_element);
  check_divides(operation, "sample_rows", groups.sample_rows, "extent.outer", groups.extent.outer);
  if (groups.groups != 0) check_divides(operation, "groups", groups.groups, "extent.channels", groups.extent.channels);
}

}  // namespace unitvar
