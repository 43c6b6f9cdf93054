#include "common/gnuplot.hpp"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "common/atomic_file.hpp"
#include "common/failure.hpp"

namespace unitvar::tool {
namespace {

namespace fs = std::filesystem;

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

// Draws the same picture once for each ending, into files that are renamed only when gnuplot has ended well.
std::string whole_script(const Picture& picture, const std::vector<std::string>& endings) {
  std::string script;
  for (const std::string& ending : endings) {
    script += terminal(picture, ending) + "set output " + quoted(picture.name + "." + ending + ".tmp") + "\n" +
              picture.script;
  }
  return script + "set output\n";
}

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

void run_gnuplot(const fs::path& folder, std::string script_name) {
  SpawnActions setup;
  // Working there, the script needs no path, which would have to be quoted.
  posix_spawn_file_actions_addchdir_np(&setup.actions, folder.c_str());
  std::string program = "gnuplot";
  const std::array<char*, 3> arguments = {program.data(), script_name.data(), nullptr};
  pid_t process = 0;
  const int error = ::posix_spawnp(&process, "gnuplot", &setup.actions, nullptr, arguments.data(), environ);
  if (error != 0) {
    throw Failure("cannot run gnuplot: {} (Debian's package gnuplot-nox brings it)", std::strerror(error));
  }
  const int code = wait_for(process);
  if (code != 0) throw Failure("gnuplot failed on {}", (folder / script_name).string());
}

}  // namespace

void draw_with_gnuplot(const fs::path& folder, const Picture& picture, const std::vector<std::string>& endings) {
  const std::string script_name = picture.name + ".gnuplot";
  write_file(folder / script_name, whole_script(picture, endings));
  run_gnuplot(folder, script_name);
  for (const std::string& ending : endings) {
    const fs::path path = folder / (picture.name + "." + ending);
    fs::rename(path.string() + ".tmp", path);
  }
}

}  // namespace unitvar::tool
