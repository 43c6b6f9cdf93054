#include "train/idx.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "common/failure.hpp"
#include "train/byte_source.hpp"

namespace unitvar::train {
namespace {

constexpr std::uint32_t unsigned_bytes = 0x08;
constexpr std::size_t max_bytes = std::size_t{1} << 30;
constexpr std::size_t chunk_bytes = std::size_t{1} << 20;

std::uint32_t read_word(ByteSource& source, const std::filesystem::path& path) {
  std::array<std::uint8_t, 4> bytes{};
  if (source.read(bytes) != bytes.size())
    throw tool::Failure("{}: truncated, the IDX header is incomplete", path.string());
  std::uint32_t word = 0;
  for (std::uint8_t byte : bytes) word = word << 8 | byte;
  return word;
}

std::vector<std::int64_t> read_shape(ByteSource& source, const std::filesystem::path& path, std::size_t rank) {
  const std::uint32_t magic = read_word(source, path);
  const std::uint32_t wanted = unsigned_bytes << 8 | static_cast<std::uint32_t>(rank);
  if (magic != wanted)
    throw tool::Failure("{}: the IDX magic number is {:#010x}, want {:#010x}", path.string(), magic, wanted);
  std::vector<std::int64_t> shape(rank);
  for (std::int64_t& size : shape) size = read_word(source, path);
  return shape;
}

std::size_t claimed_bytes(const std::vector<std::int64_t>& shape, const std::filesystem::path& path) {
  std::size_t bytes = 1;
  for (std::int64_t size : shape) {
    const auto factor = static_cast<std::size_t>(size);
    if (factor == 0)
      throw tool::Failure("{}: the IDX header says {}, want no zero", path.string(), fmt::join(shape, " x "));
    if (factor > max_bytes / bytes) {
      throw tool::Failure("{}: the IDX header says {} bytes, want at most {}", path.string(), fmt::join(shape, " x "),
                          max_bytes);
    }
    bytes *= factor;
  }
  return bytes;
}

}  // namespace

Idx read_idx(const std::filesystem::path& path, std::size_t rank) {
  ByteSource source(path);
  Idx idx{read_shape(source, path, rank), {}};
  const std::size_t claimed = claimed_bytes(idx.shape, path);
  while (idx.values.size() < claimed) {
    const std::size_t have = idx.values.size();
    const std::size_t part = std::min(chunk_bytes, claimed - have);
    idx.values.resize(have + part);
    const std::size_t got = source.read(std::span(idx.values).subspan(have));
    if (got < part) {
      throw tool::Failure("{}: truncated, {} bytes of values, want {} as its header says", path.string(), have + got,
                          claimed);
    }
  }
  std::array<std::uint8_t, 1> more{};
  if (source.read(more) != 0) throw tool::Failure("{}: more than the {} bytes its header says", path.string(), claimed);
  return idx;
}

}  // namespace unitvar::train
