#include "ops/group_norm/grouped.hpp"

#include <algorithm>

#include "core/arguments.hpp"
#include "core/vector_loop.hpp"
#include "cpu/passes/sub_batch_runners.hpp"
#include "math/group_math.hpp"

namespace unitvar::ops {
namespace {

using core::vector_loop;
using std::int64_t;

/// Mean, variance and coefficients of all parts.
template <class T>
struct ForwardArrays {
  explicit ForwardArrays(int64_t parts)
      : memory(6, parts),
        mean(memory[0]),
        var(memory[1]),
        rstd(memory[2]),
        beta(memory[3]),
        scale(math::ScaleArrays::of<T>(memory[4], memory[5])) {}

  math::ChannelArrays memory;
  double *mean, *var, *rstd, *beta;
  math::ScaleArrays scale;

  [[nodiscard]] math::NormalizeArrays from(int64_t part) const noexcept {
    const math::ScaleArrays of = scale.from(part);
    return {mean + part, of.scale, beta + part, of.factor};
  }
};

/// From mean and M2 of parts [begin, end), which are whole groups, to their groups' and to the coefficients.
template <class T>
void finish_forward(const GroupedForward<T>& args, int64_t begin, int64_t end, int64_t values,
                    const ForwardArrays<T>& to) {
  const math::Partition& p = args.partition;
  math::merge_groups(p, begin, end, static_cast<double>(values), to.mean, to.var);
  const auto count = static_cast<double>(values * p.group_parts);
  double *const var = to.var, *const rstd = to.rstd;
  core::vector_loop(begin, end, [=](int64_t k) { var[k] = math::biased_variance(var[k], count); });
  core::vector_loop(begin, end, [=, eps = args.eps](int64_t k) { rstd[k] = math::rstd_of(var[k], eps); });
  p.for_parameters(begin, end, [&](int64_t b, int64_t e, int64_t first) {
    const auto rstd_at = [of = rstd + first](int64_t c) { return of[c]; };
    math::normalize_coefficients(b - first, e - first, rstd_at, args.gamma, args.beta, to.scale.from(first),
                                 to.beta + first);
  });
}

/// The first pass over a sub-batch, and what follows from it. A resident walk's blocks of channels are whole groups,
/// which it finishes one by one; a streamed one's are not, and all wait for the last.
template <class T>
class SubBatchForward {
 public:
  SubBatchForward(const GroupedForward<T>& args, const ForwardArrays<T>& to, cpu::PassRunner<T>& runner,
                  const cpu::SubBatch& sub_batch)
      : args_(args), to_(to), runner_(runner), sub_batch_(sub_batch) {}

  [[nodiscard]] auto merge() const {
    return [this](int64_t begin, int64_t end, const auto& leaf) {
      runner_.merge_moments_into(begin, end, leaf, to_.mean + sub_batch_.part, to_.var + sub_batch_.part);
      if (runner_.schedule().walk == Walk::resident) finish(begin, end);
    };
  }
  void finish(int64_t begin, int64_t end) const {
    finish_forward(args_, sub_batch_.part + begin, sub_batch_.part + end, sub_batch_.values, to_);
  }
  void finish_all() const { finish(0, args_.partition.extent.channels); }

  void reduce() const {
    runner_.traversal().reduce(runner_.moments(x()), merge());
    if (runner_.schedule().walk == Walk::streamed) finish_all();
  }
  void apply() const { runner_.traversal().apply(runner_.normalize(x(), y(), coefficients())); }
  void reduce_and_apply() const {
    runner_.traversal().reduce_and_apply(
        runner_.moments(x()), merge(), [this] { finish_all(); }, runner_.normalize(x(), y(), coefficients()),
        runner_.normalize_and_moments(x(), y(), coefficients()));
  }

 private:
  [[nodiscard]] const T* x() const { return args_.x + sub_batch_.element; }
  [[nodiscard]] T* y() const { return args_.y + sub_batch_.element; }
  [[nodiscard]] math::NormalizeArrays coefficients() const { return to_.from(sub_batch_.part); }

