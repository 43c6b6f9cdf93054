#pragma once
#include <sys/mount.h>

#include "cli/files.hpp"

namespace unitvar::testing {

/// A disk in memory at a folder, until it is let go of. Only root can mount one.
class Disk {
 public:
  /// `size` is like "16k".
  Disk(const fs::path& folder, const std::string& size) : folder_(folder) {
    fs::create_directories(folder_);
    is_mounted_ = ::mount("none", folder_.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
  }
  ~Disk() { unmount(); }
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;

  [[nodiscard]] bool is_mounted() const noexcept { return is_mounted_; }
  [[nodiscard]] bool make_read_only() {
    return ::mount("none", folder_.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr) == 0;
  }
  /// False if a file on it is still open.
  bool unmount() {
    if (is_mounted_) is_mounted_ = ::umount(folder_.c_str()) != 0;
    return !is_mounted_;
  }

 private:
  fs::path folder_;
  bool is_mounted_ = false;
};

}  // namespace unitvar::testing
