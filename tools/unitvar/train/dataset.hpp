#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

namespace unitvar::train {

inline constexpr std::int64_t class_count = 10;

/// Images of one byte a pixel, one after the other, and their labels 0 .. 9.
struct Images {
  std::int64_t count = 0, rows = 0, columns = 0;
  std::vector<std::uint8_t> pixels;
  std::vector<std::uint8_t> labels;

  [[nodiscard]] std::int64_t size() const { return rows * columns; }
  [[nodiscard]] const std::uint8_t* image(std::int64_t index) const { return pixels.data() + index * size(); }
};

struct Dataset {
  Images training, test;
  std::uint32_t checksum = 0;  ///< CRC-32 of everything above, so that a checkpoint knows its data
};

/// Reads the four files of MNIST's kind from a folder, each plain or with .gz behind its name. Throws Failure.
Dataset read_dataset(const std::filesystem::path& folder);

/// Writes pixels as numbers in [0, 1].
template <class T>
void scale_pixels(const std::uint8_t* pixels, std::int64_t count, T* out) {
  for (std::int64_t i = 0; i < count; ++i) out[i] = static_cast<T>(pixels[i]) * (T{1} / T{255});
}

}  // namespace unitvar::train
