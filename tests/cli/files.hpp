#pragma once
#include <unistd.h>
#include <zlib.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

/// Files that the tests of the command line make for themselves.
namespace unitvar::testing {

namespace fs = std::filesystem;

/// A new folder, removed with everything in it at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (fs::temp_directory_path() / "unitvar-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] const fs::path& path() const { return path_; }
  [[nodiscard]] fs::path operator/(const std::string& name) const { return path_ / name; }

 private:
  fs::path path_;
};

inline std::string read_bytes(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_bytes(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

inline std::string gzip(const std::string& bytes) {
  z_stream stream{};
  deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string packed(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

/// An IDX file of unsigned bytes whose header says `shape`, whatever `values` holds.
inline std::string idx_bytes(const std::vector<std::uint32_t>& shape, const std::string& values) {
  std::string bytes = {0, 0, 8, static_cast<char>(shape.size())};
  for (std::uint32_t size : shape) {
    for (int shift : {24, 16, 8, 0}) bytes += static_cast<char>(size >> shift & 0xff);
  }
  return bytes + values;
}

/// `count` images of 4 x 5 pixels that can be told apart: noise, and a light that stands elsewhere for each label.
inline void write_tiny_images(const fs::path& folder, const std::string& prefix, std::uint32_t count) {
  std::string pixels, labels;
  std::uint32_t noise = count;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t label = i % 10;
    labels += static_cast<char>(label);
    for (std::uint32_t j = 0; j < 20; ++j) {
      noise = noise * 1664525U + 1013904223U;
      pixels += static_cast<char>((noise >> 24) / 2 + (j / 2 == label ? 120 : 0));
    }
  }
  write_bytes(folder / (prefix + "-images-idx3-ubyte.gz"), gzip(idx_bytes({count, 4, 5}, pixels)));
  write_bytes(folder / (prefix + "-labels-idx1-ubyte.gz"), gzip(idx_bytes({count}, labels)));
}

/// A data folder for --data: 300 training images, 60 test images.
inline void write_tiny_dataset(const fs::path& folder) {
  fs::create_directories(folder);
  write_tiny_images(folder, "train", 300);
  write_tiny_images(folder, "t10k", 60);
}

}  // namespace unitvar::testing
