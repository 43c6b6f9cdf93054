#pragma once
#include <ostream>
#include <string>
#include <vector>

#include "support/operation.hpp"
#include "unitvar/extent.hpp"

namespace unitvar::test {

/// An operation on tensors of any extent, for each storage type and layout.
struct OperationCase {
  std::string name;
  std::vector<std::function<void(Operation&, const Extent&)>> descriptions;

  friend void PrintTo(const OperationCase& operation, std::ostream* to) { *to << operation.name; }
};

/// All public operations on the caller's memory.
std::vector<OperationCase> all_operations();

}  // namespace unitvar::test
