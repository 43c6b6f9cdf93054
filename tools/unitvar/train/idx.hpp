#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

namespace unitvar::train {

/// An IDX file of unsigned bytes: the format of MNIST and its relatives.
struct Idx {
  std::vector<std::int64_t> shape;
  std::vector<std::uint8_t> values;
};

/// Reads an IDX file of `rank` dimensions, plain or gzipped. Throws Failure naming the file and what is wrong with it.
/// The header is not believed: memory grows with the bytes that really arrive, up to 1 GiB, and their number must
/// then be the header's.
Idx read_idx(const std::filesystem::path& path, std::size_t rank);

}  // namespace unitvar::train
