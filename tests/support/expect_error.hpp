#pragma once
#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

#include "unitvar/error.hpp"

namespace unitvar::test {

inline const char* code_name(ErrorCode code) {
  constexpr const char* names[] = {"null_data",      "wrong_length",    "bad_extent",   "overflow",
                                   "too_few_values", "bad_epsilon",     "overlap",      "bad_argument",
                                   "bad_state",      "unsupported_isa", "disagreement", "communication"};
  return names[static_cast<int>(code)];
}

/// Expects call() to throw Error with this code and a message that contains each of `parts`.
template <class Call>
void expect_error(ErrorCode code, std::initializer_list<std::string> parts, Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_STREQ(code_name(error.code()), code_name(code)) << error.what();
    const std::string message = error.what();
    for (const std::string& part : parts) {
      EXPECT_NE(message.find(part), std::string::npos) << "no '" << part << "' in: " << message;
    }
    return;
  }
  ADD_FAILURE() << "accepted, want Error " << code_name(code);
}

}  // namespace unitvar::test
