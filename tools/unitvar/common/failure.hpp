#pragma once
#include <fmt/format.h>

#include <stdexcept>
#include <utility>

namespace unitvar::tool {

/// What the user or the machine got wrong, in one line; the program prints it and exits with 1.
class Failure : public std::runtime_error {
 public:
  template <class... Args>
  explicit Failure(fmt::format_string<Args...> format, Args&&... args)
      : std::runtime_error(fmt::format(format, std::forward<Args>(args)...)) {}
};

/// A command line that asks for something impossible; the program prints it and exits with 2.
class UsageError : public Failure {
 public:
  using Failure::Failure;
};

}  // namespace unitvar::tool
