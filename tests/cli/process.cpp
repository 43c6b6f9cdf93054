#include "cli/process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>

namespace unitvar::testing {
namespace {

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (std::string& string : strings) result.push_back(string.data());
  result.push_back(nullptr);
  return result;
}

std::vector<std::string> merged_environment(const std::vector<std::string>& replacements) {
  std::vector<std::string> result = replacements;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string variable = *entry;
    const std::string name = variable.substr(0, variable.find('=') + 1);
    if (std::ranges::none_of(replacements, [&](const auto& other) { return other.starts_with(name); })) {
      result.push_back(variable);
    }
  }
  return result;
}

}  // namespace

Process::Process(std::vector<std::string> arguments, const std::vector<std::string>& environment,
                 const std::vector<std::string>& launcher) {
  arguments.insert(arguments.begin(), UNITVAR_PROGRAM);
  arguments.insert(arguments.begin(), launcher.begin(), launcher.end());
  std::vector<std::string> variables = merged_environment(environment);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  const int flags = O_WRONLY | O_CREAT | O_TRUNC;
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, (folder_ / "out").c_str(), flags, 0600);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, (folder_ / "err").c_str(), flags, 0600);
  const int error = ::posix_spawn(&process_, arguments.front().c_str(), &actions, nullptr, pointers(arguments).data(),
                                  pointers(variables).data());
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::runtime_error("cannot start " + arguments.front());
}

Process::~Process() {
  if (ended_) return;
  signal(SIGKILL);
  wait();
}

void Process::signal(int number) const { ::kill(process_, number); }

std::vector<pid_t> Process::children() const {
  std::vector<pid_t> found;
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc")) {
    if (std::isdigit(static_cast<unsigned char>(entry.path().filename().c_str()[0])) == 0) continue;
    const std::string stat = read_bytes(entry.path() / "stat");  // pid (name) state parent ...
    const std::size_t name_end = stat.rfind(')');
    if (name_end == std::string::npos) continue;
    if (std::atoi(stat.c_str() + name_end + 4) == process_) found.push_back(std::atoi(stat.c_str()));
  }
  return found;
}

void Process::note(int status) {
  ended_ = true;
  result_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int Process::wait() {
  int status = 0;
  while (!ended_) {
    if (::waitpid(process_, &status, 0) == process_)
      note(status);
    else if (errno != EINTR)
      throw std::runtime_error("waitpid failed");
  }
  return result_;
}

bool Process::running() {
  int status = 0;
  if (!ended_ && ::waitpid(process_, &status, WNOHANG) == process_) note(status);
  return !ended_;
}

Ending run_program(std::vector<std::string> arguments, const std::vector<std::string>& environment,
                   const std::vector<std::string>& launcher) {
  Process process(std::move(arguments), environment, launcher);
  const int code = process.wait();
  return {code, process.output(), process.errors()};
}

std::vector<std::string> tiny_training(const fs::path& data, const fs::path& out,
                                       const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {"train",   "--data", data.string(),  "--out", out.string(), "--hidden", "8,6",
                                        "--batch", "12",     "--eval-every", "20",    "--threads",  "2"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

}  // namespace unitvar::testing
