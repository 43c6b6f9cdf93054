#include "cpu/runtime/check_options.hpp"

#include <string>

#include "cpu/runtime/isa.hpp"

namespace unitvar::cpu {

void check_options(const core::Arguments& check, const Options& options) {
  const auto& [threads, isa, walk, counts] = options.cpu;
  if (threads < 0) {
    check.fail(ErrorCode::bad_argument,
               "options.cpu.threads is " + std::to_string(threads) + ", want 0 (the default) or more");
  }
  if (walk != Walk::automatic && walk != Walk::resident && walk != Walk::streamed) {
    check.fail(ErrorCode::bad_argument, "options.cpu.walk is " + std::to_string(static_cast<int>(walk)) +
                                            ", want a value of unitvar::Walk, 0 to 2");
  }
  check.optional_value("options.cpu.counts", counts);
  try {
    static_cast<void>(resolve(isa));
  } catch (const Error& error) {
    check.fail(error.code(), error.what());
  }
}

}  // namespace unitvar::cpu
