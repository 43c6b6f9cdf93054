#include <algorithm>

#include "core/arguments.hpp"
#include "core/standard_arithmetic.hpp"
#include "cpu/passes/sub_batch_runners.hpp"
#include "cpu/runtime/check_options.hpp"
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
  check_groups(operation, a.groups, sizeof(T));
  const int64_t size = a.groups.extent.size(), C = a.groups.extent.channels;
  check.input("x", a.x, size, "N*C*S");
  check.input("dy", a.dy, size, "N*C*S");
  check.input("mean", a.mean, a.groups.size(), "N*G");
  check.input("rstd", a.rstd, a.groups.size(), "N*G");
  check.optional_input("gamma", a.gamma, C, "C");
  check.optional_input("grad_dx", a.grad_dx, size, "N*C*S");
  check.optional_input("grad_dgamma", a.grad_dgamma, C, "C");
  check.optional_input("grad_dbeta", a.grad_dbeta, C, "C");
  check.optional_output("grad_x", a.grad_x, size, "N*C*S");
  check.optional_output("grad_dy", a.grad_dy, size, "N*C*S");
  check.optional_output("grad_gamma", a.grad_gamma, C, "C");
  check.no_overlap();
  cpu::check_options(check, options);
}

/// What the passes sum for each part, and what is made of it.
struct PartArrays {
  explicit PartArrays(int64_t parts) : memory(16, parts) {}

  math::ChannelArrays memory;
  double *mean = memory[0], *rstd = memory[1];
  double *sum_dy = memory[2], *sum_dy_xmu = memory[3];  ///< of dy and dy * (x - mean)
  double *sum_v = memory[4], *sum_v_xmu = memory[5];    ///< of v and v * (x - mean)
  double *mean_dy = memory[6], *cross = memory[7];      ///< of the part's dy; sum of v * (dy - mean_dy)
  double* mean_v = memory[8];                           ///< of the group
  double *grad_gamma = memory[9], *w = memory[10];
  double* mixed = memory[11];  ///< of x in grad_dy, and of dy in grad_x: second derivatives are symmetric
  double* v_in_grad_dy = memory[12];
  double *x_in_grad_x = memory[13], *v_in_grad_x = memory[14], *offset_of_grad_x = memory[15];
};

/// From the sums of one group's parts [begin, end), of `count` values each, to the coefficients of the maps (B79); the
/// parameters of part k are those of channel k - first.
template <class T>
void finish_group(const GroupNormDoubleBackward<T>& args, int64_t begin, int64_t end, int64_t first, double count,
                  const PartArrays& a) noexcept {
  const double r = a.rstd[begin], values = count * static_cast<double>(end - begin);
  const auto mean_of = [&](const auto& term) {
    double sum = 0;
    for (int64_t k = begin; k < end; ++k) sum += term(k);
    return sum / values;
  };
  const auto g = [&](int64_t k) { return math::gamma_at(args.gamma, k - first); };
  const auto u = [&](int64_t k) { return math::beta_at(args.grad_dgamma, k - first); };
  const double v = mean_of([&](int64_t k) { return a.sum_v[k]; });
  const double gy = mean_of([&](int64_t k) { return g(k) * a.sum_dy[k]; });
  const double udy = mean_of([&](int64_t k) { return u(k) * a.sum_dy[k]; });
  const double p = r * mean_of([&](int64_t k) { return a.sum_v_xmu[k]; });
  const double q = r * mean_of([&](int64_t k) { return g(k) * a.sum_dy_xmu[k]; });
  const double q_u = r * mean_of([&](int64_t k) { return u(k) * a.sum_dy_xmu[k]; });
  const double covariance =
      mean_of([&](int64_t k) { return g(k) * a.cross[k] + (g(k) * a.mean_dy[k] - gy) * (a.sum_v[k] - count * v); });
  for (int64_t k = begin; k < end; ++k) {
    const double dy = a.mean_dy[k];
    a.mean_v[k] = v;
    a.grad_gamma[k] = r * (a.cross[k] + dy * (a.sum_v[k] - count * v) - p * r * a.sum_dy_xmu[k]);
    a.w[k] = math::beta_at(args.grad_dbeta, k - first);
    a.mixed[k] = r * (u(k) - p * r * g(k));
    a.v_in_grad_dy[k] = g(k) * r;
    a.x_in_grad_x[k] = -r * r * (r * (covariance - 3 * p * q) + q_u);
    a.v_in_grad_x[k] = -r * r * q;
    a.offset_of_grad_x[k] = r * ((u(k) * dy - udy) - p * r * (g(k) * dy - gy));
  }
}

