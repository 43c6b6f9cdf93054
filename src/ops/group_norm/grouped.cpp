#include "ops/group_norm/grouped.hpp"

#include <algorithm>

#include "core/arguments.hpp"
#include "cpu/passes/sub_batch_runners.hpp"
#include "math/forward.hpp"
#include "math/group_math.hpp"

namespace unitvar::ops {
namespace {

using std::int64_t;

/// Mean, variance and coefficients of all parts.
template <class T>
struct PartArrays {
  explicit PartArrays(int64_t parts)
      : memory(6, parts),
        of{memory[0], memory[1], memory[2], memory[3], math::ScaleArrays::of<param_t<T>>(memory[4], memory[5])} {}

  cpu::ChannelArrays memory;
  math::ForwardArrays of;
};

/// The two passes over equal sub-batches (see cpu/passes/passes.hpp).
template <class T>
struct SubBatchForward {
  const cpu::PassRunner<T>& runner;
  const GroupedForward<T>& args;
  const T* x;
  T* y;
  int64_t part;    ///< the first of these sub-batches
  int64_t values;  ///< of each of its parts
  math::ForwardArrays parts;

  void reduce(const cpu::WorkItem& item, math::ChannelPairs out) const noexcept {
    runner.phases().moments(x, item, out);
  }
  void merge(int64_t begin, int64_t end, const cpu::TileLeaves& leaves) const noexcept {
    runner.merge_moments(begin, end, leaves, parts.mean + part, parts.var + part);
  }
  void finish(int64_t begin, int64_t end) const noexcept {
    const math::Partition& p = args.partition;
    math::merge_groups(p, part + begin, part + end, static_cast<double>(values), parts.mean, parts.var);
    p.for_parameters(part + begin, part + end, [&](int64_t b, int64_t e, int64_t first) {
      const math::Affine<param_t<T>> channel{.gamma = core::data_or_null(args.gamma),
                                             .beta = core::data_or_null(args.beta),
                                             .eps = args.eps,
                                             .count = static_cast<double>(values * p.group_parts),
                                             .to = parts.from(first)};
      cpu::for_channels(b - first, e - first, channel);
    });
  }
  void check() const noexcept {}
  void apply(const cpu::WorkItem& item) const noexcept { runner.phases().normalize(x, y, item, coefficients()); }
  void apply_and_reduce(const cpu::WorkItem& item, const cpu::WorkItem& next, math::ChannelPairs out) const noexcept {
    runner.phases().normalize_and_moments(x, y, item, coefficients(), next, out);
  }

 private:
  [[nodiscard]] math::NormalizeArrays coefficients() const noexcept { return parts.from(part).coefficients(); }
};

void check_variances(const char* operation, const math::Partition& p, const double* var, double eps) {
  const core::Arguments check(operation);
  for (int64_t g = 0; g < p.groups(); ++g) check.positive_variance(var[g * p.group_parts], eps, g);
}

/// The arrays of one backward, over all parts.
template <class T>
struct BackwardPartArrays {
  explicit BackwardPartArrays(int64_t parts)
      : memory(8, parts),
        mean(memory[0]),
        rstd(memory[1]),
        sum_dy(memory[2]),
        sum_dy_xmu(memory[3]),
        of{memory[4], memory[5], math::ScaleArrays::of<param_t<T>>(memory[6], memory[7])} {}

  cpu::ChannelArrays memory;
  double *mean, *rstd, *sum_dy, *sum_dy_xmu;
  math::BackwardArrays of;
};

/// The two passes over equal sub-batches.
template <class T>
struct SubBatchBackward {
  const cpu::PassRunner<T>& runner;
  const GroupedBackward<T>& args;
  const T *x, *dy;
  T* dx;
  int64_t part;    ///< the first of these sub-batches
  int64_t values;  ///< of each of its parts
  const BackwardPartArrays<T>& a;

  void reduce(const cpu::WorkItem& item, math::ChannelPairs out) const noexcept {
    runner.phases().gradient_sums(x, dy, item, a.mean + part, out);
  }
  void merge(int64_t begin, int64_t end, const cpu::TileLeaves& leaves) const noexcept {
    runner.merge_sums(begin, end, leaves, a.sum_dy + part, a.sum_dy_xmu + part);
  }
  void finish(int64_t begin, int64_t end) const noexcept {
    if (args.partition.group_parts > 1) {
      finish_groups(part + begin, part + end);
    } else {
      finish_instances(part + begin, part + end);
    }
  }
  void check() const noexcept {}
  void apply(const cpu::WorkItem& item) const noexcept {
    const math::GradientArrays c = coefficients();
    if (args.partition.group_parts > 1) {
      apply_to_groups(item, c);
    } else {
      runner.phases().input_gradient(x, dy, dx, item, c);
    }
  }
  void apply_and_reduce(const cpu::WorkItem& item, const cpu::WorkItem& next, math::ChannelPairs out) const noexcept {
    const math::GradientArrays c = coefficients();
    if (args.partition.group_parts == 1 || core::for_all(item.channels(), takes_dy(item, c))) {
      runner.phases().input_gradient_and_sums(x, dy, dx, item, c, next, out);
    } else {
      apply_to_groups(item, c);
      reduce(next, out);
    }
  }

 private:
  [[nodiscard]] math::GradientArrays coefficients() const noexcept {
    return a.of.from(part).coefficients(a.mean + part);
  }

