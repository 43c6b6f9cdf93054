#pragma once
#include <zip.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "cli/files.hpp"

/// NumPy's files, as numpy.save and numpy.savez write them.
namespace unitvar::testing {

/// A .npy file of format 1.0: `header` is the dict.
inline std::string npy_bytes(const std::string& header, const std::string& values) {
  std::string dict = header;
  while ((10 + dict.size() + 1) % 64 != 0) dict += ' ';
  dict += '\n';
  std::string bytes = "\x93NUMPY";
  bytes += '\x01', bytes += '\0';
  bytes += static_cast<char>(dict.size() & 255), bytes += static_cast<char>(dict.size() >> 8);
  return bytes + dict + values;
}

inline std::string header_of(const std::string& descr, const std::string& shape, bool fortran = false) {
  return "{'descr': '" + descr + "', 'fortran_order': " + (fortran ? "True" : "False") + ", 'shape': " + shape + ", }";
}

template <class T>
std::string raw(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

/// float32 of a shape like "(2, 3)".
inline std::string floats(const std::string& shape, const std::vector<double>& values) {
  return npy_bytes(header_of("<f4", shape), raw(std::vector<float>(values.begin(), values.end())));
}

/// Not compressed, as numpy.savez leaves them.
inline void write_npz(const fs::path& path, const std::map<std::string, std::string>& files) {
  zip_t* const archive = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, nullptr);
  if (archive == nullptr) throw std::runtime_error("zip_open failed");
  for (const auto& [name, bytes] : files) {
    zip_source_t* const source = zip_source_buffer(archive, bytes.data(), bytes.size(), 0);
    const zip_int64_t at = source == nullptr ? -1 : zip_file_add(archive, name.c_str(), source, 0);
    if (at < 0 || zip_set_file_compression(archive, static_cast<zip_uint64_t>(at), ZIP_CM_STORE, 0) != 0)
      throw std::runtime_error("zip failed");
  }
  if (zip_close(archive) != 0) throw std::runtime_error("zip_close failed");
}

}  // namespace unitvar::testing
