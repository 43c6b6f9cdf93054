#include "common/atomic_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/descriptor.hpp"
#include "common/failure.hpp"

namespace unitvar::tool {
namespace {

void write_all(const Descriptor& file, std::span<const std::byte> bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw Failure("cannot write {}: {}", path.string(), std::strerror(errno));
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void sync(const Descriptor& file, const std::filesystem::path& path) {
  if (::fsync(file.get()) != 0) throw Failure("cannot write {}: {}", path.string(), std::strerror(errno));
}

void write_synced(const std::filesystem::path& path, const std::vector<std::span<const std::byte>>& parts) {
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (file.get() < 0) throw Failure("cannot write {}: {}", path.string(), std::strerror(errno));
  for (std::span<const std::byte> part : parts) write_all(file, part, path);
  sync(file, path);
}

std::filesystem::path temporary_of(const std::filesystem::path& path) {
  std::filesystem::path temporary = path;
  temporary += ".tmp";
  return temporary;
}

}  // namespace

void check_writable(const std::filesystem::path& path) {
  if (std::filesystem::is_directory(path)) throw Failure("cannot write {}: it is a folder", path.string());
  const std::filesystem::path temporary = temporary_of(path);
  try {
    write_synced(temporary, {});
  } catch (const Failure&) {
    throw Failure("cannot write {}: {}", path.string(), std::strerror(errno));
  }
  ::unlink(temporary.c_str());
}

void write_file(const std::filesystem::path& path, const std::vector<std::span<const std::byte>>& parts) {
  const std::filesystem::path temporary = temporary_of(path);
  try {
    write_synced(temporary, parts);
    if (::rename(temporary.c_str(), path.c_str()) != 0) {
      throw Failure("cannot write {}: {}", path.string(), std::strerror(errno));
    }
  } catch (const Failure&) {
    ::unlink(temporary.c_str());
    throw;
  }
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  const Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() >= 0) ::fsync(directory.get());  // Not every file system can; the file itself is safe.
}

void write_file(const std::filesystem::path& path, std::string_view text) {
  write_file(path, std::vector{std::as_bytes(std::span(text))});
}

}  // namespace unitvar::tool