  const GroupedForward<T>& args_;
  const ForwardArrays<T>& to_;
  cpu::PassRunner<T>& runner_;
  const cpu::SubBatch& sub_batch_;
};

void check_variances(const char* operation, const math::Partition& p, const double* var, double eps) {
  const core::Arguments check(operation);
  for (int64_t g = 0; g < p.groups(); ++g) check.positive_variance(var[g * p.group_parts], eps, g);
}

/// The arrays of one backward, over all parts.
template <class T>
struct BackwardArrays {
  explicit BackwardArrays(int64_t parts)
      : memory(8, parts), mean(memory[0]), rstd(memory[1]), sum_dy(memory[2]), sum_dy_xmu(memory[3]) {}

  math::ChannelArrays memory;
  double *mean, *rstd, *sum_dy, *sum_dy_xmu;

  [[nodiscard]] double* mean_dy() const noexcept { return memory[4]; }
  [[nodiscard]] double* slope() const noexcept { return memory[5]; }
  [[nodiscard]] math::ScaleArrays scale() const noexcept { return math::ScaleArrays::of<T>(memory[6], memory[7]); }
  [[nodiscard]] math::GradientArrays from(int64_t part) const noexcept {
    const math::ScaleArrays of = scale().from(part);
    return {mean + part, mean_dy() + part, slope() + part, of.scale, of.factor};
  }
};

/// From the sums of parts [begin, end), which are whole groups, to the coefficients of dx.
template <class T>
void finish_backward(const GroupedBackward<T>& args, int64_t begin, int64_t end, int64_t values,
                     const BackwardArrays<T>& a) {
  const math::Partition& p = args.partition;
  const auto count = static_cast<double>(values * p.group_parts);
  if (p.group_parts > 1) {
    const math::GroupGradientFinish finish{count, a.mean_dy(), a.slope(), a.scale()};
    finish(p, begin, end, a.rstd, args.gamma, a.sum_dy, a.sum_dy_xmu);
    return;
  }
  p.for_parameters(begin, end, [&](int64_t b, int64_t e, int64_t first) {
    const math::GradientFinish finish{count, a.mean_dy() + first, a.slope() + first, a.scale().from(first)};
    finish(b - first, e - first, a.rstd + first, args.gamma, a.sum_dy + first, a.sum_dy_xmu + first);
  });
}

/// The second phase of a work item of groups: see GroupGradientFinish. A channel's way depends on its own scale alone.
template <class T>
void apply_gradient(const cpu::TilePhases<T>& items, const T* x, const T* dy, T* dx, const cpu::WorkItem& item,
                    const math::GradientArrays& c) {
  const auto scales = [&](int64_t k) { return c.scale[item.begin + k] != 0; };
  core::for_runs(item.channels(), scales, [&](int64_t b, int64_t e, bool from_dy) {
    if (from_dy) {
      items.input_gradient(x, dy, dx, item.part(b, e), c);
    } else {
      items.normalize(x, dx, item.part(b, e), {c.mean, c.slope, c.mean_dy});
    }
  });
}

template <class T>
class SubBatchBackward {
 public:
  SubBatchBackward(const GroupedBackward<T>& args, const BackwardArrays<T>& arrays, cpu::PassRunner<T>& runner,
                   const cpu::SubBatch& sub_batch)
      : args_(args), a_(arrays), runner_(runner), sub_batch_(sub_batch) {}

  void run() const {
    const T* const dy = args_.dy.data() + sub_batch_.element;
    // sum(dy) alone: what stands in for x is in the cache anyway
    const bool needs_x = !args_.dx.empty() || !args_.dgamma.empty();
    const T* const x = needs_x ? args_.x.data() + sub_batch_.element : dy;
    const auto reduce = runner_.gradient_sums(x, dy, a_.mean + sub_batch_.part);
    if (args_.dx.empty()) {
      runner_.traversal().reduce(reduce, merge(false));
      return;
    }
    T* const dx = args_.dx.data() + sub_batch_.element;
    const math::GradientArrays c = a_.from(sub_batch_.part);
    const auto finish_all = [this] { finish(0, args_.partition.extent.channels); };
    const auto both = runner_.input_gradient_and_sums(x, dy, dx, c);
    if (args_.partition.group_parts == 1) {
      runner_.traversal().reduce_and_apply(reduce, merge(true), finish_all, runner_.input_gradient(x, dy, dx, c), both);
      return;
    }
    const auto apply = [&, this](const cpu::WorkItem& item) { apply_gradient(runner_.items(), x, dy, dx, item, c); };
    runner_.traversal().reduce_and_apply(
        reduce, merge(true), finish_all, apply,
        [&](const cpu::WorkItem& item, const cpu::WorkItem& next, math::ChannelPairs out) {
          const double* scale = c.scale + item.begin;
          const auto from_dy = [=](int64_t k) { return scale[k] != 0; };
          if (core::for_all(item.channels(), from_dy)) {
            both(item, next, out);
          } else {
            apply(item);
            reduce(next, out);
          }
        });
  }

