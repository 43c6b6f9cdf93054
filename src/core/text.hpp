#pragma once
#include <cstdint>
#include <string>

namespace unitvar::core {

/// The shortest decimal that reads back as this double, for error messages: "1e-05", "nan".
std::string number(double value);

/// "Extent{32, 64, 3136}".
std::string shape_text(std::int64_t outer, std::int64_t channels, std::int64_t inner);

}  // namespace unitvar::core
