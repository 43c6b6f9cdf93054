#include "train/idx.hpp"
#include "common/failure.hpp"
#include "fuzz/memory_file.hpp"

/// The reader of data sets, plain or gzipped, as labels and as images.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const unitvar::fuzz::MemoryFile file(data, size);
  for (const std::size_t rank : {std::size_t{1}, std::size_t{3}}) {
    try {
      const auto idx = unitvar::train::read_idx(file.path(), rank);
      std::size_t count = 1;
      for (const auto extent : idx.shape) count *= static_cast<std::size_t>(extent);
      if (idx.shape.size() != rank || count != idx.values.size()) __builtin_trap();
    } catch (const unitvar::tool::Failure&) {
    }
  }
  return 0;
}