 private:
  [[nodiscard]] auto merge(bool finishes) const {
    return [this, finishes](int64_t begin, int64_t end, const auto& leaf) {
      runner_.merge_sums_into(begin, end, leaf, a_.sum_dy + sub_batch_.part, a_.sum_dy_xmu + sub_batch_.part);
      if (finishes && runner_.schedule().walk == Walk::resident) finish(begin, end);
    };
  }
  void finish(int64_t begin, int64_t end) const {
    finish_backward(args_, sub_batch_.part + begin, sub_batch_.part + end, sub_batch_.values, a_);
  }

  const GroupedBackward<T>& args_;
  const BackwardArrays<T>& a_;
  cpu::PassRunner<T>& runner_;
  const cpu::SubBatch& sub_batch_;
};

}  // namespace

template <class T>
void grouped_forward(const char* operation, const GroupedForward<T>& args, const Options& options) {
  const math::Partition& p = args.partition;
  if (p.parts() == 0) return;
  const bool variance_may_fail = args.eps <= 0;
  cpu::SubBatchRunners<T> runners(p, variance_may_fail ? cpu::in_one_pass(options) : options, 1);
  const ForwardArrays<T> arrays(p.parts());
  const auto for_blocks = [&](auto step) {
    runners.for_each([&](cpu::PassRunner<T>& runner, const cpu::SubBatch& sub_batch) {
      (SubBatchForward<T>(args, arrays, runner, sub_batch).*step)();
    });
  };
  if (variance_may_fail) {  // all variances are known before the first write
    for_blocks(&SubBatchForward<T>::reduce);
    check_variances(operation, p, arrays.var, args.eps);
    for_blocks(&SubBatchForward<T>::apply);
  } else {
    for_blocks(&SubBatchForward<T>::reduce_and_apply);
  }
  math::gather(p, arrays.mean, args.mean);
  math::gather(p, arrays.var, args.var);
  math::gather(p, arrays.rstd, args.rstd);
}

template <class T>
void grouped_backward(const GroupedBackward<T>& args, const Options& options) {
  const math::Partition& p = args.partition;
  const bool needs_x = !args.dx.empty() || !args.dgamma.empty();
  const BackwardArrays<T> arrays(std::max(p.parts(), p.parameters));
  if (p.parts() > 0) {
    math::spread(p, args.mean, arrays.mean);
    math::spread(p, args.rstd, arrays.rstd);
    cpu::SubBatchRunners<T> runners(p, options, needs_x ? 2 : 1);
    runners.for_each([&](cpu::PassRunner<T>& runner, const cpu::SubBatch& sub_batch) {
      SubBatchBackward<T>(args, arrays, runner, sub_batch).run();
    });
  }
  double* const sum = arrays.mean_dy();  // free by now
  const double *const rstd = arrays.rstd, *const sum_dy = arrays.sum_dy, *const sum_dy_xmu = arrays.sum_dy_xmu;
  math::sum_over_sub_batches(p, args.dgamma, sum, [=](int64_t k) { return rstd[k] * sum_dy_xmu[k]; });
  math::sum_over_sub_batches(p, args.dbeta, sum, [=](int64_t k) { return sum_dy[k]; });
}

#define UNITVAR_INSTANTIATE(T)                                                             \
  template void grouped_forward<T>(const char*, const GroupedForward<T>&, const Options&); \
  template void grouped_backward<T>(const GroupedBackward<T>&, const Options&);
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar::ops
