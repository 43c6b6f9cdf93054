#pragma once
#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

namespace unitvar::tool {

/// Writes a file so that its path holds either what it held before or all of the new content, whenever the process
/// or the machine stops: into PATH.tmp in the same folder, synced, then renamed. Throws Failure.
void write_file(const std::filesystem::path& path, const std::vector<std::span<const std::byte>>& parts);
void write_file(const std::filesystem::path& path, std::string_view text);

/// Throws the Failure that write_file would throw, for those who work long before they write. Leaves no file.
void check_writable(const std::filesystem::path& path);

}  // namespace unitvar::tool
