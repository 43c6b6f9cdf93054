#include "cpu/runtime/parallel.hpp"

#include <pthread.h>
#include <sys/stat.h>

#include <atomic>

namespace unitvar::cpu {
namespace {

std::atomic<bool> is_alone = false;
thread_local bool leaves_threads = false;

/// Linux has a folder for each thread in /proc/self/task, and counts them as links, besides "." and "..". Where that
/// cannot be read, there may be other threads.
bool has_other_threads() noexcept {
  struct stat tasks {};
  return stat("/proc/self/task", &tasks) != 0 || tasks.st_nlink != 3;
}

/// Registered when the program starts: the caller may use OpenMP, and fork, before it makes any call.
[[maybe_unused]] const int watches_forks = pthread_atfork([] { leaves_threads = has_other_threads(); }, nullptr,
                                                          [] { is_alone = is_alone || leaves_threads; });

}  // namespace

bool forked_beside_threads() noexcept { return is_alone; }

}  // namespace unitvar::cpu
