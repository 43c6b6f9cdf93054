#include <cblas.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "bench/data.hpp"
#include "bench/timing.hpp"
#include "unitvar/unitvar.hpp"

/// A 1x1 convolution and the batch normalization after it: training forward, channels last, on one thread. The plain
/// calls are compared with a convolution that feeds the statistics block by block. That leaves one pass over its result
/// instead of two. (Of channels-first tensors, batch_norm_forward makes one pass anyway.) Matrix products by CBLAS.
namespace unitvar::bench {
namespace {

using std::int64_t;

constexpr double eps = 1e-5;
constexpr int64_t kColumnStep = 64;
const Options one_thread{.cpu = {.threads = 1}};

class Layer {
 public:
  /// The convolution's result is computed in blocks of about `block_bytes`.
  Layer(int64_t images, int64_t side, int64_t inputs, int64_t outputs, int64_t block_bytes)
      : block_bytes_(block_bytes),
        extent_(Extent::nhwc(images, side, side, outputs)),
        inputs_(inputs),
        x_(random_values<float>(extent_.outer * inputs, 0.5, 1, 1)),
        weight_(random_values<float>(inputs * outputs, 0, 0.1, 2)),
        gamma_(random_values<float>(outputs, 1, 0.5, 3)),
        beta_(random_values<float>(outputs, 0, 0.5, 4)),
        z_(static_cast<std::size_t>(extent_.size())),
        y_(z_.size()),
        mean_(static_cast<std::size_t>(outputs)),
        m2_(mean_.size()),
        rstd_(mean_.size()),
        accumulator_(extent_, one_thread) {}

  void convolve() { multiply(0, extent_.outer, 0, extent_.channels); }

  void convolve_in_blocks() {
    for_each_block([](int64_t, int64_t, int64_t) {});
  }

  void normalize_plainly() {
    batch_norm_forward<float>(
        {.extent = extent_, .x = z_, .gamma = gamma_, .beta = beta_, .y = y_, .mean = mean_, .rstd = rstd_, .eps = eps},
        one_thread);
  }

  void convolve_and_feed() {
    for_each_block([this](int64_t tile, int64_t begin, int64_t end) { accumulator_.add(tile, begin, end, z_); });
    accumulator_.finish(mean_, m2_);
    finish_moments(static_cast<double>(extent_.count()), m2_, eps, {}, rstd_);
    normalize<float>(
        {.extent = extent_, .x = z_, .mean = mean_, .rstd = rstd_, .gamma = gamma_, .beta = beta_, .y = y_},
        one_thread);
  }

  /// Ends the program unless both ways give the same bits, and the whole product the same but for rounding.
  void require_same_results() {
    convolve();
    normalize_plainly();
    const std::vector<float> of_whole = y_;
    convolve_in_blocks();
    normalize_plainly();
    require_close("y", y_, of_whole, 1e-5);
    const std::vector<float> plain = y_;
    const std::vector<double> mean = mean_, rstd = rstd_;
    convolve_and_feed();
    if (y_ == plain && mean_ == mean && rstd_ == rstd) return;
    std::fprintf(stderr, "fed and plain statistics differ, want the same bits\n");
    std::exit(1);
  }

 private:
  /// z[rows, columns] = x[rows, :] * weight[:, columns].
  void multiply(int64_t row, int64_t rows, int64_t begin, int64_t end) {
    const auto size = [](int64_t n) { return static_cast<blasint>(n); };
    const int64_t C = extent_.channels;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, size(rows), size(end - begin), size(inputs_), 1,
                x_.data() + row * inputs_, size(inputs_), weight_.data() + begin, size(C), 0,
                z_.data() + row * C + begin, size(C));
  }

  /// Computes z block by block and calls after(tile, begin, end) behind each.
  template <class After>
  void for_each_block(const After& after) {
    for (int64_t t = 0; t < accumulator_.tiles(); ++t) {
      const TileRange tile = accumulator_.tile(t);
      const int64_t fitting = block_bytes_ / (tile.outers * int64_t{sizeof(float)}) / kColumnStep * kColumnStep;
      const int64_t columns = std::max(kColumnStep, fitting);
      for (int64_t begin = 0; begin < extent_.channels; begin += columns) {
        const int64_t end = std::min(begin + columns, extent_.channels);
        multiply(tile.outer, tile.outers, begin, end);
        after(t, begin, end);
      }
    }
  }

  int64_t block_bytes_;
  Extent extent_;
  int64_t inputs_;
  std::vector<float> x_, weight_, gamma_, beta_, z_, y_;
  std::vector<double> mean_, m2_, rstd_;
  MomentsAccumulator<float> accumulator_;
};

void measure(int64_t side, int64_t inputs, int64_t outputs, double budget_seconds, int64_t block_bytes) {
  Layer(2, side, inputs, outputs, block_bytes).require_same_results();
  Layer layer(32, side, inputs, outputs, block_bytes);
  layer.require_same_results();
  const auto t = median_seconds({[&] { layer.convolve(); }, [&] { layer.convolve_in_blocks(); },
                                 [&] {
                                   layer.convolve();
                                   layer.normalize_plainly();
                                 },
                                 [&] {
                                   layer.convolve_in_blocks();
                                   layer.normalize_plainly();
                                 },
                                 [&] { layer.convolve_and_feed(); }},
                                budget_seconds);
  std::printf("| %lld x %lld x %lld -> %lld | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f |\n",
              static_cast<long long>(side), static_cast<long long>(side), static_cast<long long>(inputs),
              static_cast<long long>(outputs), t[0] * 1e3, t[1] * 1e3, t[2] * 1e3, t[3] * 1e3, t[4] * 1e3,
              std::min(t[2], t[3]) / t[4], (std::min(t[2], t[3]) - t[4]) * 1e3);
  std::fflush(stdout);
}

}  // namespace
}  // namespace unitvar::bench

/// producer_conv [seconds per shape [KiB per block]]; 4 and 512, about what a second-level cache holds, by default.
int main(int argc, char** argv) {
  openblas_set_num_threads(1);
  const double budget = argc > 1 ? std::atof(argv[1]) : 4;
  const std::int64_t block_bytes = (argc > 2 ? std::atoll(argv[2]) : 512) << 10;
  std::printf(
      "| H x W x C_in -> C, N = 32 | convolution, ms | in blocks, ms | convolution + batch norm, ms | "
      "in blocks + batch norm, ms | feeding + normalize, ms | best plain / feeding | saved, ms |\n"
      "|---|---|---|---|---|---|---|---|\n");
  // ResNet-50's and DenseNet-121's.
  struct Shape {
    std::int64_t side, inputs, outputs;
  };
  for (const auto& [side, inputs, outputs] :
       {Shape{56, 64, 256}, {56, 256, 64}, {28, 512, 128}, {14, 256, 1024}, {56, 128, 128}, {28, 256, 128}}) {
    unitvar::bench::measure(side, inputs, outputs, budget, block_bytes);
  }
}
