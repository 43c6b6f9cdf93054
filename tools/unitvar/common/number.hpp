#pragma once
#include <charconv>
#include <cmath>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>

#include "common/failure.hpp"

namespace unitvar::tool {

/// The number that all of `text` spells in decimal. `what` begins the message: "--steps is '1e3', want a whole number
/// in range". Throws Wrong, a Failure or UsageError.
template <class Number, class Wrong = UsageError>
Number parse_number(std::string_view what, std::string_view text) {
  Number value{};
  const char* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || error != std::errc() || stopped != end) {
    const char* wanted = std::is_floating_point_v<Number> ? "a number" : "a whole number in range";
    throw Wrong("{} is '{}', want {}", what, text, wanted);
  }
  return value;
}

/// The value, but of a NaN without its sign, which means nothing and would be written as "-nan".
[[nodiscard]] inline double unsigned_nan(double value) {
  return std::isnan(value) ? std::numeric_limits<double>::quiet_NaN() : value;
}

}  // namespace unitvar::tool
