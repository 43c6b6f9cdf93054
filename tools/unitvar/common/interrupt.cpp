#include "common/interrupt.hpp"

namespace unitvar::tool {
namespace {

std::atomic<int> received = 0;
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may touch nothing else");

void note_signal(int number) { received = number; }

}  // namespace

Interrupt::Interrupt() {
  received = 0;
  struct sigaction noting {};
  noting.sa_handler = note_signal;
  noting.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
  for (std::size_t k = 0; k < signals.size(); ++k) {
    ::sigaction(signals[k], nullptr, &before_[k]);
    if (before_[k].sa_handler != SIG_IGN) ::sigaction(signals[k], &noting, nullptr);
  }
}

Interrupt::~Interrupt() {
  for (std::size_t k = 0; k < signals.size(); ++k) ::sigaction(signals[k], &before_[k], nullptr);
}

int Interrupt::signal() noexcept { return received; }

void Interrupt::check() {
  if (received != 0) throw Interrupted();
}

}  // namespace unitvar::tool
