#include "train/sampler.hpp"

#include <numeric>

#include "train/random.hpp"

namespace unitvar::train {

Sampler::Sampler(std::uint64_t seed, std::int64_t images, std::int64_t batch)
    : seed_(seed), batch_(batch), batches_per_epoch_(images / batch), order_(static_cast<std::size_t>(images)) {}

std::span<const std::uint32_t> Sampler::batch_of(std::int64_t step) {
  if (epoch_of(step) != epoch_) start(epoch_of(step));
  const auto first = static_cast<std::size_t>(position_of(step) * batch_);
  return std::span(order_).subspan(first, static_cast<std::size_t>(batch_));
}

void Sampler::start(std::int64_t epoch) {
  std::iota(order_.begin(), order_.end(), 0U);
  // Stream 0 draws the weights.
  Random(seed_, static_cast<std::uint64_t>(epoch) + 1).shuffle(order_);
  epoch_ = epoch;
}

}  // namespace unitvar::train
