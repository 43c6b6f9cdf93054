#pragma once
#include <array>
#include <atomic>
#include <csignal>
#include <exception>

namespace unitvar::tool {

/// Work was given up because of a signal.
class Interrupted : public std::exception {
 public:
  [[nodiscard]] const char* what() const noexcept override { return "interrupted"; }
};

/// While one lives, the first SIGINT, SIGTERM or SIGHUP only sets a flag, so that work can stop after a whole step. A
/// second one ends the process as usual. Signals that were ignored before, as SIGHUP is under nohup, stay ignored.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  /// The signal that came, or 0.
  [[nodiscard]] static int signal() noexcept;
  /// Throws Interrupted if one came.
  static void check();

 private:
  static constexpr std::array<int, 3> signals = {SIGINT, SIGTERM, SIGHUP};
  std::array<struct sigaction, signals.size()> before_{};
};

}  // namespace unitvar::tool
