#pragma once
#include <cstdint>
#include <optional>
#include <span>

#include "core/arguments.hpp"
#include "cpu/passes/pass_runner.hpp"
#include "math/backward.hpp"
#include "math/forward.hpp"
#include "ops/argument_checks.hpp"
#include "sync/exchange.hpp"
#include "unitvar/batch_norm.hpp"

/// Training forward and backward of batch normalization, and of relatives that differ from it only in what stands
/// between the passes over memory. Arguments are checked. Where ranks share the batch, Exchange stands there, too, and
/// memory is streamed by its blocks of channels.
namespace unitvar::ops {

/// options, for passes between which ranks may have to wait for each other.
inline Options between_ranks(Options options) noexcept {
  return core::ranks_of(options) == nullptr ? options : cpu::in_one_pass(options);
}

template <class T>
sync::Exchange exchange_of(const cpu::PassRunner<T>& runner, Communicator& ranks, const char* operation,
                           sync::PairKind kind, double eps = 0) noexcept {
  return {ranks,
          {.operation = operation,
           .kind = kind,
           .channels = runner.schedule().tiling.extent.channels,
           .dtype = DtypeTraits<T>::name,
           .count = runner.count(),
           .values = runner.values(),
           .eps = eps}};
}

/// The two passes of a forward (see cpu/passes/passes.hpp): moments, then normalize. `Work` is math::Affine or a
/// relative, whose arrays both passes use.
template <class T, class Work>
struct ForwardPasses {
  const cpu::PassRunner<T>& runner;
  const char* operation;
  const T* x;
  T* y;
  Work channel;  ///< what is done for each channel between the passes

  void reduce(const cpu::WorkItem& item, math::ChannelPairs out) const noexcept {
    runner.phases().moments(x, item, out);
  }
  void merge(std::int64_t begin, std::int64_t end, const cpu::TileLeaves& leaves) const noexcept {
    runner.merge_moments(begin, end, leaves, channel.to.mean, channel.to.var);
  }
  void finish(std::int64_t begin, std::int64_t end) const noexcept { cpu::for_channels(begin, end, channel); }
  /// With eps > 0 no variance can be refused.
  void check() const {
    if (channel.eps > 0) return;
    const auto C = static_cast<std::size_t>(runner.schedule().tiling.extent.channels);
    check_variances(core::Arguments(operation), {channel.to.var, C}, channel.eps);
  }
  void apply(const cpu::WorkItem& item) const noexcept {
    runner.phases().normalize(x, y, item, channel.to.coefficients());
  }
  void apply_and_reduce(const cpu::WorkItem& item, const cpu::WorkItem& next, math::ChannelPairs out) const noexcept {
    runner.phases().normalize_and_moments(x, y, item, channel.to.coefficients(), next, out);
  }

  /// For an exchange of ranks: mean and M2 of this rank, and of all in the same place.
  [[nodiscard]] math::ChannelPairs here() const noexcept { return {channel.to.mean, channel.to.var}; }
  [[nodiscard]] math::ChannelPairs all() const noexcept { return here(); }
  void set_count(double count) noexcept { channel.count = count; }
};

/// `channel` gives what normalization takes (math::Affine, math::Renorm); its count and arrays are filled in. With eps
/// <= 0 all variances are checked before the first write, in the name of `operation`. Args has the tensors and
/// statistics of BatchNormForward, but for y, which may be x. Returns the number of values of a channel, or the sum of
/// their weights, over all ranks.
template <class T, class Args, class Work>
double training_forward(const char* operation, const Args& args, const Options& options, Work channel,
                        const kernels::Epilogue<T>* epilogue = nullptr) {
  const bool variance_may_fail = args.eps <= 0;
  Options run = between_ranks(options);
  if (variance_may_fail) run.cpu.walk = Walk::streamed;  // all variances are known before the first write

  cpu::PassRunner<T> runner(args.extent, run, 1, epilogue);
  const cpu::ChannelArrays arrays(6, args.extent.channels);
  channel.count = runner.count();
  channel.to = {arrays[0], arrays[1], arrays[2], arrays[3], math::ScaleArrays::of<param_t<T>>(arrays[4], arrays[5])};
  T* y = nullptr;
  if constexpr (requires { args.y; }) {
    y = args.y.data();
  } else {
    y = args.x.data();
  }
  ForwardPasses<T, Work> passes{
      .runner = runner, .operation = operation, .x = args.x.data(), .y = y, .channel = channel};
  if (Communicator* const ranks = core::ranks_of(options)) {
    exchange_of(runner, *ranks, operation, sync::PairKind::moments, args.eps)
        .reduce_and_apply(runner.traversal(), passes, variance_may_fail);
  } else {
    runner.traversal().reduce_and_apply(passes);
  }
  cpu::store_if_wanted(channel.to.mean, args.mean);
  cpu::store_if_wanted(channel.to.var, args.var);
  cpu::store_if_wanted(channel.to.rstd, args.rstd);
  return passes.channel.count;
}

/// What stands behind the plain layer and is computed from x again: gives g, the gradient that the layer gets. `out`
/// may be the dy that it is made from.
template <class T>
struct Recomputed {
  kernels::Function<T> function;
  math::NormalizeArrays coefficients;
  T* out;

  [[nodiscard]] cpu::FunctionPass<T> pass(const cpu::PassRunner<T>& runner, const T* x) const noexcept {
    return {runner, x, out, coefficients, function};
  }
};

/// The two passes of a backward: gradient sums, then input gradient. `Work` is math::GradientFinish or a relative,
/// `Parameters` math::ParameterGradients or a relative.
template <class T, class Work, class Parameters>
struct BackwardPasses {
  const cpu::PassRunner<T>& runner;
  const T *x, *dy;
  T* dx;  ///< null: not wanted
  const double* mean;
  double *sum_dy, *sum_dy_xmu;                      ///< of this rank
  math::ChannelPairs sums_of_all;                   ///< of all ranks
  Work channel;                                     ///< what is done for each channel between the passes
  Parameters parameters;                            ///< and that, too
  std::optional<cpu::FunctionPass<T>> before = {};  ///< writes dy

