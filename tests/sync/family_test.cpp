// The operations around batch normalization on ranks, against one process with the whole batch.
#include <gtest/gtest.h>

#include <functional>

#include "sync/family.hpp"
#include "sync/threads.hpp"
#include "unitvar/activation.hpp"
#include "unitvar/derivatives.hpp"
#include "unitvar/in_place.hpp"
#include "unitvar/renorm.hpp"

namespace unitvar::test {
namespace {

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

}  // namespace
}  // namespace unitvar::test
