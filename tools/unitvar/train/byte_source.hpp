#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

namespace unitvar::train {

/// The bytes of a file, in order; a gzip file is unpacked on the way. Memory use does not depend on the file.
class ByteSource {
 public:
  /// Throws Failure if the file cannot be opened.
  explicit ByteSource(const std::filesystem::path& path);
  ~ByteSource();
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;

  /// Fills `out`, or as much of it as there is left, and returns how much. A gzip file must be one whole stream whose
  /// checksum and length are right, with nothing behind it. Else it throws Failure, at the latest in the call that
  /// returns less than it was asked for.
  std::size_t read(std::span<std::uint8_t> out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace unitvar::train
