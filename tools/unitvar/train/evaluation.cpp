#include "train/evaluation.hpp"

#include <algorithm>
#include <cmath>
#include <future>
#include <limits>

#include "train/softmax.hpp"

namespace unitvar::train {
namespace {

constexpr std::int64_t slice_rows = 500;
constexpr std::int64_t watched_rows = 1'000;
constexpr std::array<double, 3> percentile_ranks = {0.15, 0.50, 0.85};

}  // namespace

TestSet::TestSet(const Images& images)
    : count(images.count), size(images.size()), pixels(images.pixels.size()), labels(images.labels) {
  scale_pixels(images.pixels.data(), count * size, pixels.data());
}

Evaluator::Evaluator(const TestSet& test, int threads)
    : test_(test),
      workers_(static_cast<std::size_t>(threads)),
      watched_(static_cast<std::size_t>(std::min(watched_rows, test.count))) {}

Evaluation Evaluator::evaluate(Network<float>& network) {
  std::vector<std::future<void>> others;
  for (std::size_t i = 1; i < workers_.size(); ++i) {
    others.push_back(std::async(std::launch::async, [this, i, &network] { run(i, network); }));
  }
  run(0, network);
  for (std::future<void>& other : others) other.get();
  std::int64_t correct = 0;
  for (const Worker& worker : workers_) correct += worker.correct;
  return {static_cast<double>(correct) / static_cast<double>(test_.count), watch(network)};
}

Percentiles Evaluator::watch(Network<float>& network) {
  Worker& worker = workers_.front();
  const std::size_t pixels = watched_.size() * static_cast<std::size_t>(test_.size);
  worker.logits.resize(watched_.size() * static_cast<std::size_t>(network.architecture().classes));
  network.infer(std::span(test_.pixels).first(pixels), Statistics::batch, worker.buffers, worker.logits, watched_);
  return percentiles_of(watched_);
}

void Evaluator::run(std::size_t index, Network<float>& network) {
  Worker& worker = workers_[index];
  worker.correct = 0;
  const auto stride = slice_rows * static_cast<std::int64_t>(workers_.size());
  for (auto first = slice_rows * static_cast<std::int64_t>(index); first < test_.count; first += stride) {
    run_slice(worker, first, std::min(slice_rows, test_.count - first), network);
  }
}

void Evaluator::run_slice(Worker& worker, std::int64_t first, std::int64_t rows, Network<float>& network) {
  const auto begin = static_cast<std::size_t>(first);
  const auto length = static_cast<std::size_t>(rows);
  const auto width = static_cast<std::size_t>(test_.size);
  worker.logits.resize(length * static_cast<std::size_t>(network.architecture().classes));
  network.infer(std::span(test_.pixels).subspan(begin * width, length * width), Statistics::running, worker.buffers,
                worker.logits, {});
  worker.correct += count_correct(std::span<const float>(worker.logits), test_.labels.subspan(begin, length));
}

Percentiles percentiles_of(std::span<float> values) {
  Percentiles result;
  if (std::ranges::any_of(values, [](float value) { return std::isnan(value); })) {
    result.fill(std::numeric_limits<double>::quiet_NaN());
    return result;
  }
  std::ranges::sort(values);
  for (std::size_t i = 0; i < result.size(); ++i) {
    const double place = percentile_ranks[i] * static_cast<double>(values.size() - 1);
    const auto below = static_cast<std::size_t>(place);
    const std::size_t above = std::min(below + 1, values.size() - 1);
    result[i] = std::lerp(double{values[below]}, double{values[above]}, place - std::floor(place));
  }
  return result;
}

}  // namespace unitvar::train
