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
                           sync::PairKind kind, double eps = 0, std::int64_t first_block = 0) noexcept {
  return {ranks,
          {.operation = operation,
           .kind = kind,
           .channels = runner.schedule().tiling.extent.channels,
           .dtype = DtypeTraits<T>::name,
           .count = runner.count(),
           .values = runner.values(),
           .eps = eps,
           .first_block = first_block}};
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

/// A training forward with all the memory that it takes. `channel` gives what normalization takes (math::Affine,
/// math::Renorm); its count and arrays are filled in. With eps <= 0 all variances are checked before the first write,
/// in the name of `operation`. Args has the tensors and statistics of BatchNormForward, but for y, which may be x.
template <class T, class Args, class Work>
class TrainingForward {
 public:
  TrainingForward(const char* operation, const Args& args, const Options& options, Work channel,
                  const kernels::Epilogue<T>* epilogue)
      : args_(args),
        ranks_(core::ranks_of(options)),
        runner_(args.extent, walked(args, options), 1, epilogue),
        arrays_(6, args.extent.channels),
        passes_{.runner = runner_, .operation = operation, .x = args.x.data(), .y = y_of(args), .channel = channel} {
    passes_.channel.count = runner_.count();
    passes_.channel.to = {arrays_[0], arrays_[1], arrays_[2], arrays_[3],
                          math::ScaleArrays::of<param_t<T>>(arrays_[4], arrays_[5])};
  }

  /// Returns the number of values of a channel, or the sum of their weights, over all ranks.
  double run() {
    if (ranks_ != nullptr) {
      exchange_of(runner_, *ranks_, passes_.operation, sync::PairKind::moments, args_.eps)
          .reduce_and_apply(runner_.traversal(), passes_, variance_may_fail(args_));
    } else {
      runner_.traversal().reduce_and_apply(passes_);
    }
    cpu::store_if_wanted(passes_.channel.to.mean, args_.mean);
    cpu::store_if_wanted(passes_.channel.to.var, args_.var);
    cpu::store_if_wanted(passes_.channel.to.rstd, args_.rstd);
    return passes_.channel.count;
  }

 private:
  static bool variance_may_fail(const Args& args) noexcept { return args.eps <= 0; }
  static Options walked(const Args& args, const Options& options) noexcept {
    Options walked = between_ranks(options);
    if (variance_may_fail(args)) walked.cpu.walk = Walk::streamed;  // all variances are known before the first write
    return walked;
  }
  static T* y_of(const Args& args) noexcept {
    if constexpr (requires { args.y; }) {
      return args.y.data();
    } else {
      return args.x.data();
    }
  }

  const Args args_;
  Communicator* ranks_;
  cpu::PassRunner<T> runner_;
  cpu::ChannelArrays arrays_;
  ForwardPasses<T, Work> passes_;
};

template <class T, class Args, class Work>
double training_forward(const char* operation, const Args& args, const Options& options, Work channel,
                        const kernels::Epilogue<T>* epilogue = nullptr) {
  auto forward = sync::prepare_together(
      options, [&] { return TrainingForward<T, Args, Work>(operation, args, options, channel, epilogue); });
  return forward.run();
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

/// What the parameters' gradients are of.
inline ParameterGradients wanted_gradients(const Communicator* ranks) noexcept {
  return ranks == nullptr ? ParameterGradients::local : ranks->options().parameter_gradients;
}

/// A backward with all the memory that it takes. `channel` gives what dx takes, `parameters` the parameters' gradients;
/// their sums, count and arrays are filled in; `wanted` says of which ranks. Args has the tensors and outputs of
/// BatchNormBackward. `recomputed`, if there is one, gives dy.
template <class T, class Args, class Work, class Parameters>
class TrainingBackward {
 public:
  TrainingBackward(const char* operation, const Args& args, const Options& options, Work channel, Parameters parameters,
                   const kernels::Epilogue<T>* epilogue, const Recomputed<T>* recomputed, ParameterGradients wanted)
      : args_(args),
        operation_(operation),
        ranks_(core::ranks_of(options)),
        needs_x_((epilogue != nullptr && epilogue->x_is_output) || recomputed != nullptr || !args.dx.empty() ||
                 !args.dgamma.empty()),
        runner_(args.extent, between_ranks(options), (needs_x_ ? 2 : 1) + (recomputed == nullptr ? 0 : 1), epilogue),
        arrays_(ranks_ == nullptr ? 6 : 8, args.extent.channels),
        passes_{.runner = runner_,
                .x = needs_x_ ? args.x.data() : args.dy.data(),  // what stands in for x is in the cache anyway
                .dy = recomputed == nullptr ? args.dy.data() : recomputed->out,
                .dx = core::data_or_null(args.dx),
                .mean = args.mean.data(),
                .sum_dy = arrays_[0],
                .sum_dy_xmu = arrays_[1],
                .sums_of_all = {arrays_[ranks_ == nullptr ? 0 : 6], arrays_[ranks_ == nullptr ? 1 : 7]},
                .channel = channel,
                .parameters = parameters} {
    const math::ChannelPairs all = passes_.all();
    const math::ChannelPairs of_parameters = wanted == ParameterGradients::local ? passes_.here() : all;
    passes_.channel.count = runner_.count();
    passes_.channel.sum_dy = all.first;
    passes_.channel.sum_dy_xmu = all.second;
    passes_.channel.to = {arrays_[2], arrays_[3], math::ScaleArrays::of<param_t<T>>(arrays_[4], arrays_[5])};
    passes_.parameters.sum_dy = of_parameters.first;
    passes_.parameters.sum_dy_xmu = of_parameters.second;
    if (recomputed != nullptr) passes_.before.emplace(recomputed->pass(runner_, passes_.x));
  }

  /// `first_block`: as many blocks as the call has exchanged before.
  void run(std::int64_t first_block = 0) {
    if (ranks_ != nullptr) {
      exchange_of(runner_, *ranks_, operation_, sync::PairKind::sums, 0, first_block)
          .reduce_and_apply(runner_.traversal(), passes_, false);
    } else if (!args_.dx.empty()) {
      runner_.traversal().reduce_and_apply(passes_);
    } else if (!args_.dgamma.empty() || !args_.dbeta.empty()) {
      runner_.traversal().reduce_and_finish(passes_);
    }
  }

 private:
  const Args args_;
  const char* operation_;
  Communicator* ranks_;
  bool needs_x_;
  cpu::PassRunner<T> runner_;
  cpu::ChannelArrays arrays_;
  BackwardPasses<T, Work, Parameters> passes_;
};

template <class T, class Args, class Work, class Parameters>
TrainingBackward<T, Args, Work, Parameters> prepare_backward(const char* operation, const Args& args,
                                                             const Options& options, Work channel,
                                                             Parameters parameters,
                                                             const kernels::Epilogue<T>* epilogue = nullptr,
                                                             const Recomputed<T>* recomputed = nullptr) {
  return sync::prepare_together(options, [&] {
    return TrainingBackward<T, Args, Work, Parameters>(operation, args, options, channel, parameters, epilogue,
                                                       recomputed, wanted_gradients(core::ranks_of(options)));
  });
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
