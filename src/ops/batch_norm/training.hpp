#pragma once
#include <cstdint>
#include <span>

#include "core/arguments.hpp"
#include "cpu/passes/pass_runner.hpp"
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

/// Walks memory by the blocks of an exchange, streamed: reduce_item and merge_tiles make this rank's pairs, `here`;
/// merged(begin, end) sees those of all ranks; check() comes before apply_item. See Exchange::in_blocks and Traversal.
template <class T, class Reduce, class Merge, class Merged, class Check, class Apply>
void reduce_and_apply_over(sync::Exchange& ranks, cpu::Traversal<T>& traversal, math::ChannelPairs here,
                           math::ChannelPairs all, bool apply_last, const Reduce& reduce_item, const Merge& merge_tiles,
                           const Merged& merged, const Check& check, const Apply& apply_item) {
  const auto reduce = [&](std::int64_t begin, std::int64_t end) {
    traversal.select(begin, end);
    traversal.reduce(reduce_item, merge_tiles);
  };
  const auto apply = [&](std::int64_t begin, std::int64_t end) {
    check();
    traversal.select(begin, end);
    traversal.apply(apply_item, cpu::Order::descending);
  };
  ranks.in_blocks(here, all, apply_last, reduce, merged, apply);
}

/// coefficients(begin, end, mean, rstd, scale, beta) gives what normalization takes (normalize_coefficients) for
/// channels [begin, end). With eps <= 0 all variances are checked before the first write, in the name of `operation`.
/// Returns the number of values of a channel, or the sum of their weights, over all ranks.
template <class T, class Coefficients>
double training_forward(const char* operation, const BatchNormForward<T>& args, const Options& options,
                        const Coefficients& coefficients, const kernels::Epilogue<T>* epilogue = nullptr) {
  using core::vector_loop;
  using std::int64_t;
  const int64_t C = args.extent.channels;
  const bool variance_may_fail = args.eps <= 0;
  Options run = between_ranks(options);
  if (variance_may_fail) run.cpu.walk = Walk::streamed;  // all variances are known before the first write

  cpu::PassRunner<T> runner(args.extent, run, 1, epilogue);
  const math::ChannelArrays arrays(6, C);
  double *mean = arrays[0], *var = arrays[1], *rstd = arrays[2], *beta = arrays[3];
  const auto scale = math::ScaleArrays::of<T>(arrays[4], arrays[5]);
  double count = runner.count();

  const auto merge_tiles = [&](int64_t begin, int64_t end, const auto& leaf) {
    runner.merge_moments_into(begin, end, leaf, mean, var);
  };
  const auto finish = [&](int64_t begin, int64_t end) {
    core::vector_loop(begin, end, [=](int64_t c) { var[c] = math::biased_variance(var[c], count); });
    core::vector_loop(begin, end, [=, eps = args.eps](int64_t c) { rstd[c] = math::rstd_of(var[c], eps); });
    coefficients(begin, end, mean, rstd, scale, beta);
  };
  const auto check = [&] {
    if (!variance_may_fail) return;
    const core::Arguments arguments(operation);
    for (int64_t c = 0; c < C; ++c) arguments.positive_variance(var[c], args.eps, c);
  };
  const T* x = args.x.data();
  T* y = args.y.data();
  const math::NormalizeArrays c{mean, scale.scale, beta, scale.factor};
  if (core::ranks_of(options) == nullptr) {
    const auto merge = [&](int64_t begin, int64_t end, const auto& leaf) {
      merge_tiles(begin, end, leaf);
      finish(begin, end);
    };
    runner.traversal().reduce_and_apply(runner.moments(x), merge, check, runner.normalize(x, y, c),
                                        runner.normalize_and_moments(x, y, c));
  } else {
    sync::Exchange ranks = exchange_of(runner, *options.communicator, operation, sync::PairKind::moments, args.eps);
    const auto merged = [&](int64_t begin, int64_t end) {
      count = ranks.count();
      finish(begin, end);
    };
    reduce_and_apply_over(ranks, runner.traversal(), {mean, var}, {mean, var}, variance_may_fail, runner.moments(x),
                          merge_tiles, merged, check, runner.normalize(x, y, c));
  }
  math::store_if_wanted(mean, args.mean);
  math::store_if_wanted(var, args.var);
  math::store_if_wanted(rstd, args.rstd);
  return count;
}

