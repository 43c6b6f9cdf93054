#pragma once
#include <algorithm>
#include <cstdint>
#include <span>

#include "math/derivatives.hpp"
#include "ops/batch_norm/training.hpp"
#include "unitvar/derivatives.hpp"

/// Derivatives of batch normalization beyond the backward, each with all the memory that it takes: operations may be
/// composed of them, and fail for want of memory before anything is written.
namespace unitvar::ops {

/// The mean of a tensor a over each channel, and its part along x_hat (math::Averages).
struct Averages {
  const double* mean;
  const double* along;
};

/// What all derivatives of one call have in common, the sums and maps that they are made of, and all the memory that
/// they take. Sums of several pairs of tensors stand between the first pass and the last, so all passes stream.
template <class T>
struct Batch {
  using P = param_t<T>;

  /// `ranks`: those that share the batch; null where nothing is exchanged. `own_arrays`: what the call has use for.
  template <class Args>
  Batch(const char* name, const Args& args, const Options& options, Communicator* communicator, int own_arrays)
      : operation(name),
        ranks(communicator),
        runner(args.extent, cpu::in_one_pass(options), 2),
        channels(args.extent.channels),
        count(static_cast<double>(args.extent.count())),
        x(args.x.data()),
        mean(args.mean.data()),
        rstd(args.rstd.data()),
        gamma(core::data_or_null(args.gamma)),
        arrays(own_arrays + kTangentArrays, channels),
        first_of_tangent(own_arrays) {}

  template <class Work>
  void for_all(const Work& work) const noexcept {
    cpu::for_channels(0, channels, work);
  }
  double* zeros(double* values) const noexcept {
    std::fill_n(values, channels, 0.0);
    return values;
  }

  /// sum(b) and sum(b * (a - center)), over all ranks; 0 if b is absent, or the batch empty. With them, count is that
  /// of all ranks. `here`, if given, gets those of this rank.
  void sums(const T* a, std::span<const T> b, const double* center, double* sum, double* sum_of_products,
            const math::ChannelPairs* here = nullptr) {
    zeros(sum), zeros(sum_of_products);
    if (!b.empty()) runner.traversal().reduce(runner.gradient_sums(a, b.data(), center, sum, sum_of_products));
    if (here != nullptr) {
      std::copy_n(sum, channels, here->first);
      std::copy_n(sum_of_products, channels, here->second);
    }
    if (ranks == nullptr) return;
    sync::Exchange exchange = exchange_of(runner, *ranks, operation, sync::PairKind::sums, 0, blocks_exchanged);
    exchange.merge({sum, sum_of_products});
    blocks_exchanged += exchange.blocks();
    count = exchange.count();
  }

  /// The averages of an `a` with these sums, in their place; sums of an empty batch are 0, and so are these.
  Averages averages_from(double* sum, double* sum_xmu) const noexcept {
    if (count != 0) for_all(math::Averages{.count = count, .rstd = rstd, .sum = sum, .sum_xmu = sum_xmu});
    return {sum, sum_xmu};
  }
  Averages averages(std::span<const T> a, double* mean_a, double* along) {
    sums(x, a, mean, mean_a, along);
    return averages_from(mean_a, along);
  }

  /// out = gamma * rstd * (v - v.mean - x_hat * v.along) + u * x_hat + w (math::TangentCoefficients).
  void write_tangent(std::span<const T> v, const Averages& of_v, std::span<const P> u, std::span<const P> w, T* out) {
    const int k = first_of_tangent;
    const math::TangentCoefficients<P> of{.rstd = rstd,
                                          .gamma = gamma,
                                          .along_v = of_v.along,
                                          .u = core::data_or_null(u),
                                          .w = core::data_or_null(w),
                                          .v_slope = arrays[k],
                                          .x_slope = arrays[k + 1],
                                          .offset = arrays[k + 2]};
    for_all(of);
    if (v.empty()) {
      runner.traversal().apply(runner.normalize(x, out, {mean, of.x_slope, of.offset}));
    } else {
      combine({x, v.data(), nullptr}, {mean, of.x_slope, of_v.mean, of.v_slope, nullptr, nullptr, of.offset}, out);
    }
  }

  void combine(const kernels::CombineTensors<T>& in, const math::CombineArrays& c, T* out) {
    runner.traversal().apply(runner.combine(in, out, c));
  }

  const char* operation;
  Communicator* ranks;
  cpu::PassRunner<T> runner;
  std::int64_t channels;
  double count;  ///< values of a channel: here until the first sums, then over all ranks
  const T* x;
  const double* mean;
  const double* rstd;
  const P* gamma;             ///< null: absent
  cpu::ChannelArrays arrays;  ///< the call's own, then those of write_tangent
  int first_of_tangent;
  std::int64_t blocks_exchanged = 0;

  static constexpr int kTangentArrays = 3;
};

/// Backward of the backward, by the batch's statistics (docs/derivation.md B51 to B54). Arguments are checked.
template <class T>
class DoubleBackward {
 public:
  DoubleBackward(const char* operation, const BatchNormDoubleBackward<T>& args, const Options& options);
  void run();
  [[nodiscard]] std::int64_t blocks_exchanged() const noexcept { return batch_.blocks_exchanged; }

 private:
  void write_grad_x(const Averages& v, const Averages& dy, const double* form);

  const BatchNormDoubleBackward<T> args_;
  Batch<T> batch_;
};

/// The same by given statistics.
template <class T>
class FrozenDoubleBackward {
 public:
  FrozenDoubleBackward(const char* operation, const BatchNormDoubleBackward<T>& args, const Options& options);
  void run();
  [[nodiscard]] static std::int64_t blocks_exchanged() noexcept { return 0; }

 private:
  const BatchNormDoubleBackward<T> args_;
  Batch<T> batch_;
};

}  // namespace unitvar::ops
