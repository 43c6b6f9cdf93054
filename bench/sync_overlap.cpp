#include <cstdio>
#include <cstdlib>
#include <random>
#include <thread>
#include <vector>

#include "bench/timing.hpp"
#include "unitvar/batch_norm.hpp"
#include "unitvar/thread_group.hpp"

/// What overlap hides of a network's latency: two ranks, threads of this process, whose frames take a given time. A
/// forward and a backward of synchronized batch normalization, without overlap and with it, in turns.
namespace unitvar::bench {
namespace {

constexpr int kRanks = 2, kRounds = 21;
constexpr Extent kExtent{32, 256, 784};  // of each rank

struct Batch {
  std::vector<float> x, dy, y, dx, dgamma, dbeta;
  std::vector<double> mean, rstd;

  explicit Batch(unsigned seed)
      : x(size()), dy(size()), y(size()), dx(size()), dgamma(256), dbeta(256), mean(256), rstd(256) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0.5F, 2);
    for (float& v : x) v = normal(random);
    for (float& v : dy) v = normal(random);
  }
  static std::size_t size() { return static_cast<std::size_t>(kExtent.size()); }

  void step(Communicator* ranks) {
    const Options options{.cpu = {.threads = 1}, .communicator = ranks};
    batch_norm_forward<float>({.extent = kExtent, .x = x, .y = y, .mean = mean, .rstd = rstd}, options);
    batch_norm_backward<float>(
        {.extent = kExtent, .x = x, .dy = dy, .mean = mean, .rstd = rstd, .dx = dx, .dgamma = dgamma, .dbeta = dbeta},
        options);
  }
};

struct Measured {
  double seconds, waited;  ///< of a step of rank 0
  std::int64_t frames;
};

Measured measure(std::vector<Batch>& batches, const SyncOptions& options, std::chrono::nanoseconds latency) {
  ThreadGroup group(kRanks, options, latency);
  std::vector<double> seconds, waited;
  const auto work = [&](int rank) {
    Communicator& ranks = group.communicator(rank);
    for (int round = 0; round < kRounds; ++round) {
      const double before = ranks.counters().seconds_waited;
      const double took = seconds_of([&] { batches[static_cast<std::size_t>(rank)].step(&ranks); }, 1);
      if (rank > 0) continue;
      seconds.push_back(took);
      waited.push_back(ranks.counters().seconds_waited - before);
    }
  };
  std::thread other(work, 1);
  work(0);
  other.join();
  return {median(seconds), median(waited), group.communicator(0).counters().frames / kRounds};
}

int run() {
  std::vector<Batch> batches;
  for (unsigned rank = 0; rank < kRanks; ++rank) batches.emplace_back(rank);
  std::vector<double> alone;
  for (int round = 0; round < kRounds; ++round) alone.push_back(seconds_of([&] { batches[0].step(nullptr); }, 1));
  std::printf("Forward and backward of 32 x 256 x 28 x 28 on each of 2 ranks, f32; alone %.2f ms.\n\n",
              median(alone) * 1e3);
  std::printf(
      "| latency, us | block | frames | without overlap, ms | of that waited | with overlap, ms | of that waited |\n");
  std::printf("|---|---|---|---|---|---|---|\n");
  for (const int latency_us : {0, 50, 200, 500, 1000}) {
    for (const std::int64_t block : {256, 64, 32}) {
      const std::chrono::microseconds latency(latency_us);
      const Measured without = measure(batches, {.block_channels = block, .overlap = false}, latency);
      const Measured with = measure(batches, {.block_channels = block, .overlap = true}, latency);
      std::printf("| %d | %lld | %lld | %.2f | %.2f | %.2f | %.2f |\n", latency_us, static_cast<long long>(block),
                  static_cast<long long>(with.frames), without.seconds * 1e3, without.waited * 1e3, with.seconds * 1e3,
                  with.waited * 1e3);
    }
  }
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace unitvar::bench

int main() { return unitvar::bench::run(); }
