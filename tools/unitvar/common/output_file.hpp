#pragma once
#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

/// Everything that the program writes goes through here.
namespace unitvar::tool {

/// Stands for standard output where a file is asked for.
inline constexpr std::string_view standard_output = "-";

/// Writes a file: into a new file in the same folder, synced, then renamed. So the path holds either its old content or
/// all of the new content, whenever the process or the machine stops. A symbolic link stays; the file that it leads to
/// is replaced. Devices, pipes, `/dev/stdout` and "-" are written to, never replaced. Throws Failure.
void write_file(const std::filesystem::path& path, const std::vector<std::span<const std::byte>>& parts);
void write_file(const std::filesystem::path& path, std::string_view text);

/// Throws the Failure that write_file would throw, for those who work long before they write. Leaves no file.
void check_writable(const std::filesystem::path& path);

/// Whether both names lead to the same file or device.
[[nodiscard]] bool same_output(const std::filesystem::path& a, const std::filesystem::path& b);

/// Whether `name` is that of a file which write_file(FOLDER / wanted) had not finished when its process was killed.
[[nodiscard]] bool is_unfinished(std::string_view name, std::string_view wanted);

}  // namespace unitvar::tool
