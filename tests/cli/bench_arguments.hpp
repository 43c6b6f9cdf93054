#pragma once
#include <string>
#include <vector>

namespace unitvar::testing {

/// `unitvar bench` on one small shape, measured once, with these arguments besides.
inline std::vector<std::string> quick(const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {"bench", "--repeat", "1", "--shape", "6,5,4,3", "--threads", "1"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

}  // namespace unitvar::testing
