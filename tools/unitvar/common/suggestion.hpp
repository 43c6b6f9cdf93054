#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace unitvar::tool {

/// "; did you mean train?" if one of the names is little else than the word, or nothing.
[[nodiscard]] std::string suggestion(std::string_view word, const std::vector<std::string>& names);

}  // namespace unitvar::tool
