#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// The safetensors format. It has three parts: 8 bytes of header length, little-endian; a JSON header; the tensors'
/// bytes. The header gives each tensor's dtype, shape and place, and a map of strings called __metadata__.
namespace unitvar::train {

using Metadata = std::map<std::string, std::string>;

/// A tensor in the caller's memory, to be written from there or read into it.
struct Tensor {
  std::string name;
  std::string_view dtype;
  std::vector<std::int64_t> shape;
  std::span<std::byte> bytes;
};

template <class T>
constexpr std::string_view dtype_of();
template <>
constexpr std::string_view dtype_of<float>() {
  return "F32";
}
template <>
constexpr std::string_view dtype_of<double>() {
  return "F64";
}
template <>
constexpr std::string_view dtype_of<std::int64_t>() {
  return "I64";
}
template <>
constexpr std::string_view dtype_of<std::uint64_t>() {
  return "U64";
}

template <class T>
Tensor make_tensor(std::string name, std::vector<std::int64_t> shape, std::span<T> values) {
  return {std::move(name), dtype_of<T>(), std::move(shape), std::as_writable_bytes(values)};
}
template <class T>
Tensor make_scalar(std::string name, T& value) {
  return make_tensor(std::move(name), {}, std::span(&value, 1));
}

/// Writes a file (see write_file), with a CRC-32 of metadata and data in the metadata key `crc32`.
void write_safetensors(const std::filesystem::path& path, std::vector<Tensor> tensors, Metadata metadata);

/// Reads what write_safetensors wrote, in two steps: the caller can refuse a file by its header before any memory is
/// taken for its data. Throws Failure. The header is compared with the file's real size first: the tensors must fill
/// the data exactly, without gaps or overlaps.
class SafetensorsReader {
 public:
  struct Entry {
    std::string dtype;
    std::vector<std::int64_t> shape;
    std::uint64_t begin = 0, end = 0;
  };

  explicit SafetensorsReader(const std::filesystem::path& path);

  [[nodiscard]] const Metadata& metadata() const { return metadata_; }
  [[nodiscard]] const std::map<std::string, Entry>& entries() const { return entries_; }

  /// Fills the tensors given, which must be all that the file has, each with the file's dtype and shape; checks the
  /// CRC. If it throws, nothing has been filled.
  void read(const std::vector<Tensor>& tensors);

 private:
  void read_header();
  void parse_header(const std::string& text);
  void check_layout() const;
  void check_against(const std::vector<Tensor>& tensors) const;

  std::filesystem::path path_;
  std::ifstream file_;
  std::uint64_t data_size_ = 0;
  Metadata metadata_;
  std::map<std::string, Entry> entries_;
};

}  // namespace unitvar::train
