#include "check/npz.hpp"

#include <zip.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "check/case_file.hpp"
#include "common/failure.hpp"
#include "fuzz/memory_file.hpp"
#include "unitvar/diagnose.hpp"
#include "unitvar/error.hpp"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

namespace {

struct Close {
  void operator()(zip_source_t* source) const noexcept { zip_source_free(source); }
  void operator()(zip_t* archive) const noexcept { zip_discard(archive); }
  void operator()(zip_file_t* file) const noexcept { zip_fclose(file); }
};
template <class T>
using Closed = std::unique_ptr<T, Close>;

std::vector<std::uint8_t> unpacked(zip_t* archive, zip_uint64_t entry, std::size_t most) {
  std::vector<std::uint8_t> bytes(most);
  const Closed<zip_file_t> file(zip_fopen_index(archive, entry, 0));
  const zip_int64_t got = file == nullptr ? 0 : zip_fread(file.get(), bytes.data(), most);
  bytes.resize(static_cast<std::size_t>(std::max<zip_int64_t>(got, 0)));
  return bytes;
}

/// The archive with a change in one of its arrays, packed again, so that its checksum is right. 0 if it is none.
std::size_t change_an_array(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  constexpr std::size_t kMostOfArray = 4096;
  void* const copy = std::malloc(size);  // libzip frees it, also when it writes
  if (copy == nullptr) return 0;
  std::memcpy(copy, data, size);
  const Closed<zip_source_t> source(zip_source_buffer_create(copy, size, 1, nullptr));
  if (source == nullptr) {
    std::free(copy);
    return 0;
  }
  zip_source_keep(source.get());
  Closed<zip_t> archive(zip_open_from_source(source.get(), 0, nullptr));
  if (archive == nullptr) {
    zip_source_free(source.get());  // the reference that the archive would have had
    return 0;
  }
  const zip_int64_t count = zip_get_num_entries(archive.get(), 0);
  if (count < 1) return 0;
  const auto entry = static_cast<zip_uint64_t>(seed % static_cast<unsigned>(count));
  std::vector<std::uint8_t> array = unpacked(archive.get(), entry, kMostOfArray);
  const std::size_t length = array.size();
  array.resize(kMostOfArray);
  array.resize(LLVMFuzzerMutate(array.data(), length, kMostOfArray));
  zip_source_t* const changed = zip_source_buffer(archive.get(), array.data(), array.size(), 0);
  if (changed == nullptr) return 0;
  if (zip_file_replace(archive.get(), entry, changed, 0) != 0) {
    zip_source_free(changed);
    return 0;
  }
  zip_set_file_compression(archive.get(), entry, ZIP_CM_STORE, 0);
  zip_t* const closing = archive.release();
  if (zip_close(closing) != 0) {
    zip_discard(closing);
    return 0;
  }
  if (zip_source_open(source.get()) != 0) return 0;
  std::vector<std::uint8_t> packed(most);
  const zip_int64_t got = zip_source_read(source.get(), packed.data(), packed.size());
  zip_source_close(source.get());
  if (got <= 0) return 0;
  std::memcpy(data, packed.data(), static_cast<std::size_t>(got));
  return static_cast<std::size_t>(got);
}

}  // namespace

/// Half of the time whole arrays are changed: other changes mostly end at the checksum.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  const std::size_t changed = seed % 2 == 0 ? change_an_array(data, size, most, seed / 2) : 0;
  return changed > 0 ? changed : LLVMFuzzerMutate(data, size, most);
}

/// `unitvar check CASE.npz` up to its verdict: the container, the arrays, what they are, the diagnosis of small ones.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kMostElements = 256;
  const unitvar::fuzz::MemoryFile file(data, size);
  try {
    const auto arrays = unitvar::check::read_npz(file.path());
    const unitvar::DiagnosisCase given = unitvar::check::case_of(arrays, {});
    if (given.x.size() <= kMostElements) static_cast<void>(to_string(diagnose(given)));
  } catch (const unitvar::tool::Failure&) {
  } catch (const unitvar::Error&) {
  }
  return 0;
}
