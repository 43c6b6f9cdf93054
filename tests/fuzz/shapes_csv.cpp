#include "bench/suites.hpp"
#include "common/failure.hpp"
#include "fuzz/memory_file.hpp"

/// The reader of `unitvar bench --shapes FILE`.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const unitvar::fuzz::MemoryFile file(data, size);
  try {
    for (const auto& shape : unitvar::bench::read_suite(file.path()).shapes) {
      if (shape.n < 1 || shape.c < 1) __builtin_trap();
    }
  } catch (const unitvar::tool::Failure&) {
  }
  return 0;
}
