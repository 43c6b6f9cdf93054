/// What tests of operations around batch normalization on ranks share.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "sync/split.hpp"
#include "unitvar/weighted.hpp"

namespace unitvar::test {

/// What the operations take, on a rank or in one process.
struct Inputs {
  Extent extent;
  std::vector<double> x, dy, other;       ///< tensors
  std::vector<double> weight;             ///< a weight for each row and inner index
  std::vector<double> gamma, beta, u, w;  ///< per channel
};

inline Inputs inputs_of(const Extent& extent) {
  Random random(7);
  Inputs in;
  in.extent = extent;
  in.x = normal_values<double>(extent.size(), random, 3, 2);
  in.dy = normal_values<double>(extent.size(), random);
  in.other = normal_values<double>(extent.size(), random);
  for (std::int64_t k = 0; k < extent.count(); ++k)
    in.weight.push_back(k % 3 == 0 ? 0 : 0.5 + std::abs(random.normal()));
  for (auto* const of_channels : {&in.gamma, &in.beta, &in.u, &in.w}) {
    *of_channels = normal_values<double>(extent.channels, random, 1.5, 0.1);
  }
  return in;
}

inline Inputs part_of(const Inputs& in, const Split& split, int rank) {
  Inputs part = in;
  part.extent.outer = split[to_size(rank)];
  for (const auto tensor : {&Inputs::x, &Inputs::dy, &Inputs::other}) {
    part.*tensor = rows_of(in.*tensor, in.extent, split, rank);
  }
  part.weight = rows_of(in.weight, {in.extent.outer, 1, in.extent.inner}, split, rank);
  return part;
}

struct Outputs {
  std::vector<std::vector<double>> tensors, channels;
};

/// Memory for a few tensors and arrays per channel; also mean, var and rstd.
struct Memory : Outputs {
  Memory(const Inputs& in, std::size_t of_elements, std::size_t of_channels) {
    tensors.assign(of_elements, std::vector<double>(in.x.size()));
    channels.assign(of_channels + 3, std::vector<double>(to_size(in.extent.channels)));
  }
  std::vector<double>& mean() { return channels.end()[-3]; }
  std::vector<double>& var() { return channels.end()[-2]; }
  std::vector<double>& rstd() { return channels.end()[-1]; }
};

/// Samples with weights, forward and backward. Behind the arrays per channel stands the count.
inline Outputs weights(const Inputs& in, const Options& o) {
  Memory m(in, 2, 2);
  const double count = batch_norm_weighted_forward<double>({.extent = in.extent,
                                                            .x = in.x,
                                                            .weight = in.weight,
                                                            .gamma = in.gamma,
                                                            .beta = in.beta,
                                                            .y = m.tensors[0],
                                                            .mean = m.mean(),
                                                            .var = m.var(),
                                                            .rstd = m.rstd()},
                                                           o);
  batch_norm_weighted_backward<double>({.extent = in.extent,
                                        .x = in.x,
                                        .dy = in.dy,
                                        .weight = in.weight,
                                        .mean = m.mean(),
                                        .rstd = m.rstd(),
                                        .gamma = in.gamma,
                                        .dx = m.tensors[1],
                                        .dgamma = m.channels[0],
                                        .dbeta = m.channels[1]},
                                       o);
  m.channels.push_back({count});
  return m;
}

}  // namespace unitvar::test
