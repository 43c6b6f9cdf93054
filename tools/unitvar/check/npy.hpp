#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace unitvar::check {

/// An array of a NumPy file, its values in C order.
struct Array {
  std::string dtype;  ///< "f2", "f4", "f8" or "bf16"
  std::vector<std::int64_t> shape;
  std::vector<double> values;
};

/// Reads the bytes of a .npy file (format 1.0 to 3.0, numpy.lib.format): f2, f4, f8 in both byte orders, and bf16 as
/// ml_dtypes writes it, "V2"; C and Fortran order; any rank. `name` begins the message of the Failure that anything
/// else throws.
Array read_npy(std::span<const std::byte> bytes, std::string_view name);

}  // namespace unitvar::check
