#pragma once
#include <string_view>

namespace unitvar {

/// Version of the headers, as in CMakeLists.txt; semantic versioning, 0.x: the API may still change.
inline constexpr std::string_view version = "0.2.0";

}  // namespace unitvar