/// The coefficients of batch normalization itself: gamma * rstd, and beta.
template <class T>
auto affine(const BatchNormForward<T>& args) noexcept {
  return [&args](std::int64_t begin, std::int64_t end, const double*, const double* rstd, math::ScaleArrays scale,
                 double* beta) {
    const auto rstd_at = [=](std::int64_t c) { return rstd[c]; };
    math::normalize_coefficients(begin, end, rstd_at, args.gamma, args.beta, scale, beta);
  };
}

/// parameters(begin, end, sum_dy, sum_dy_xmu, scale) makes the parameter gradients of channels [begin, end), and may
/// change what dx is multiplied by, which is gamma * rstd.
template <class T, class Parameters>
void training_backward(const char* operation, const BatchNormBackward<T>& args, const Options& options,
                       const Parameters& parameters, const kernels::Epilogue<T>* epilogue = nullptr) {
  using std::int64_t;
  const bool is_alone = core::ranks_of(options) == nullptr;
  if (is_alone && args.dx.empty() && args.dgamma.empty() && args.dbeta.empty()) return;
  const bool asks_x = epilogue != nullptr && epilogue->x_is_output;
  const bool needs_x = asks_x || !args.dx.empty() || !args.dgamma.empty();
  const T* dy = args.dy.data();
  const T* x = needs_x ? args.x.data() : dy;  // sum(dy) alone: what stands in for x is in the cache anyway

  cpu::PassRunner<T> runner(args.extent, between_ranks(options), needs_x ? 2 : 1, epilogue);
  const math::ChannelArrays arrays(is_alone ? 6 : 8, args.extent.channels);
  double *sum_dy = arrays[0], *sum_dy_xmu = arrays[1];
  math::GradientFinish finish{runner.count(), arrays[2], arrays[3], math::ScaleArrays::of<T>(arrays[4], arrays[5])};

  const auto reduce = runner.gradient_sums(x, dy, args.mean.data());
  const auto merge_tiles = [&](int64_t begin, int64_t end, const auto& leaf) {
    runner.merge_sums_into(begin, end, leaf, sum_dy, sum_dy_xmu);
  };
  T* dx = args.dx.data();
  const math::GradientArrays c{args.mean.data(), finish.mean_dy, finish.slope, finish.scale.scale, finish.scale.factor};
  if (!is_alone) {
    sync::Exchange ranks = exchange_of(runner, *options.communicator, operation, sync::PairKind::sums);
    const math::ChannelPairs here{sum_dy, sum_dy_xmu}, all{arrays[6], arrays[7]};
    const math::ChannelPairs wanted = ranks.options().parameter_gradients == ParameterGradients::local ? here : all;
    const auto merged = [&](int64_t begin, int64_t end) {
      finish.count = ranks.count();
      finish(begin, end, args.rstd.data(), args.gamma, all.first, all.second);
      parameters(begin, end, wanted.first, wanted.second, finish.scale);
    };
    const auto apply_item = [&, write = runner.input_gradient(x, dy, dx, c)](const cpu::WorkItem& item) {
      if (!args.dx.empty()) write(item);
    };
    reduce_and_apply_over(
        ranks, runner.traversal(), here, all, false, reduce, merge_tiles, merged, [] {}, apply_item);
    return;
  }
  const auto merge = [&](int64_t begin, int64_t end, const auto& leaf) {
    merge_tiles(begin, end, leaf);
    finish(begin, end, args.rstd.data(), args.gamma, sum_dy, sum_dy_xmu);
    parameters(begin, end, sum_dy, sum_dy_xmu, finish.scale);
  };
  if (args.dx.empty()) {
    runner.traversal().reduce(reduce, merge);
    return;
  }
  runner.traversal().reduce_and_apply(
      reduce, merge, [] {}, runner.input_gradient(x, dy, dx, c), runner.input_gradient_and_sums(x, dy, dx, c));
}

/// The parameter gradients of batch normalization itself (B14, B15).
template <class T>
auto gradients_of_parameters(const BatchNormBackward<T>& args) noexcept {
  return
      [&args](std::int64_t begin, std::int64_t end, const double* sum_dy, const double* sum_dy_xmu, math::ScaleArrays) {
        math::parameter_gradients(begin, end, args.rstd.data(), sum_dy, sum_dy_xmu, args.dgamma, args.dbeta);
      };
}

}  // namespace unitvar::ops
