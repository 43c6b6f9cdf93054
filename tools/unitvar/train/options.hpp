#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "train/activation.hpp"

namespace unitvar::train {

/// Which networks a run trains.
enum class Norm { batch, none, both };

/// The command line of `unitvar train`; the defaults are Figure 1 of Ioffe & Szegedy 2015.
struct Options {
  std::string data = "/usr/share/datasets/fashion-mnist";
  Norm norm = Norm::both;
  std::int64_t steps = 50'000;
  std::int64_t batch = 60;
  std::vector<std::int64_t> hidden = {100, 100, 100};
  Activation activation = Activation::sigmoid;
  double lr = 0.1;
  std::uint64_t seed = 1;
  int threads = 0;  ///< 0: as many as the machine has
  std::int64_t eval_every = 100;
  std::int64_t checkpoint_every = 1'000;
  std::string out = "unitvar-out";
  bool resume = false;
  bool force = false;   ///< delete an earlier run in `out`
  bool sync_bn = true;  ///< on several ranks: statistics of the whole batch, or of each rank's part
  bool quiet = false;
};

/// Throws UsageError naming the option, the value seen and the value wanted.
void check_options(const Options& options);

/// Threads to use: --threads, or what the machine has.
int thread_count(const Options& options);

}  // namespace unitvar::train
