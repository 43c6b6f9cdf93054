#include "common/output_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>
#include <random>

#include "common/descriptor.hpp"
#include "common/failure.hpp"

namespace unitvar::tool {
namespace {

namespace fs = std::filesystem;

constexpr int most_links = 40;             // as many as Linux follows
constexpr std::size_t longest_kept = 200;  // of a name, so that the temporary one is not too long
constexpr std::string_view unfinished_ending = ".tmp";
constexpr std::size_t random_digits = 16;  // two numbers of std::random_device

[[noreturn]] void fail_to_write(const fs::path& path) {
  throw Failure("cannot write {}: {}", path.string(), std::strerror(errno));
}

fs::path folder_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : "."; }

/// Where a path leads.
struct Target {
  fs::path path;
  bool replaced;  ///< by a new file; else written to as it is
};

// A link below /proc is an open file of some process, which need not have a name any more.
bool is_open_file(const fs::path& link) {
  std::error_code missing;
  return fs::weakly_canonical(folder_of(link), missing).string().starts_with("/proc/");
}

Target target_of(const fs::path& path) {
  if (path == standard_output) return {path, false};
  fs::path target = path;
  for (int links = 0; fs::is_symlink(target); ++links) {
    if (is_open_file(target)) return {target, false};
    if (links == most_links) throw Failure("cannot write {}: {}", path.string(), std::strerror(ELOOP));
    target = folder_of(target) / fs::read_symlink(target);
  }
  const fs::file_status status = fs::status(target);
  if (fs::is_directory(status)) throw Failure("cannot write {}: it is a folder", path.string());
  return {target, !fs::exists(status) || fs::is_regular_file(status)};
}

Target find_target(const fs::path& path) {
  try {
    return target_of(path);
  } catch (const fs::filesystem_error& error) {
    throw Failure("cannot write {}: {}", path.string(), error.code().message());
  }
}

void write_all(int file, std::span<const std::byte> bytes, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_to_write(path);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void write_through(const fs::path& target, const std::vector<std::span<const std::byte>>& parts, const fs::path& path) {
  std::fflush(stdout);  // It may be the same, and what was printed before stands before.
  const bool standard = target == standard_output;
  const Descriptor opened(standard ? -1 : ::open(target.c_str(), O_WRONLY | O_APPEND | O_NOCTTY | O_CLOEXEC));
  const int file = standard ? STDOUT_FILENO : opened.get();
  if (file < 0) fail_to_write(path);
  for (const std::span<const std::byte> part : parts) write_all(file, part, path);
}

/// A new file beside the target, removed at the end unless it was renamed. Its name cannot be foreseen, and what has
/// the name all the same, be it a link, is not opened.
class Temporary {
 public:
  Temporary(const fs::path& target, const fs::path& path)
      : target_(target), path_(path), name_(new_name()), file_(open_new()) {}
  ~Temporary() {
    if (!renamed_) ::unlink(name_.c_str());
  }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;

  void write(const std::vector<std::span<const std::byte>>& parts) const {
    for (const std::span<const std::byte> part : parts) write_all(file_.get(), part, path_);
    if (::fsync(file_.get()) != 0) fail_to_write(path_);
  }

  void rename() {
    if (::rename(name_.c_str(), target_.c_str()) != 0) fail_to_write(path_);
    renamed_ = true;
    const Descriptor folder(::open(folder_of(target_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (folder.get() >= 0) ::fsync(folder.get());  // Not every file system can; the file itself is safe.
  }

 private:
  [[nodiscard]] fs::path new_name() const {
    std::random_device random;
    return folder_of(target_) / fmt::format("{}.{:08x}{:08x}{}", target_.filename().string().substr(0, longest_kept),
                                            random(), random(), unfinished_ending);
  }

  // The mode is that of any new file: 0666 less the umask.
  [[nodiscard]] int open_new() const {
    const int file = ::open(name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (file < 0) fail_to_write(path_);
    return file;
  }

  const fs::path& target_;
  const fs::path& path_;  // as the user gave it
  fs::path name_;
  Descriptor file_;
  bool renamed_ = false;
};

fs::path place_of(const Target& target) {
  std::error_code missing;
  return fs::weakly_canonical(folder_of(target.path), missing) / target.path.filename();
}

std::optional<struct stat> status_of(const Target& target) {
  struct stat status {};
  const bool standard = target.path == standard_output;
  const int result = standard ? ::fstat(STDOUT_FILENO, &status) : ::stat(target.path.c_str(), &status);
  return result == 0 ? std::optional(status) : std::nullopt;
}

bool is_same_file(const Target& a, const Target& b) {
  const auto first = status_of(a), second = status_of(b);
  return first && second && first->st_dev == second->st_dev && first->st_ino == second->st_ino;
}

}  // namespace

void check_writable(const fs::path& path) {
  const Target target = find_target(path);
  if (target.path == standard_output) return;
  // Opening a pipe would wait for its reader, or end what he reads.
  if (::access(target.path.c_str(), W_OK) != 0 && (!target.replaced || errno != ENOENT)) fail_to_write(path);
  if (target.replaced) const Temporary probe(target.path, path);
}

void write_file(const fs::path& path, const std::vector<std::span<const std::byte>>& parts) {
  const Target target = find_target(path);
  if (!target.replaced) return write_through(target.path, parts, path);
  Temporary temporary(target.path, path);
  temporary.write(parts);
  temporary.rename();
}

void write_file(const fs::path& path, std::string_view text) {
  write_file(path, std::vector{std::as_bytes(std::span(text))});
}

bool same_output(const fs::path& a, const fs::path& b) {
  const Target first = find_target(a), second = find_target(b);
  // One may be standard output that the shell has opened as the other one's file.
  const bool by_name = first.replaced && second.replaced;
  return by_name ? place_of(first) == place_of(second) : is_same_file(first, second);
}

bool is_unfinished(std::string_view name, std::string_view wanted) {
  if (name.size() != wanted.size() + 1 + random_digits + unfinished_ending.size()) return false;
  const std::string_view digits = name.substr(wanted.size() + 1, random_digits);
  return name.starts_with(wanted) && name[wanted.size()] == '.' && name.ends_with(unfinished_ending) &&
         std::ranges::all_of(digits, [](unsigned char digit) { return std::isxdigit(digit) != 0; });
}

}  // namespace unitvar::tool
