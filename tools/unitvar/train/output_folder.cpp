#include "train/output_folder.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "common/failure.hpp"
#include "common/output_file.hpp"

namespace unitvar::train {
namespace {

namespace fs = std::filesystem;

void create(const fs::path& path) {
  std::error_code status;
  fs::create_directories(path, status);
  if (!fs::is_directory(path)) {
    throw tool::Failure("cannot create --out {}: {}", path.string(), status ? status.message() : "not a folder");
  }
}

int lock(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) throw tool::Failure("cannot open --out {}: {}", path.string(), std::strerror(errno));
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    ::close(descriptor);
    throw tool::Failure("--out {} is in use by another run", path.string());
  }
  return descriptor;
}

// What it takes longest to make comes first.
const std::vector<std::string>& names_of_a_run() {
  static const std::vector<std::string> names = {"model-batch.safetensors",
                                                 "model-none.safetensors",
                                                 "checkpoint-batch.safetensors",
                                                 "checkpoint-none.safetensors",
                                                 "history.csv",
                                                 "percentiles.csv",
                                                 "summary.txt",
                                                 "accuracy.gnuplot",
                                                 "accuracy.png",
                                                 "accuracy.svg",
                                                 "percentiles.gnuplot",
                                                 "percentiles.png",
                                                 "percentiles.svg"};
  return names;
}

int create_and_lock(const fs::path& path) {
  create(path);
  return lock(path);
}

}  // namespace

OutputFolder::OutputFolder(const fs::path& path) : path_(path), lock_(create_and_lock(path)) {
  tool::check_writable(file("summary.txt"));
}

fs::path OutputFolder::checkpoint(const std::string& network) const {
  return file("checkpoint-" + network + ".safetensors");
}

fs::path OutputFolder::model(const std::string& network) const { return file("model-" + network + ".safetensors"); }

std::optional<std::string> OutputFolder::holds() const {
  const auto found =
      std::ranges::find_if(names_of_a_run(), [this](const auto& name) { return fs::exists(file(name)); });
  if (found == names_of_a_run().end()) return std::nullopt;
  return *found;
}

void OutputFolder::clear() const {
  for (const std::string& name : names_of_a_run()) fs::remove(file(name));
}

void OutputFolder::clear_unfinished() const {
  for (const fs::directory_entry& entry : fs::directory_iterator(path_)) {
    const std::string name = entry.path().filename().string();
    const auto belongs = [&](const std::string& wanted) { return tool::is_unfinished(name, wanted); };
    if (std::ranges::any_of(names_of_a_run(), belongs)) fs::remove(entry.path());
  }
}

}  // namespace unitvar::train
