#include "train/output_folder.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <cstring>

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

void OutputFolder::clear() const {
  for (const char* network : {"batch", "none"}) {
    fs::remove(checkpoint(network));
    fs::remove(model(network));
  }
  for (const char* name : {"history.csv", "percentiles.csv", "summary.txt"}) fs::remove(file(name));
  for (const char* picture : {"accuracy", "percentiles"}) {
    for (const char* ending : {".gnuplot", ".png", ".svg"}) fs::remove(file(picture + std::string(ending)));
  }
}

}  // namespace unitvar::train
