#include "common/gnuplot.hpp"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "common/descriptor.hpp"
#include "common/output_file.hpp"

namespace unitvar::tool {
namespace {

namespace fs = std::filesystem;
using namespace std::string_view_literals;

std::string quoted(const std::string& text) {
  std::string result = "'";
  for (const char letter : text) result += letter == '\'' ? std::string("''") : std::string(1, letter);
  return result + "'";
}

std::string terminal(const Picture& picture, const std::string& ending) {
  if (ending == "svg") {
    return fmt::format("set terminal svg size {},{} font 'DejaVu Sans,11' background rgb 'white'\n", picture.width,
                       picture.height);
  }
  return fmt::format(
      "set terminal pngcairo size {},{} font 'DejaVu Sans,11' fontscale 2 linewidth 2 background rgb 'white'\n",
      2 * picture.width, 2 * picture.height);
}

// For those who want other pictures: draws the same ones, under the same names.
std::string whole_script(const Picture& picture, const std::vector<std::string>& endings) {
  std::string script;
  for (const std::string& ending : endings) {
    script += terminal(picture, ending) + "set output " + quoted(picture.name + "." + ending) + "\n" + picture.script;
  }
  return script + "set output\n";
}

bool is_whole(std::string_view bytes, const std::string& ending) {
  if (ending == "svg") return bytes.substr(0, bytes.find_last_not_of(" \r\n") + 1).ends_with("</svg>");
  return bytes.starts_with("\x89PNG\r\n\x1a\n"sv) && bytes.ends_with("\0\0\0\0IEND\xae\x42\x60\x82"sv);
}

/// A file in memory: gnuplot then depends neither on a full disk nor on files of the same name.
class MemoryFile {
 public:
  explicit MemoryFile(const char* name) : file_(::memfd_create(name, MFD_CLOEXEC)) {
    if (file_.get() < 0) fail();
  }
  MemoryFile(const char* name, std::string_view text) : MemoryFile(name) {
    if (::pwrite(file_.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) fail();
  }

  [[nodiscard]] int get() const { return file_.get(); }
  [[nodiscard]] std::string bytes() const {
    const off_t size = ::lseek(file_.get(), 0, SEEK_END);
    if (size < 0) fail();
    std::string bytes(static_cast<std::size_t>(size), '\0');
    if (::pread(file_.get(), bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) fail();
    return bytes;
  }

 private:
  [[noreturn]] static void fail() { throw Failure("no memory for gnuplot's files: {}", std::strerror(errno)); }

  Descriptor file_;
};

struct SpawnActions {
  posix_spawn_file_actions_t actions{};
  SpawnActions() { posix_spawn_file_actions_init(&actions); }
  ~SpawnActions() { posix_spawn_file_actions_destroy(&actions); }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;
};

int wait_for(pid_t process) {
  int status = 0;
  while (::waitpid(process, &status, 0) < 0) {
    if (errno != EINTR) return -1;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// The exit code, or -1.
int run_gnuplot(const fs::path& folder, const MemoryFile& script, const MemoryFile& output) {
  SpawnActions setup;
  posix_spawn_file_actions_adddup2(&setup.actions, script.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&setup.actions, output.get(), STDOUT_FILENO);
  // Where the script's data are.
  if (!folder.empty()) posix_spawn_file_actions_addchdir_np(&setup.actions, folder.c_str());
  std::string program = "gnuplot", from_input = "-";
  const std::array<char*, 3> arguments = {program.data(), from_input.data(), nullptr};
  pid_t process = 0;
  const int error = ::posix_spawnp(&process, "gnuplot", &setup.actions, nullptr, arguments.data(), environ);
  if (error != 0) {
    throw NoGnuplot("cannot run gnuplot: {} (Debian's package gnuplot-nox brings it)", std::strerror(error));
  }
  return wait_for(process);
}

}  // namespace

bool is_picture_name(const fs::path& path) {
  const std::string ending = path.extension().string();
  return ending == ".png" || ending == ".svg";
}

std::string without_indices(std::string text) {
  for (std::size_t at = 0; (at = text.find('_', at)) != std::string::npos; at += 3) text.replace(at, 1, "\\\\_");
  return text;
}

std::string render(const fs::path& folder, const Picture& picture, const std::string& ending) {
  const MemoryFile script("script", terminal(picture, ending) + picture.script);
  const MemoryFile output("picture");
  const int code = run_gnuplot(folder, script, output);
  if (code != 0) throw Failure("gnuplot failed on {}.{}, its exit code is {}", picture.name, ending, code);
  std::string bytes = output.bytes();
  if (!is_whole(bytes, ending)) {
    throw Failure("gnuplot left {}.{} unfinished after {} bytes", picture.name, ending, bytes.size());
  }
  return bytes;
}

void draw_with_gnuplot(const fs::path& folder, const Picture& picture, const std::vector<std::string>& endings) {
  write_file(folder / (picture.name + ".gnuplot"), whole_script(picture, endings));
  for (const std::string& ending : endings) {
    write_file(folder / (picture.name + "." + ending), render(folder, picture, ending));
  }
}

}  // namespace unitvar::tool
