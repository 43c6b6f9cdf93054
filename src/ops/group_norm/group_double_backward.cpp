#include <algorithm>

#include "core/standard_arithmetic.hpp"
#include "cpu/passes/sub_batch_runners.hpp"
#include "cpu/runtime/check_options.hpp"
#include "math/group_derivatives.hpp"
#include "math/group_math.hpp"
#include "ops/group_norm/group_arguments.hpp"
#include "unitvar/group_norm.hpp"

namespace unitvar {
namespace {

using core::Arguments;
using std::int64_t;

template <class T>
void check_arguments(const char* operation, const GroupNormDoubleBackward<T>& a, const Options& options) {
  Arguments check(operation);
  ops::check_double_backward_spans(check, a, ops::checked_lengths<T>(check, a.groups));
  cpu::check_options(check, options);
}

constexpr int kArrays = 16;

math::GroupDerivativeArrays arrays_in(const cpu::ChannelArrays& m) noexcept {
  return {.mean = m[0],
          .rstd = m[1],
          .sum_dy = m[2],
          .sum_dy_xmu = m[3],
          .sum_v = m[4],
          .sum_v_xmu = m[5],
          .mean_dy = m[6],
          .cross = m[7],
          .mean_v = m[8],
          .grad_gamma = m[9],
          .w = m[10],
          .mixed = m[11],
          .v_in_grad_dy = m[12],
          .x_in_grad_x = m[13],
          .v_in_grad_x = m[14],
          .offset_of_grad_x = m[15]};
}

/// The passes over equal sub-batches. Absent v is 0: then it is not read.
template <class T>
class SubBatchDoubleBackward {
 public:
  SubBatchDoubleBackward(const GroupNormDoubleBackward<T>& args, const math::Partition& partition,
                         const math::GroupDerivativeArrays& a, cpu::PassRunner<T>& runner,
                         const cpu::SubBatches& sub_batches)
      : args_(args), partition_(partition), a_(a), runner_(runner), sub_batches_(sub_batches) {}

  void run() const {
    sum(x(), dy(), a_.mean, a_.sum_dy, a_.sum_dy_xmu);
    cpu::for_channels(begin(), end(), math::MeanOfSum{.count = count(), .sum = a_.sum_dy, .mean = a_.mean_dy});
    if (has_v()) {
      sum(x(), v(), a_.mean, a_.sum_v, a_.sum_v_xmu);
      sum(dy(), v(), a_.mean_dy, a_.sum_v, a_.cross);
    } else {
      for (double* zeros : {a_.sum_v, a_.sum_v_xmu, a_.cross}) std::fill(zeros + begin(), zeros + end(), 0.0);
    }
    cpu::for_channels(begin() / partition_.group_parts, end() / partition_.group_parts,
                      math::GroupSecondGradient<param_t<T>>{.count = count(),
                                                            .group_parts = partition_.group_parts,
                                                            .parameters = partition_.parameters,
                                                            .gamma = core::data_or_null(args_.gamma),
                                                            .grad_dgamma = core::data_or_null(args_.grad_dgamma),
                                                            .grad_dbeta = core::data_or_null(args_.grad_dbeta),
                                                            .a = a_});
    if (!args_.grad_dy.empty()) write_grad_dy(args_.grad_dy.data() + sub_batches_.element);
    if (!args_.grad_x.empty()) write_grad_x(args_.grad_x.data() + sub_batches_.element);
  }

 private:
  [[nodiscard]] const T* x() const { return args_.x.data() + sub_batches_.element; }
  [[nodiscard]] const T* dy() const { return args_.dy.data() + sub_batches_.element; }
  [[nodiscard]] const T* v() const { return args_.grad_dx.data() + sub_batches_.element; }
  [[nodiscard]] bool has_v() const { return !args_.grad_dx.empty(); }
  [[nodiscard]] int64_t begin() const { return sub_batches_.part; }
  [[nodiscard]] int64_t end() const { return sub_batches_.part + sub_batches_.parts; }
  [[nodiscard]] double count() const { return static_cast<double>(sub_batches_.values); }

  /// sum(b) and sum(b * (a - center)) of each part.
  void sum(const T* a, const T* b, const double* center, double* sum_b, double* sum_of_products) const {
    const int64_t part = sub_batches_.part;
    runner_.traversal().reduce(runner_.gradient_sums(a, b, center + part, sum_b + part, sum_of_products + part));
  }

  void write_grad_dy(T* out) const {
    const int64_t k = sub_batches_.part;
    if (!has_v()) {
      runner_.traversal().apply(runner_.normalize(x(), out, {a_.mean + k, a_.mixed + k, a_.w + k}));
      return;
    }
    runner_.traversal().apply(runner_.combine({x(), v(), nullptr}, out,
                                              {.x_center = a_.mean + k,
                                               .x_slope = a_.mixed + k,
                                               .a_center = a_.mean_v + k,
                                               .a_slope = a_.v_in_grad_dy + k,
                                               .b_center = nullptr,
                                               .b_slope = nullptr,
                                               .offset = a_.w + k}));
  }
  void write_grad_x(T* out) const {
    const int64_t k = sub_batches_.part;
    runner_.traversal().apply(runner_.combine({x(), dy(), has_v() ? v() : nullptr}, out,
                                              {.x_center = a_.mean + k,
                                               .x_slope = a_.x_in_grad_x + k,
                                               .a_center = a_.mean_dy + k,
                                               .a_slope = a_.mixed + k,
                                               .b_center = has_v() ? a_.mean_v + k : nullptr,
                                               .b_slope = has_v() ? a_.v_in_grad_x + k : nullptr,
                                               .offset = a_.offset_of_grad_x + k}));
  }

  const GroupNormDoubleBackward<T>& args_;
  const math::Partition& partition_;
  const math::GroupDerivativeArrays& a_;
  cpu::PassRunner<T>& runner_;
  const cpu::SubBatches& sub_batches_;
};

template <class T>
void double_backward(const char* operation, const GroupNormDoubleBackward<T>& args, const Options& options) {
  check_arguments(operation, args, options);
  const auto p = ops::partition_of(args.groups);
  const cpu::ChannelArrays memory(kArrays, std::max(p.parts(), p.parameters));
  const math::GroupDerivativeArrays arrays = arrays_in(memory);
  if (p.parts() > 0) {
    math::spread(p, args.mean, arrays.mean);
    math::spread(p, args.rstd, arrays.rstd);
    cpu::SubBatchRunners<T> runners(p, cpu::in_one_pass(options), 2);
    runners.for_each([&](cpu::PassRunner<T>& runner, const cpu::SubBatches& sub_batches) {
      SubBatchDoubleBackward<T>(args, p, arrays, runner, sub_batches).run();
    });
  }
  cpu::sum_over_sub_batches(p, args.grad_gamma,
                            math::AddValues{.sum = arrays.cross, .first = 0, .values = arrays.grad_gamma});
}

}  // namespace

template <class T>
void group_norm_double_backward(const GroupNormDoubleBackward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  double_backward("group_norm_double_backward", args, options);
}

template <class T>
void instance_norm_double_backward(const GroupNormDoubleBackward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  ops::check_instances("instance_norm_double_backward", args.groups);
  double_backward("instance_norm_double_backward", args, options);
}

#define UNITVAR_INSTANTIATE(T)                                                                    \
  template void group_norm_double_backward<T>(const GroupNormDoubleBackward<T>&, const Options&); \
  template void instance_norm_double_backward<T>(const GroupNormDoubleBackward<T>&, const Options&);
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar
