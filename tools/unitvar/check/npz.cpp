#include "check/npz.hpp"

#include <zip.h>

#include <memory>

#include "common/failure.hpp"

namespace unitvar::check {
namespace {

/// Of one array, unpacked: as much as the largest float64 array that is read.
constexpr zip_uint64_t kMostBytes = zip_uint64_t{1} << 35;

struct Discard {
  void operator()(zip_t* archive) const noexcept { zip_discard(archive); }
  void operator()(zip_file_t* file) const noexcept { zip_fclose(file); }
};

std::unique_ptr<zip_t, Discard> open(const std::filesystem::path& path) {
  int code = 0;
  zip_t* const archive = zip_open(path.c_str(), ZIP_RDONLY, &code);
  if (archive != nullptr) return std::unique_ptr<zip_t, Discard>(archive);
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  const std::string text = zip_error_strerror(&error);
  zip_error_fini(&error);
  throw tool::UsageError("{}: no .npz file: {}", path.string(), text);
}

std::vector<std::byte> unpack(zip_t* archive, zip_uint64_t index, const std::string& where) {
  zip_stat_t stat;
  if (zip_stat_index(archive, index, 0, &stat) != 0 || (stat.valid & ZIP_STAT_SIZE) == 0)
    throw tool::UsageError("{}: the archive does not say how long it is", where);
  if (stat.size > kMostBytes) throw tool::UsageError("{}: {} bytes, want at most {}", where, stat.size, kMostBytes);
  const std::unique_ptr<zip_file_t, Discard> file(zip_fopen_index(archive, index, 0));
  if (file == nullptr) throw tool::UsageError("{}: {}", where, zip_strerror(archive));
  // A broken archive may claim more than it holds, so memory grows with what is there.
  constexpr zip_uint64_t kPart = 1 << 24;
  std::vector<std::byte> bytes;
  while (bytes.size() < stat.size) {
    const std::size_t have = bytes.size(), part = std::min<zip_uint64_t>(kPart, stat.size - have);
    bytes.resize(have + part);
    const zip_int64_t got = zip_fread(file.get(), bytes.data() + have, part);
    if (got != static_cast<zip_int64_t>(part)) throw tool::UsageError("{}: truncated or damaged", where);
  }
  // At its end libzip compares the checksum.
  std::byte more{};
  if (zip_fread(file.get(), &more, 1) != 0) throw tool::UsageError("{}: truncated or damaged", where);
  return bytes;
}

}  // namespace

std::map<std::string, Array> read_npz(const std::filesystem::path& path) {
  const auto archive = open(path);
  std::map<std::string, Array> arrays;
  const zip_int64_t count = zip_get_num_entries(archive.get(), 0);
  for (zip_int64_t k = 0; k < count; ++k) {
    const auto index = static_cast<zip_uint64_t>(k);
    const char* const text = zip_get_name(archive.get(), index, 0);
    std::string name = text == nullptr ? "" : text;
    const std::string where = path.string() + ": " + name;
    if (!name.ends_with(".npy")) throw tool::UsageError("{}: no .npy file", where);
    name.resize(name.size() - 4);
    if (!arrays.emplace(name, read_npy(unpack(archive.get(), index, where), where)).second)
      throw tool::UsageError("{}: there twice", where);
  }
  return arrays;
}

}  // namespace unitvar::check
