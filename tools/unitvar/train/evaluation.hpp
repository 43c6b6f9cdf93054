#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "train/dataset.hpp"
#include "train/history.hpp"
#include "train/network.hpp"

namespace unitvar::train {

/// The test images as the networks take them.
struct TestSet {
  explicit TestSet(const Images& images);

  std::int64_t count, size;
  std::vector<float> pixels;
  std::span<const std::uint8_t> labels;  ///< in the Images it was made from
};

struct Evaluation {
  double accuracy = 0;
  Percentiles percentiles{};
};

/// Evaluates a network. The accuracy is that on all test images, by running statistics. Threads share slices of the
/// images, which do not depend on the number of threads; so neither does the result. The percentiles are those of the
/// first 1,000 test images, normalized by their own statistics as a training batch is. They show what the unit is
/// trained on. Keeps its memory from call to call.
class Evaluator {
 public:
  Evaluator(const TestSet& test, int threads);
  Evaluation evaluate(Network<float>& network);

 private:
  struct Worker {
    InferenceBuffers<float> buffers;
    std::vector<float> logits;
    std::int64_t correct = 0;
  };
  void run(std::size_t index, Network<float>& network);
  Percentiles watch(Network<float>& network);
  void run_slice(Worker& worker, std::int64_t first, std::int64_t rows, Network<float>& network);

  const TestSet& test_;
  std::vector<Worker> workers_;
  std::vector<float> watched_;
};

/// Percentiles by linear interpolation between order statistics; reorders `values`. NaN if any value is NaN.
Percentiles percentiles_of(std::span<float> values);

}  // namespace unitvar::train
