#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "train/checkpoint.hpp"
#include "train/dataset.hpp"
#include "train/evaluation.hpp"
#include "train/monitor.hpp"
#include "train/network.hpp"
#include "train/options.hpp"
#include "train/sampler.hpp"

namespace unitvar::train {

/// Trains one of the two networks: steps, evaluations and checkpoints.
class Trainer {
 public:
  /// `data`, `test` and `ranks` outlive the trainer. Rank 0 alone evaluates, and reads and writes files.
  Trainer(const Options& options, const Dataset& data, const TestSet& test, Ranks& ranks, bool batch_norm, int threads);

  /// "batch" or "none".
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const TrainingState& state() const { return state_; }

  /// Continues from a checkpoint of the same setup, if rank 0 finds one; returns whether. Throws Failure.
  bool restore(const std::filesystem::path& path);

  /// Trains up to the last step, or until `stop` says so (asked before every step). Writes checkpoints to `path` on
  /// the way and at the end. `show` hears of every step.
  void run(const std::filesystem::path& path, const std::function<bool()>& stop,
           const std::function<void(const Standing&)>& show);

  /// A checkpoint; a model, which holds no times.
  void save(const std::filesystem::path& path);
  void save_model(const std::filesystem::path& path);
  [[nodiscard]] Standing standing() const;

 private:
  [[nodiscard]] Setup setup() const;
  [[nodiscard]] RandomState random_state() const;
  void read(const std::filesystem::path& path);
  void share_state();
  void train_one_step();
  void evaluate();

  const Options& options_;
  const Dataset& data_;
  Ranks& ranks_;
  std::string name_;
  Network<float> network_;
  Sampler sampler_;
  Evaluator evaluator_;
  TrainingState state_;
  std::vector<float> batch_pixels_;
  std::vector<std::uint8_t> batch_labels_;
};

/// Whether a run evaluates after `step` steps: at every multiple of `every`, and at the last step. Before the first
/// multiple, where normalized networks already learn, it evaluates at every tenth of `every` too.
bool evaluation_due(std::int64_t step, std::int64_t every, std::int64_t last_step);

}  // namespace unitvar::train
