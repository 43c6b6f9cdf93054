#include "core/text.hpp"

#include <array>
#include <charconv>

namespace unitvar::core {

std::string number(double value) {
  std::array<char, 32> buffer;
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return error == std::errc{} ? std::string(buffer.data(), end) : "?";
}

std::string shape_text(std::int64_t outer, std::int64_t channels, std::int64_t inner) {
  return "Extent{" + std::to_string(outer) + ", " + std::to_string(channels) + ", " + std::to_string(inner) + "}";
}

}  // namespace unitvar::core
