#include <vector>

#include "common/failure.hpp"
#include "fuzz/memory_file.hpp"
#include "train/safetensors.hpp"

/// The reader of checkpoints: every entry lies within the file, and what it reads into is what it said.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const unitvar::fuzz::MemoryFile file(data, size);
  try {
    unitvar::train::SafetensorsReader reader(file.path());
    std::vector<std::vector<float>> memory;
    std::vector<unitvar::train::Tensor> tensors;
    for (const auto& [name, entry] : reader.entries()) {
      if (entry.begin > entry.end || entry.end > size) __builtin_trap();
      memory.emplace_back((entry.end - entry.begin) / sizeof(float));
      tensors.push_back(unitvar::train::make_tensor(name, entry.shape, std::span(memory.back())));
    }
    reader.read(tensors);
  } catch (const unitvar::tool::Failure&) {
  }
  return 0;
}
