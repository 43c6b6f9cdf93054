#pragma once
#include <cstdint>
#include <filesystem>

#include "train/history.hpp"
#include "train/network.hpp"
#include "train/safetensors.hpp"

namespace unitvar::train {

/// Where a training stands, apart from the network itself. The random state is seed and step: see Sampler.
struct TrainingState {
  std::int64_t step = 0;
  double loss_sum = 0;          ///< over the steps since the last row of the history
  std::int64_t loss_count = 0;  ///< number of those steps
  double train_seconds = 0;
  NormSeconds norm_seconds;
  std::vector<HistoryRow> rows;
};

/// Place of a step in the shuffled epochs. Written so that a checkpoint can be understood without this program;
/// checked, not used, when it is read.
struct RandomState {
  std::uint64_t seed = 0;
  std::int64_t epoch = 0, position = 0;  ///< position in batches

  friend bool operator==(const RandomState&, const RandomState&) = default;
};

/// Everything that decides the bits of a run but --steps; a checkpoint of another setup is refused.
using Setup = Metadata;

void write_checkpoint(const std::filesystem::path& path, const Setup& setup, Network<float>& network,
                      TrainingState& state, RandomState random);

/// A checkpoint less its times, for those who use the network: runs of one setup write the same bytes. read_checkpoint
/// refuses it.
void write_model(const std::filesystem::path& path, const Setup& setup, Network<float>& network, TrainingState& state,
                 RandomState random);

/// Fills network and state. Throws Failure, naming each value that differs from `setup`, or what is wrong with the
/// file; network and state are then of no use.
RandomState read_checkpoint(const std::filesystem::path& path, const Setup& setup, std::int64_t max_step,
                            Network<float>& network, TrainingState& state);

}  // namespace unitvar::train
