#include "train/gnuplot.hpp"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "train/atomic_file.hpp"
#include "train/failure.hpp"

namespace unitvar::train {
namespace {

// Draws the same picture twice, into files that are renamed only when gnuplot has ended well.
std::string whole_script(const Picture& picture) {
  const auto& [name, script, width, height] = picture;
  return fmt::format(
      "set terminal svg size {0},{1} font 'DejaVu Sans,11' background rgb 'white'\n"
      "set output '{2}.svg.tmp'\n{3}"
      "set terminal pngcairo size {4},{5} font 'DejaVu Sans,11' fontscale 2 linewidth 2 background rgb 'white'\n"
      "set output '{2}.png.tmp'\n{3}"
      "set output\n",
      width, height, name, script, 2 * width, 2 * height);
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

void run_gnuplot(const OutputFolder& folder, std::string script_name) {
  SpawnActions setup;
  // Working there, the script needs no path, which would have to be quoted.
  posix_spawn_file_actions_addchdir_np(&setup.actions, folder.path().c_str());
  std::string program = "gnuplot";
  const std::array<char*, 3> arguments = {program.data(), script_name.data(), nullptr};
  pid_t process = 0;
  const int error = ::posix_spawnp(&process, "gnuplot", &setup.actions, nullptr, arguments.data(), environ);
  if (error != 0) {
    throw Failure("cannot run gnuplot: {} (Debian's package gnuplot-nox brings it)", std::strerror(error));
  }
  const int code = wait_for(process);
  if (code != 0) throw Failure("gnuplot failed on {}", folder.file(script_name).string());
}

}  // namespace

void draw_with_gnuplot(const OutputFolder& folder, const Picture& picture) {
  const std::string script_name = picture.name + ".gnuplot";
  write_file(folder.file(script_name), whole_script(picture));
  run_gnuplot(folder, script_name);
  for (const char* ending : {".svg", ".png"}) {
    const std::filesystem::path path = folder.file(picture.name + ending);
    std::filesystem::rename(folder.file(picture.name + ending + ".tmp"), path);
  }
}

}  // namespace unitvar::train
