#pragma once
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "support/operation.hpp"
#include "unitvar/extent.hpp"

namespace unitvar::test {

enum class Layout { channels_first, channels_last };

/// A call of a function on tensors of any extent.
struct Description {
  void (*function)();
  void (*fill)(Operation&, const Description&, const Extent&);
  std::int64_t size;  ///< of an element, in bytes
  Layout layout;
  bool has_options;
  std::string spans;  ///< such as "x! gamma? y=x=dy var~": ! may be written over, ? is optional, y may be exactly x or
                      ///< dy, ~ is as long as the first span. What is const is an input.
  std::string few;    ///< what is said of one value per channel, if it is refused

  void operator()(Operation& op, const Extent& e) const { fill(op, *this, e); }
};

/// An operation on tensors of any extent, for each storage type and layout.
struct OperationCase {
  std::string name;
  std::vector<Description> descriptions;

  friend void PrintTo(const OperationCase& operation, std::ostream* to) { *to << operation.name; }
};

/// All public operations on the caller's memory.
std::vector<OperationCase> all_operations();

}  // namespace unitvar::test
