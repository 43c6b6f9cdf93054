#pragma once
#include <fmt/format.h>

#include <cstdio>
#include <string_view>
#include <utility>

namespace unitvar::tool {

/// Opens /dev/null for each of standard input, output and error that is closed. Otherwise the next file opened would
/// take its place.
void open_standard_streams();

/// Writes text to standard output or error and on to its reader. Throws Failure if it does not arrive.
void print(std::string_view text, std::FILE* to = stdout);

/// Tells on standard error, as well as that can be done: nobody could be told that it failed.
template <class... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
  std::fputs(fmt::format(format, std::forward<Args>(args)...).c_str(), stderr);
}

}  // namespace unitvar::tool