/// The passes over one sub-batch. Absent v is 0: then it is not read.
template <class T>
class SubBatchDoubleBackward {
 public:
  SubBatchDoubleBackward(const GroupNormDoubleBackward<T>& args, const math::Partition& partition, const PartArrays& a,
                         cpu::PassRunner<T>& runner, const cpu::SubBatch& sub_batch)
      : args_(args), partition_(partition), a_(a), runner_(runner), sub_batch_(sub_batch) {}

  void run() const {
    sum(x(), dy(), a_.mean, a_.sum_dy, a_.sum_dy_xmu);
    core::vector_loop(begin(), end(),
                      [mean = a_.mean_dy, sum = a_.sum_dy, n = count()](int64_t k) { mean[k] = sum[k] / n; });
    if (has_v()) {
      sum(x(), v(), a_.mean, a_.sum_v, a_.sum_v_xmu);
      sum(dy(), v(), a_.mean_dy, a_.sum_v, a_.cross);
    } else {
      for (double* zeros : {a_.sum_v, a_.sum_v_xmu, a_.cross}) std::fill(zeros + begin(), zeros + end(), 0.0);
    }
    partition_.for_parameters(begin(), end(), [this](int64_t b, int64_t e, int64_t first) {
      const int64_t n = partition_.group_parts;
      for (int64_t g = b; g < e; g += n) finish_group(args_, g, g + n, first, count(), a_);
    });
    if (!args_.grad_dy.empty()) write_grad_dy(args_.grad_dy.data() + sub_batch_.element);
    if (!args_.grad_x.empty()) write_grad_x(args_.grad_x.data() + sub_batch_.element);
  }

 private:
  [[nodiscard]] const T* x() const { return args_.x.data() + sub_batch_.element; }
  [[nodiscard]] const T* dy() const { return args_.dy.data() + sub_batch_.element; }
  [[nodiscard]] const T* v() const { return args_.grad_dx.data() + sub_batch_.element; }
  [[nodiscard]] bool has_v() const { return !args_.grad_dx.empty(); }
  [[nodiscard]] int64_t begin() const { return sub_batch_.part; }
  [[nodiscard]] int64_t end() const { return sub_batch_.part + partition_.extent.channels; }
  [[nodiscard]] double count() const { return static_cast<double>(sub_batch_.values); }

  /// sum(b) and sum(b * (a - center)) of each part.
  void sum(const T* a, const T* b, const double* center, double* first, double* second) const {
    const int64_t part = sub_batch_.part;
    runner_.traversal().reduce(runner_.gradient_sums(a, b, center + part),
                               [=, this](int64_t from, int64_t to, const auto& leaf) {
                                 runner_.merge_sums_into(from, to, leaf, first + part, second + part);
                               });
  }

  void write_grad_dy(T* out) const {
    const int64_t k = sub_batch_.part;
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
    const int64_t k = sub_batch_.part;
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
  const PartArrays& a_;
  cpu::PassRunner<T>& runner_;
  const cpu::SubBatch& sub_batch_;
};

template <class T>
void double_backward(const char* operation, const GroupNormDoubleBackward<T>& args, const Options& options) {
  check_arguments(operation, args, options);
  const auto p = ops::partition_of(args.groups);
  const PartArrays arrays(std::max(p.parts(), p.parameters));
  if (p.parts() > 0) {
    math::spread(p, args.mean, arrays.mean);
    math::spread(p, args.rstd, arrays.rstd);
    cpu::SubBatchRunners<T> runners(p, cpu::in_one_pass(options), 2);
    runners.for_each([&](cpu::PassRunner<T>& runner, const cpu::SubBatch& sub_batch) {
      SubBatchDoubleBackward<T>(args, p, arrays, runner, sub_batch).run();
    });
  }
  math::sum_over_sub_batches(p, args.grad_gamma, arrays.cross, [of = arrays.grad_gamma](int64_t k) { return of[k]; });
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
