#pragma once
#include <atomic>

namespace unitvar::train {

/// While one lives, the first SIGINT or SIGTERM only sets a flag, so that training can stop behind a whole step; a
/// second one ends the process as usual.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  /// The signal that came, or 0.
  [[nodiscard]] static int signal() noexcept;
};

}  // namespace unitvar::train
