#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace unitvar::train {

/// Which training images make up the batch of a step. Every epoch is a new permutation, a function of (seed, epoch).
/// A remainder shorter than a batch is left out of its epoch. So the batch is a function of (seed, step). Two networks
/// with one seed see the same batches, and a checkpoint needs no more than the step.
class Sampler {
 public:
  /// 1 <= batch <= images.
  Sampler(std::uint64_t seed, std::int64_t images, std::int64_t batch);

  /// Indices of the images of step 0, 1, 2, ... Valid until the next call.
  std::span<const std::uint32_t> batch_of(std::int64_t step);

  [[nodiscard]] std::int64_t epoch_of(std::int64_t step) const { return step / batches_per_epoch_; }
  [[nodiscard]] std::int64_t position_of(std::int64_t step) const { return step % batches_per_epoch_; }

 private:
  void start(std::int64_t epoch);

  std::uint64_t seed_;
  std::int64_t batch_, batches_per_epoch_, epoch_ = -1;
  std::vector<std::uint32_t> order_;
};

}  // namespace unitvar::train