  void finish_groups(int64_t begin, int64_t end) const noexcept {
    const math::Partition& p = args.partition;
    cpu::for_channels(begin / p.group_parts, end / p.group_parts,
                      math::GroupGradientFinish<param_t<T>>{.values = static_cast<double>(values * p.group_parts),
                                                            .group_parts = p.group_parts,
                                                            .parameters = p.parameters,
                                                            .rstd = a.rstd,
                                                            .gamma = core::data_or_null(args.gamma),
                                                            .sum_dy = a.sum_dy,
                                                            .sum_dy_xmu = a.sum_dy_xmu,
                                                            .to = a.of});
  }
  void finish_instances(int64_t begin, int64_t end) const noexcept {
    args.partition.for_parameters(begin, end, [&](int64_t b, int64_t e, int64_t first) {
      const math::GradientFinish<param_t<T>> channel{.rstd = a.rstd + first,
                                                     .gamma = core::data_or_null(args.gamma),
                                                     .count = static_cast<double>(values),
                                                     .sum_dy = a.sum_dy + first,
                                                     .sum_dy_xmu = a.sum_dy_xmu + first,
                                                     .to = a.of.from(first)};
      cpu::for_channels(b - first, e - first, channel);
    });
  }

  /// Whether dx of the item's channel k takes anything from its dy: see math::GroupGradientFinish.
  static auto takes_dy(const cpu::WorkItem& item, const math::GradientArrays& c) noexcept {
    return [scale = c.scale + item.begin](int64_t k) { return scale[k] != 0; };
  }
  /// A channel's way depends on its own scale alone.
  void apply_to_groups(const cpu::WorkItem& item, const math::GradientArrays& c) const noexcept {
    core::for_runs(item.channels(), takes_dy(item, c), [&](int64_t b, int64_t e, bool from_dy) {
      if (from_dy) {
        runner.phases().input_gradient(x, dy, dx, item.part(b, e), c);
      } else {
        runner.phases().normalize(x, dx, item.part(b, e), {c.mean, c.slope, c.mean_dy});
      }
    });
  }
};

}  // namespace

template <class T>
void grouped_forward(const char* operation, const GroupedForward<T>& args, const Options& options) {
  const math::Partition& p = args.partition;
  if (p.parts() == 0) return;
  const bool variance_may_fail = args.eps <= 0;
  cpu::SubBatchRunners<T> runners(p, variance_may_fail ? cpu::in_one_pass(options) : options, 1);
  const PartArrays<T> arrays(p.parts());
  const auto for_sub_batches = [&](const auto& run) {
    runners.for_each([&](cpu::PassRunner<T>& runner, const cpu::SubBatches& at) {
      run(runner.traversal(), SubBatchForward<T>{.runner = runner,
                                                 .args = args,
                                                 .x = args.x + at.element,
                                                 .y = args.y + at.element,
                                                 .part = at.part,
                                                 .values = at.values,
                                                 .parts = arrays.of});
    });
  };
  if (variance_may_fail) {  // all variances are known before the first write
    for_sub_batches([](auto& traversal, const auto& passes) { traversal.reduce_and_finish(passes); });
    check_variances(operation, p, arrays.of.var, args.eps);
    for_sub_batches([](auto& traversal, const auto& passes) { traversal.apply(passes); });
  } else {
    for_sub_batches([](auto& traversal, const auto& passes) { traversal.reduce_and_apply(passes); });
  }
  math::gather(p, arrays.of.mean, args.mean);
  math::gather(p, arrays.of.var, args.var);
  math::gather(p, arrays.of.rstd, args.rstd);
}

template <class T>
void grouped_backward(const GroupedBackward<T>& args, const Options& options) {
  const math::Partition& p = args.partition;
  const bool needs_x = !args.dx.empty() || !args.dgamma.empty();
  const T* const x = needs_x ? args.x.data() : args.dy.data();  // sum(dy) alone: what stands in for x is in the cache
  const BackwardPartArrays<T> arrays(std::max(p.parts(), p.parameters));
  if (p.parts() > 0) {
    math::spread(p, args.mean, arrays.mean);
    math::spread(p, args.rstd, arrays.rstd);
    cpu::SubBatchRunners<T> runners(p, options, needs_x ? 2 : 1);
    runners.for_each([&](cpu::PassRunner<T>& runner, const cpu::SubBatches& at) {
      const SubBatchBackward<T> passes{.runner = runner,
                                       .args = args,
                                       .x = x + at.element,
                                       .dy = args.dy.data() + at.element,
                                       .dx = args.dx.empty() ? nullptr : args.dx.data() + at.element,
                                       .part = at.part,
                                       .values = at.values,
                                       .a = arrays};
      if (args.dx.empty()) {
        runner.traversal().reduce(passes);
      } else {
        runner.traversal().reduce_and_apply(passes);
      }
    });
  }
  double* const sum = arrays.of.mean_dy;  // free by now
  cpu::sum_over_sub_batches(p, args.dgamma,
                            math::AddProducts{.sum = sum, .first = 0, .a = arrays.rstd, .b = arrays.sum_dy_xmu});
  cpu::sum_over_sub_batches(p, args.dbeta, math::AddValues{.sum = sum, .first = 0, .values = arrays.sum_dy});
}

#define UNITVAR_INSTANTIATE(T)                                                             \
  template void grouped_forward<T>(const char*, const GroupedForward<T>&, const Options&); \
  template void grouped_backward<T>(const GroupedBackward<T>&, const Options&);
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar::ops
