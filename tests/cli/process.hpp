#pragma once
#include <sys/types.h>

#include <string>
#include <vector>

#include "cli/files.hpp"

namespace unitvar::testing {

/// The unitvar program at work. Its output goes to files in a folder of its own.
class Process {
 public:
  /// `environment` replaces variables, as NAME=value. `launcher`: a program, by its path, that starts ours, and its own
  /// arguments.
  explicit Process(std::vector<std::string> arguments, const std::vector<std::string>& environment = {},
                   const std::vector<std::string>& launcher = {});
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void signal(int number) const;
  /// The processes that this one has started.
  [[nodiscard]] std::vector<pid_t> children() const;
  /// The exit code, or minus the signal that ended it. May be called again.
  int wait();
  [[nodiscard]] bool running();
  [[nodiscard]] std::string output() const { return read_bytes(folder_ / "out"); }
  [[nodiscard]] std::string errors() const { return read_bytes(folder_ / "err"); }

 private:
  void note(int status);

  TemporaryFolder folder_;
  pid_t process_ = 0;
  bool ended_ = false;
  int result_ = 0;
};

struct Ending {
  int code;
  std::string output, errors;
};

/// Runs the program to its end.
Ending run_program(std::vector<std::string> arguments, const std::vector<std::string>& environment = {},
                   const std::vector<std::string>& launcher = {});

/// A launcher by which a shell starts the program: `before` it runs, ending in ";", and `behind` it stand redirections.
inline std::vector<std::string> by_shell(const std::string& before, const std::string& behind = "") {
  return {"/bin/sh", "-c", before + R"( exec "$0" "$@" )" + behind};
}

/// `unitvar train` on tiny data, tiny networks and few steps, with more arguments behind (which win).
std::vector<std::string> tiny_training(const fs::path& data, const fs::path& out,
                                       const std::vector<std::string>& more = {});

}  // namespace unitvar::testing
