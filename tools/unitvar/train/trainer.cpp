#include "train/trainer.hpp"

#include <fmt/ranges.h>

#include <algorithm>

#include "common/failure.hpp"
#include "common/stopwatch.hpp"

namespace unitvar::train {
namespace {

Architecture architecture_for(const Options& options, const Dataset& data, bool batch_norm) {
  return {.inputs = data.training.size(),
          .hidden = options.hidden,
          .classes = class_count,
          .activation = options.activation,
          .batch_norm = batch_norm};
}

}  // namespace

bool evaluation_due(std::int64_t step, std::int64_t every, std::int64_t last_step) {
  if (step == last_step || step % every == 0) return true;
  return step < every && every >= 10 && step % (every / 10) == 0;
}

Trainer::Trainer(const Options& options, const Dataset& data, const TestSet& test, Ranks& ranks, bool batch_norm,
                 int threads)
    : options_(options),
      data_(data),
      ranks_(ranks),
      name_(batch_norm ? "batch" : "none"),
      network_(architecture_for(options, data, batch_norm), options.batch, options.seed, &ranks, options.sync_bn),
      sampler_(options.seed, data.training.count, options.batch),
      evaluator_(test, threads) {
  const std::int64_t rows = ranks.end(options.batch) - ranks.begin(options.batch);
  batch_pixels_.resize(static_cast<std::size_t>(rows * data.training.size()));
  batch_labels_.resize(static_cast<std::size_t>(rows));
}

Setup Trainer::setup() const {
  const Architecture& architecture = network_.architecture();
  Setup setup = {{"format", "unitvar-train"},
                 {"version", "1"},
                 {"norm", name_},
                 {"inputs", fmt::format("{}", architecture.inputs)},
                 {"hidden", fmt::format("{}", fmt::join(architecture.hidden, ","))},
                 {"classes", fmt::format("{}", architecture.classes)},
                 {"activation", std::string(activation_name(architecture.activation))},
                 {"batch", fmt::format("{}", options_.batch)},
                 {"lr", fmt::format("{}", options_.lr)},
                 {"seed", fmt::format("{}", options_.seed)},
                 {"eval_every", fmt::format("{}", options_.eval_every)},
                 {"data", fmt::format("{} images, crc32 {:08x}", data_.training.count, data_.checksum)}};
  // Synchronized, a run may go on with any number of ranks.
  if (ranks_.are_many() && !options_.sync_bn) setup["sync_bn"] = fmt::format("off, {} ranks", ranks_.size());
  return setup;
}

RandomState Trainer::random_state() const {
  return {options_.seed, sampler_.epoch_of(state_.step), sampler_.position_of(state_.step)};
}

bool Trainer::restore(const std::filesystem::path& path) {
  const bool found = ranks_.any(ranks_.is_first() && std::filesystem::exists(path));
  if (!found) return false;
  if (ranks_.is_first()) read(path);
  share_state();
  return true;
}

// Rank 0's parameters, running statistics and step for all.
void Trainer::share_state() {
  for (const Tensor& tensor : network_.tensors()) ranks_.broadcast(tensor.bytes);
  ranks_.broadcast(std::as_writable_bytes(std::span(&state_.step, 1)));
}

void Trainer::read(const std::filesystem::path& path) {
  const RandomState random = read_checkpoint(path, setup(), options_.steps, network_, state_);
  if (random != random_state()) {
    throw tool::Failure("{}: corrupt, its random state is not that of step {}", path.string(), state_.step);
  }
  network_.norm_seconds() = state_.norm_seconds;
}

void Trainer::save(const std::filesystem::path& path) {
  write_checkpoint(path, setup(), network_, state_, random_state());
}

void Trainer::save_model(const std::filesystem::path& path) {
  write_model(path, setup(), network_, state_, random_state());
}

Standing Trainer::standing() const {
  Standing standing;
  standing.step = state_.step;
  if (!state_.rows.empty()) standing.test_accuracy = state_.rows.back().test_accuracy;
  if (state_.loss_count > 0) {
    standing.loss = state_.loss_sum / static_cast<double>(state_.loss_count);
  } else if (!state_.rows.empty()) {
    standing.loss = state_.rows.back().train_loss;
  }
  return standing;
}

void Trainer::run(const std::filesystem::path& path, const std::function<bool()>& stop,
                  const std::function<void(const Standing&)>& show) {
  std::int64_t saved_step = -1;
  while (state_.step < options_.steps && !ranks_.any(stop())) {
    train_one_step();
    if (evaluation_due(state_.step, options_.eval_every, options_.steps)) evaluate();
    if (ranks_.is_first() && state_.step % options_.checkpoint_every == 0) {
      save(path);
      saved_step = state_.step;
    }
    show(standing());
  }
  if (ranks_.is_first() && saved_step != state_.step) save(path);
}

void Trainer::train_one_step() {
  const tool::Stopwatch watch(state_.train_seconds);
  const std::int64_t size = data_.training.size();
  float* pixels = batch_pixels_.data();
  std::size_t row = 0;
  const auto first = static_cast<std::size_t>(ranks_.begin(options_.batch));
  for (std::uint32_t index : sampler_.batch_of(state_.step).subspan(first, batch_labels_.size())) {
    scale_pixels(data_.training.image(index), size, pixels);
    pixels += size;
    batch_labels_[row++] = data_.training.labels[index];
  }
  double loss = network_.train_step(batch_pixels_, batch_labels_, static_cast<float>(options_.lr));
  ranks_.add(std::span(&loss, 1));
  state_.loss_sum += loss;
  ++state_.loss_count;
  ++state_.step;
  state_.norm_seconds = network_.norm_seconds();
}

void Trainer::evaluate() {
  if (!ranks_.is_first()) return;
  const Evaluation evaluation = evaluator_.evaluate(network_);
  state_.rows.push_back({state_.step, state_.loss_sum / static_cast<double>(state_.loss_count), evaluation.accuracy,
                         state_.train_seconds, evaluation.percentiles});
  state_.loss_sum = 0;
  state_.loss_count = 0;
}

}  // namespace unitvar::train
