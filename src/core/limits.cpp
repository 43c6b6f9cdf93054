#include "core/limits.hpp"

#include <string>

#include "unitvar/error.hpp"

namespace unitvar::core {

void check_sizes(const char* operation, const char* name, std::int64_t parameters, std::int64_t bytes_per_element) {
  const auto fail = [&](ErrorCode code, const std::string& what, std::int64_t value, const std::string& wanted) {
    throw Error(code, std::string(operation) + ": " + what + " is " + std::to_string(value) + ", want " + wanted);
  };
  if (bytes_per_element < 1) fail(ErrorCode::bad_argument, "bytes_per_element", bytes_per_element, "1 or more");
  if (parameters > kMostParameters) {
    fail(ErrorCode::overflow, name, parameters, "at most " + std::to_string(kMostParameters));
  }
}

}  // namespace unitvar::core
