#include "reference/check.hpp"

#include <string>

#include "unitvar/error.hpp"

namespace unitvar::reference::detail {

void require_elements(const char* operation, const char* name, const void* data, std::size_t size, std::int64_t want) {
  if (static_cast<std::int64_t>(size) != want) {
    throw Error(ErrorCode::wrong_length, std::string(operation) + ": " + name + " has " + std::to_string(size) +
                                             " elements, want " + std::to_string(want));
  }
  if (want > 0 && data == nullptr) {
    throw Error(ErrorCode::null_data,
                std::string(operation) + ": " + name + " is null, want " + std::to_string(want) + " elements");
  }
}

void fail_eps_not_finite(const char* operation) {
  throw Error(ErrorCode::bad_epsilon, std::string(operation) + ": eps is not finite");
}

void fail_variance(const char* operation, long double var_plus_eps, std::size_t channel) {
  throw Error(ErrorCode::bad_epsilon, std::string(operation) + ": var + eps is " + std::to_string(var_plus_eps) +
                                          " in channel " + std::to_string(channel) + ", want > 0");
}

}  // namespace unitvar::reference::detail
