#pragma once
#include <functional>
#include <string>

namespace unitvar::bench {

using Work = std::function<void()>;

/// One of those who do the same work, to be timed beside each other.
struct Rival {
  std::string name;
  Work run;
};

}  // namespace unitvar::bench
