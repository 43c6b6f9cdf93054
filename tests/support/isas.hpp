#pragma once
#include <gtest/gtest.h>

#include <string>

#include "unitvar/options.hpp"

namespace unitvar::test {

/// Calls body(isa) for every instruction set of this machine, after asserting that it is the one that runs.
template <class Body>
void for_each_isa(Body&& body) {
  for (const Isa isa : supported_isas()) {
    SCOPED_TRACE("isa " + std::string(isa_name(isa)));
    ASSERT_EQ(selected_isa(isa), isa);
    body(isa);
  }
}

inline const char* walk_name(Walk walk) {
  return walk == Walk::resident ? "resident" : walk == Walk::streamed ? "streamed" : "automatic";
}

inline constexpr Walk all_walks[] = {Walk::automatic, Walk::resident, Walk::streamed};

inline std::string describe(const Options& options) {
  return "isa " + std::string(isa_name(options.cpu.isa)) + ", walk " + walk_name(options.cpu.walk) + ", threads " +
         std::to_string(options.cpu.threads);
}

}  // namespace unitvar::test
