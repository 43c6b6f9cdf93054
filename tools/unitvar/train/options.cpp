#include "train/options.hpp"

#include <algorithm>
#include <cmath>
#include <thread>

#include "common/failure.hpp"

namespace unitvar::train {
namespace {

constexpr std::int64_t max_steps = 1'000'000'000;
constexpr std::int64_t max_batch = 1'000'000;
constexpr std::int64_t max_width = 65'536;
constexpr std::size_t max_layers = 64;
constexpr int max_threads = 1'024;

void check_range(const char* option, std::int64_t value, std::int64_t low, std::int64_t high) {
  if (value < low || value > high) throw tool::UsageError("{} is {}, want {} to {}", option, value, low, high);
}

}  // namespace

void check_options(const Options& options) {
  check_range("--steps", options.steps, 1, max_steps);
  check_range("--batch", options.batch, 1, max_batch);
  if (options.norm != Norm::none && options.batch < 2) {
    throw tool::UsageError("--batch is {}, want at least 2: batch normalization needs a variance", options.batch);
  }
  if (options.hidden.empty() || options.hidden.size() > max_layers) {
    throw tool::UsageError("--hidden has {} layers, want 1 to {}", options.hidden.size(), max_layers);
  }
  for (std::int64_t width : options.hidden) check_range("--hidden", width, 1, max_width);
  if (!std::isfinite(options.lr) || options.lr <= 0) {
    throw tool::UsageError("--lr is {}, want a finite number above 0", options.lr);
  }
  check_range("--threads", options.threads, 0, max_threads);
  check_range("--eval-every", options.eval_every, 1, max_steps);
  check_range("--checkpoint-every", options.checkpoint_every, 1, max_steps);
  if (options.data.empty()) throw tool::UsageError("--data is empty, want a folder");
  if (options.out.empty()) throw tool::UsageError("--out is empty, want a folder");
  if (options.force && options.resume) {
    throw tool::UsageError("--force deletes the run that --resume continues, want one of them");
  }
}

int thread_count(const Options& options) {
  if (options.threads > 0) return options.threads;
  return static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1U, static_cast<unsigned>(max_threads)));
}

}  // namespace unitvar::train
