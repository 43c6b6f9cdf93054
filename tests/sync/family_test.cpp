// The operations around batch normalization on ranks, against one process with the whole batch.
#include <gtest/gtest.h>

#include <functional>

#include "support/expect_error.hpp"
#include "sync/split.hpp"
#include "sync/threads.hpp"
#include "unitvar/activation.hpp"
#include "unitvar/derivatives.hpp"
#include "unitvar/ghost.hpp"
#include "unitvar/in_place.hpp"
#include "unitvar/renorm.hpp"
#include "unitvar/weighted.hpp"

namespace unitvar::test {
namespace {

/// What the operations take, on a rank or in one process.
struct Inputs {
  Extent extent;
  std::vector<double> x, dy, other;       ///< tensors
  std::vector<double> weight;             ///< a weight for each row and inner index
  std::vector<double> gamma, beta, u, w;  ///< per channel
};

Inputs inputs_of(const Extent& extent) {
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

Inputs part_of(const Inputs& in, const Split& split, int rank) {
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

void save_statistics(const Inputs& in, Memory& m, const Options& o) {
  std::vector<double> y(in.x.size());
  batch_norm_forward<double>(
      {.extent = in.extent, .x = in.x, .y = y, .mean = m.mean(), .var = m.var(), .rstd = m.rstd()}, o);
}

/// An activation behind the layer. In its backward dx takes the place of dy, as it may.
Outputs activation(const Inputs& in, const Options& o, const Activation& of) {
  Memory m(in, 3, 2);
  std::vector<std::uint8_t> mask(to_size(batch_norm_act_mask_bytes(in.extent, of)));
  batch_norm_act_forward<double>({.extent = in.extent,
                                  .x = in.x,
                                  .residual = in.other,
                                  .gamma = in.gamma,
                                  .beta = in.beta,
                                  .y = m.tensors[0],
                                  .mask = mask,
                                  .mean = m.mean(),
                                  .var = m.var(),
                                  .rstd = m.rstd(),
                                  .activation = of},
                                 o);
  m.tensors[1] = in.dy;
  batch_norm_act_backward<double>({.extent = in.extent,
                                   .x = in.x,
                                   .dy = m.tensors[1],
                                   .mask = mask,
                                   .residual = in.other,
                                   .mean = m.mean(),
                                   .rstd = m.rstd(),
                                   .gamma = in.gamma,
                                   .beta = in.beta,
                                   .dx = m.tensors[1],
                                   .dresidual = m.tensors[2],
                                   .dgamma = m.channels[0],
                                   .dbeta = m.channels[1],
                                   .activation = of},
                                  o);
  return m;
}

auto behind(const Activation& of) {
  return [of](const Inputs& in, const Options& o) { return activation(in, o, of); };
}

Outputs in_place(const Inputs& in, const Options& o) {
  Memory m(in, 2, 2);
  m.tensors[0] = in.x;
  batch_norm_in_place_forward<double>({.extent = in.extent,
                                       .x = m.tensors[0],
                                       .gamma = in.gamma,
                                       .beta = in.beta,
                                       .mean = m.mean(),
                                       .var = m.var(),
                                       .rstd = m.rstd(),
                                       .negative_slope = 0.1},
                                      o);
  batch_norm_in_place_backward<double>({.extent = in.extent,
                                        .y = m.tensors[0],
                                        .dy = in.dy,
                                        .rstd = m.rstd(),
                                        .gamma = in.gamma,
                                        .beta = in.beta,
                                        .dx = m.tensors[1],
                                        .dgamma = m.channels[0],
                                        .dbeta = m.channels[1],
                                        .negative_slope = 0.1},
                                       o);
  return m;
}

Outputs renormalization(const Inputs& in, const Options& o) {
  Memory m(in, 2, 4);
  const std::vector<double> running_mean(in.gamma.size(), 2.5), running_var(in.gamma.size(), 3);
  batch_norm_renorm_forward<double>({.extent = in.extent,
                                     .x = in.x,
                                     .gamma = in.gamma,
                                     .beta = in.beta,
                                     .running_mean = running_mean,
                                     .running_var = running_var,
                                     .y = m.tensors[0],
                                     .mean = m.mean(),
                                     .var = m.var(),
                                     .rstd = m.rstd(),
                                     .r = m.channels[2],
                                     .d = m.channels[3],
                                     .r_max = 3,
                                     .d_max = 5},
                                    o);
  batch_norm_renorm_backward<double>({.extent = in.extent,
                                      .x = in.x,
                                      .dy = in.dy,
                                      .mean = m.mean(),
                                      .rstd = m.rstd(),
                                      .r = m.channels[2],
                                      .d = m.channels[3],
                                      .gamma = in.gamma,
                                      .dx = m.tensors[1],
                                      .dgamma = m.channels[0],
                                      .dbeta = m.channels[1]},
                                     o);
  return m;
}

Outputs weights(const Inputs& in, const Options& o) {
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

Outputs statistics_gradient(const Inputs& in, const Options& o) {
  Memory m(in, 1, 2);
  save_statistics(in, m, o);
  batch_norm_statistics_backward<double>({.extent = in.extent,
                                          .x = in.x,
                                          .dy = in.dy,
                                          .mean = m.mean(),
                                          .rstd = m.rstd(),
                                          .gamma = in.gamma,
                                          .dmean = in.u,
                                          .dvar = in.w,
                                          .dx = m.tensors[0],
                                          .dgamma = m.channels[0],
                                          .dbeta = m.channels[1]},
                                         o);
  return m;
}

Outputs double_backward(const Inputs& in, const Options& o) {
  Memory m(in, 2, 1);
  save_statistics(in, m, o);
  batch_norm_double_backward<double>({.extent = in.extent,
                                      .x = in.x,
                                      .dy = in.dy,
                                      .mean = m.mean(),
                                      .rstd = m.rstd(),
                                      .gamma = in.gamma,
                                      .grad_dx = in.other,
                                      .grad_dgamma = in.u,
                                      .grad_dbeta = in.w,
                                      .grad_x = m.tensors[0],
                                      .grad_dy = m.tensors[1],
                                      .grad_gamma = m.channels[0]},
                                     o);
  return m;
}

/// Without grad_gamma a rank that has no samples asks for as little as one that wants no grad_x.
template <bool wants_gamma>
Outputs silu_double_backward(const Inputs& in, const Options& o) {
  Memory m(in, 3, wants_gamma ? 2 : 1);
  save_statistics(in, m, o);
  BatchNormActDoubleBackward<double> args{.extent = in.extent,
                                          .x = in.x,
                                          .dy = in.dy,
                                          .residual = in.other,
                                          .mean = m.mean(),
                                          .rstd = m.rstd(),
                                          .gamma = in.gamma,
                                          .beta = in.beta,
                                          .grad_dx = in.other,
                                          .grad_dgamma = in.u,
                                          .grad_dbeta = in.w,
                                          .grad_x = m.tensors[0],
                                          .grad_dy = m.tensors[1],
                                          .grad_residual = m.tensors[2],
                                          .grad_beta = m.channels[0],
                                          .activation = Activation::silu()};
  if (wants_gamma) args.grad_gamma = m.channels[1];
  batch_norm_act_double_backward<double>(args, o);
  return m;
}

Outputs forward_mode(const Inputs& in, const Options& o) {
  Memory m(in, 1, 2);
  save_statistics(in, m, o);
  batch_norm_jvp<double>({.extent = in.extent,
                          .x = in.x,
                          .mean = m.mean(),
                          .rstd = m.rstd(),
                          .gamma = in.gamma,
                          .x_dot = in.other,
                          .gamma_dot = in.u,
                          .beta_dot = in.w,
                          .y_dot = m.tensors[0],
                          .mean_dot = m.channels[0],
                          .var_dot = m.channels[1]},
                         o);
  return m;
}

struct Operation {
  const char* name;
  std::function<Outputs(const Inputs&, const Options&)> run;
  /// Of double backward this changes nothing: its sums are over all.
  ParameterGradients gradients = ParameterGradients::global;
};

void expect_parts(const Operation& operation, const Extent& extent, const Split& split) {
  const Inputs whole = inputs_of(extent);
  const Outputs wanted = operation.run(whole, {.cpu = {.threads = 1}});
  ThreadGroup group(static_cast<int>(split.size()), {.block_channels = 8, .parameter_gradients = operation.gradients});
  on_all_ranks(group, [&](Communicator& ranks) {
    const int rank = ranks.rank();
    const Outputs seen = operation.run(part_of(whole, split, rank), {.cpu = {.threads = 1}, .communicator = &ranks});
    for (std::size_t k = 0; k < wanted.tensors.size(); ++k) {
      expect_near("tensor", seen.tensors[k], rows_of(wanted.tensors[k], extent, split, rank), 1e-13);
    }
    for (std::size_t k = 0; k < wanted.channels.size(); ++k) {
      expect_near("channels", seen.channels[k], wanted.channels[k], 1e-13);
    }
  });
}

class SyncFamily : public ::testing::TestWithParam<Operation> {};

TEST_P(SyncFamily, OnRanksIsWhatOneProcessDoesWithTheWholeBatch) {
  for (const Extent& extent : shared_extents()) {
    for (const int ranks : {2, 3}) {
      for (const Split& split : splits_of(extent.outer, ranks)) {
        SCOPED_TRACE(describe(extent) + ", " + describe(split));
        expect_parts(GetParam(), extent, split);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Operations, SyncFamily,
    ::testing::Values(Operation{"Relu", behind(Activation::relu())},
                      Operation{"Identity", behind(Activation::identity())},
                      Operation{"Silu", behind(Activation::silu())}, Operation{"InPlace", in_place},
                      Operation{"Renormalization", renormalization}, Operation{"Weights", weights},
                      Operation{"StatisticsGradient", statistics_gradient},
                      Operation{"DoubleBackward", double_backward},
                      Operation{"LocalDoubleBackward", double_backward, ParameterGradients::local},
                      Operation{"SiluDoubleBackward", silu_double_backward<true>},
                      Operation{"SiluDoubleBackwardWithoutGamma", silu_double_backward<false>},
                      Operation{"LocalSiluDoubleBackward", silu_double_backward<true>, ParameterGradients::local},
                      Operation{"ForwardMode", forward_mode}),
    [](const auto& of) { return of.param.name; });

TEST(SyncWeights, MayBeOnOneRankAlone) {
  Inputs whole = inputs_of({6, 4, 5});
  std::fill(whole.weight.begin() + 10, whole.weight.end(), 0.0);  // of 30: those of the first two samples
  const Outputs wanted = weights(whole, {});
  ThreadGroup group(3, {.parameter_gradients = ParameterGradients::global});
  on_all_ranks(group, [&](Communicator& ranks) {
    const Outputs seen =
        weights(part_of(whole, {2, 2, 2}, ranks.rank()), {.cpu = {.threads = 1}, .communicator = &ranks});
    expect_near("mean", seen.channels.end()[-4], wanted.channels.end()[-4], 1e-13);
    expect_near("dgamma", seen.channels[0], wanted.channels[0], 1e-13);
  });
}

TEST(SyncWeights, UpToTheLargestAndFromTheSmallestThatRanksTake) {
  Inputs whole = inputs_of({6, 4, 5});
  std::fill(whole.weight.begin(), whole.weight.end(), 1.0);
  for (double& x : whole.x) x *= 0x1p63;
  const Outputs wanted = weights(whole, {});
  for (const double weight : {0x1p-200, 0x1p200}) {
    SCOPED_TRACE(weight);
    std::fill(whole.weight.begin(), whole.weight.end(), weight);
    ThreadGroup group(3, {.parameter_gradients = ParameterGradients::global});
    on_all_ranks(group, [&](Communicator& ranks) {
      const Outputs seen =
          weights(part_of(whole, {2, 2, 2}, ranks.rank()), {.cpu = {.threads = 1}, .communicator = &ranks});
      expect_near("mean", seen.channels.end()[-4], wanted.channels.end()[-4], 1e-13);
      expect_near("var", seen.channels.end()[-3], wanted.channels.end()[-3], 1e-13);
      expect_near("dgamma", seen.channels[0], wanted.channels[0], 1e-13);
    });
  }
}

TEST(SyncWeights, OfWhichDoublesMayNotHoldSumsAreRefusedByAllRanks) {
  for (const double weight : {1e-300, 1e-61, 1e61, 1e300}) {
    SCOPED_TRACE(weight);
    Inputs whole = inputs_of({6, 4, 5});
    std::fill(whole.weight.begin(), whole.weight.begin() + 10, weight);  // those of the first rank
    ThreadGroup group(3);
    on_all_ranks(group, [&](Communicator& ranks) {
      const Inputs part = part_of(whole, {2, 2, 2}, ranks.rank());
      std::vector<double> y(part.x.size(), 7.0);
      const auto call = [&] {
        batch_norm_weighted_forward<double>({.extent = part.extent, .x = part.x, .weight = part.weight, .y = y},
                                            {.cpu = {.threads = 1}, .communicator = &ranks});
      };
      expect_error(ranks.rank() == 0 ? ErrorCode::bad_argument : ErrorCode::disagreement,
                   {"batch_norm_weighted_forward: the largest weight is 1e",
                    "want one from 6.223015277861142e-61 to 1.6069380442589903e+60 where ranks share a batch"},
                   call);
      EXPECT_EQ(std::vector<double>(y.size(), 7.0), y) << "nothing is written";
    });
  }
}

TEST(SyncGhostBatches, AreCommunicatorsOfTheirRanks) {
  const Inputs whole = inputs_of({12, 5, 9});
  const Split split{3, 3, 3, 3};
  std::vector<double> wanted(whole.x.size());
  batch_norm_ghost_forward<double>({.extent = whole.extent, .ghost = 6, .x = whole.x, .y = wanted});
  for (const int half : {0, 1}) {
    ThreadGroup group(2);
    on_all_ranks(group, [&](Communicator& ranks) {
      const int rank = 2 * half + ranks.rank();
      const Inputs part = part_of(whole, split, rank);
      std::vector<double> y(part.x.size());
      batch_norm_forward<double>({.extent = part.extent, .x = part.x, .y = y},
                                 {.cpu = {.threads = 1}, .communicator = &ranks});
      expect_near("y", y, rows_of(wanted, whole.extent, split, rank), 1e-13);
    });
  }
}

}  // namespace
}  // namespace unitvar::test
