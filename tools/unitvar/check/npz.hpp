#pragma once
#include <filesystem>
#include <map>
#include <string>

#include "check/npy.hpp"

namespace unitvar::check {

/// The arrays of a .npz file, which is a zip archive of .npy files, by name without ".npy". Throws Failure (a
/// UsageError: exit code 2) for what is no such file.
std::map<std::string, Array> read_npz(const std::filesystem::path& path);

}  // namespace unitvar::check