  void reduce(const cpu::WorkItem& item, math::ChannelPairs out) const noexcept {
    if (before) before->apply(item);
    runner.phases().gradient_sums(x, dy, item, mean, out);
  }
  void merge(std::int64_t begin, std::int64_t end, const cpu::TileLeaves& leaves) const noexcept {
    runner.merge_sums(begin, end, leaves, sum_dy, sum_dy_xmu);
  }
  void finish(std::int64_t begin, std::int64_t end) const noexcept {
    cpu::for_channels(begin, end, channel);
    cpu::for_channels(begin, end, parameters);
  }
  void check() const noexcept {}
  void apply(const cpu::WorkItem& item) const noexcept {
    if (dx != nullptr) runner.phases().input_gradient(x, dy, dx, item, channel.to.coefficients(mean));
  }
  void apply_and_reduce(const cpu::WorkItem& item, const cpu::WorkItem& next, math::ChannelPairs out) const noexcept {
    if (before) before->apply(next);
    runner.phases().input_gradient_and_sums(x, dy, dx, item, channel.to.coefficients(mean), next, out);
  }

  /// For an exchange of ranks: the sums of this rank, and of all.
  [[nodiscard]] math::ChannelPairs here() const noexcept { return {sum_dy, sum_dy_xmu}; }
  [[nodiscard]] math::ChannelPairs all() const noexcept { return sums_of_all; }
  void set_count(double count) noexcept { channel.count = count; }
};

/// Whether the parameters' gradients are of this rank alone.
inline bool wants_local_gradients(const Communicator* ranks) noexcept {
  return ranks == nullptr || ranks->options().parameter_gradients == ParameterGradients::local;
}

/// `channel` gives what dx takes, `parameters` the parameters' gradients; their sums, count and arrays are filled in.
/// Args has the tensors and outputs of BatchNormBackward. `recomputed`, if there is one, gives dy.
template <class T, class Args, class Work, class Parameters>
void training_backward(const char* operation, const Args& args, const Options& options, Work channel,
                       Parameters parameters, const kernels::Epilogue<T>* epilogue = nullptr,
                       const Recomputed<T>* recomputed = nullptr) {
  Communicator* const ranks = core::ranks_of(options);
  if (ranks == nullptr && args.dx.empty() && args.dgamma.empty() && args.dbeta.empty()) return;
  const bool asks_x = epilogue != nullptr && epilogue->x_is_output;
  const bool needs_x = asks_x || recomputed != nullptr || !args.dx.empty() || !args.dgamma.empty();
  const T* dy = recomputed == nullptr ? args.dy.data() : recomputed->out;
  const T* x = needs_x ? args.x.data() : dy;  // sum(dy) alone: what stands in for x is in the cache anyway

  cpu::PassRunner<T> runner(args.extent, between_ranks(options), (needs_x ? 2 : 1) + (recomputed == nullptr ? 0 : 1),
                            epilogue);
  const cpu::ChannelArrays arrays(ranks == nullptr ? 6 : 8, args.extent.channels);
  const math::ChannelPairs here{arrays[0], arrays[1]};
  const math::ChannelPairs all = ranks == nullptr ? here : math::ChannelPairs{arrays[6], arrays[7]};
  channel.count = runner.count();
  channel.sum_dy = all.first;
  channel.sum_dy_xmu = all.second;
  channel.to = {arrays[2], arrays[3], math::ScaleArrays::of<param_t<T>>(arrays[4], arrays[5])};
  parameters.sum_dy = wants_local_gradients(ranks) ? here.first : all.first;
  parameters.sum_dy_xmu = wants_local_gradients(ranks) ? here.second : all.second;
  BackwardPasses<T, Work, Parameters> passes{.runner = runner,
                                             .x = x,
                                             .dy = dy,
                                             .dx = core::data_or_null(args.dx),
                                             .mean = args.mean.data(),
                                             .sum_dy = here.first,
                                             .sum_dy_xmu = here.second,
                                             .sums_of_all = all,
                                             .channel = channel,
                                             .parameters = parameters};
  if (recomputed != nullptr) passes.before.emplace(recomputed->pass(runner, x));
  if (ranks != nullptr) {
    exchange_of(runner, *ranks, operation, sync::PairKind::sums).reduce_and_apply(runner.traversal(), passes, false);
  } else if (args.dx.empty()) {
    runner.traversal().reduce_and_finish(passes);
  } else {
    runner.traversal().reduce_and_apply(passes);
  }
}

/// The channels' work of batch normalization itself.
template <class T, class Args>
math::Affine<param_t<T>> affine(const Args& args) noexcept {
  return {.gamma = core::data_or_null(args.gamma), .beta = core::data_or_null(args.beta), .eps = args.eps};
}
template <class T, class Args>
math::GradientFinish<param_t<T>> gradient_finish(const Args& args) noexcept {
  return {.rstd = args.rstd.data(), .gamma = core::data_or_null(args.gamma)};
}
template <class T, class Args>
math::ParameterGradients<param_t<T>> parameter_gradients(const Args& args) noexcept {
  return {.rstd = args.rstd.data(), .dgamma = core::data_or_null(args.dgamma), .dbeta = core::data_or_null(args.dbeta)};
}

}  // namespace unitvar::ops
