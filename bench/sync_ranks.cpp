#include <array>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "bench/timing.hpp"
#include "unitvar/batch_norm.hpp"
#include "unitvar/mpi.hpp"

/// What synchronized batch normalization costs on MPI ranks. It measures the time of one exchange by its bytes. It also
/// measures all batch normalizations of ResNet-50, forward and backward, with and without synchronization. Rank 0
/// prints lines for script/scaling:
///
///   exchange,RANKS,BYTES,MICROSECONDS
///   step,RANKS,ALONE_MS,SYNCHRONIZED_MS,WAITED_MS,EXCHANGES,BYTES
namespace unitvar::bench {
namespace {

struct Layer {
  std::int64_t channels, side;
  int count;
};
constexpr std::array<Layer, 9> kResNet50 = {{{64, 112, 1},
                                             {256, 56, 4},
                                             {64, 56, 6},
                                             {512, 28, 5},
                                             {128, 28, 8},
                                             {1024, 14, 7},
                                             {256, 14, 12},
                                             {2048, 7, 4},
                                             {512, 7, 6}}};
constexpr std::int64_t kImages = 8;  // of each rank
constexpr std::int64_t kBlock = 2048;

/// Memory for the largest of the layers, used by all.
struct Tensors {
  std::vector<float> x, dy, out, dgamma, dbeta;
  std::vector<double> mean, rstd;

  explicit Tensors(int rank) : dgamma(kBlock), dbeta(kBlock), mean(kBlock), rstd(kBlock) {
    std::size_t most = 0;
    for (const Layer& l : kResNet50) most = std::max(most, static_cast<std::size_t>(extent_of(l).size()));
    std::mt19937 random(static_cast<unsigned>(rank));
    std::normal_distribution<float> normal(0.5F, 2);
    x.resize(most), dy.resize(most), out.resize(most);
    for (float& v : x) v = normal(random);
    for (float& v : dy) v = normal(random);
  }
  static Extent extent_of(const Layer& l) { return {kImages, l.channels, l.side * l.side}; }

  void step(Communicator* ranks) {
    const Options options{.cpu = {.threads = 1}, .communicator = ranks};
    for (const Layer& layer : kResNet50) {
      for (int k = 0; k < layer.count; ++k) run(layer, options);
    }
  }
  void run(const Layer& layer, const Options& options) {
    const Extent extent = extent_of(layer);
    const auto size = static_cast<std::size_t>(extent.size()), channels = static_cast<std::size_t>(layer.channels);
    const auto first = [](auto& values, std::size_t n) { return std::span(values).first(n); };
    batch_norm_forward<float>({.extent = extent,
                               .x = first(x, size),
                               .y = first(out, size),
                               .mean = first(mean, channels),
                               .rstd = first(rstd, channels)},
                              options);
    batch_norm_backward<float>({.extent = extent,
                                .x = first(x, size),
                                .dy = first(dy, size),
                                .mean = first(mean, channels),
                                .rstd = first(rstd, channels),
                                .dx = first(out, size),
                                .dgamma = first(dgamma, channels),
                                .dbeta = first(dbeta, channels)},
                               options);
  }
};

/// The median time of an exchange of one frame.
void measure_exchange(std::int64_t block_channels) {
  mpi::Communicator ranks(MPI_COMM_WORLD, {.block_channels = block_channels});
  const std::vector<double> nothing(static_cast<std::size_t>(block_channels), 0);
  std::vector<double> seconds, mean = nothing, rstd(nothing.size(), 1);
  const std::vector<float> none;
  std::vector<float> dgamma(nothing.size());
  for (int round = 0; round < 400; ++round) {
    seconds.push_back(seconds_of(
        [&] {
          batch_norm_backward<float>(
              {.extent = {0, block_channels, 1}, .x = none, .dy = none, .mean = mean, .rstd = rstd, .dgamma = dgamma},
              {.cpu = {.threads = 1}, .communicator = &ranks});
        },
        1));
  }
  if (ranks.rank() > 0) return;
  std::printf("exchange,%d,%lld,%.3f\n", ranks.size(), static_cast<long long>(ranks.frame_bytes()),
              median(seconds) * 1e6);
}

void measure_step() {
  mpi::Communicator ranks(MPI_COMM_WORLD, {.block_channels = kBlock});
  Tensors tensors(ranks.rank());
  std::vector<double> alone, together, waited;
  for (int round = 0; round < 9; ++round) {
    MPI_Barrier(MPI_COMM_WORLD);
    alone.push_back(seconds_of([&] { tensors.step(nullptr); }, 1));
    MPI_Barrier(MPI_COMM_WORLD);
    const double before = ranks.counters().seconds_waited;
    together.push_back(seconds_of([&] { tensors.step(&ranks); }, 1));
    waited.push_back(ranks.counters().seconds_waited - before);
  }
  if (ranks.rank() > 0) return;
  std::printf("step,%d,%.2f,%.2f,%.2f,%lld,%lld\n", ranks.size(), median(alone) * 1e3, median(together) * 1e3,
              median(waited) * 1e3, static_cast<long long>(ranks.counters().frames / 9),
              static_cast<long long>(ranks.counters().bytes / 9));
}

}  // namespace
}  // namespace unitvar::bench

int main(int argc, char** argv) {
  int provided = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
  for (const std::int64_t block : {8, 64, 256, 512, 1024, 2048, 4096}) unitvar::bench::measure_exchange(block);
  unitvar::bench::measure_step();
  MPI_Finalize();
  return EXIT_SUCCESS;
}
