#include "unitvar/group_norm.hpp"

#include "core/arguments.hpp"
#include "core/standard_arithmetic.hpp"
#include "cpu/runtime/check_options.hpp"
#include "ops/group_norm/group_arguments.hpp"
#include "ops/group_norm/grouped.hpp"

namespace unitvar {
namespace {

using core::Arguments;
using std::int64_t;

template <class T>
void check_arguments(const char* operation, const GroupNormForward<T>& a, const Options& options) {
  Arguments check(operation);
  check_groups(operation, a.groups, sizeof(T));
  const Extent& extent = a.groups.extent;
  check.input("x", a.x, extent.size(), "N*C*S");
  check.optional_input("gamma", a.gamma, extent.channels, "C");
  check.optional_input("beta", a.beta, extent.channels, "C");
  check.output("y", a.y, extent.size(), "N*C*S");
  check.optional_output("mean", a.mean, a.groups.size(), "N*G");
  check.optional_output("rstd", a.rstd, a.groups.size(), "N*G");
  check.no_overlap();
  check.finite("eps", a.eps, ErrorCode::bad_epsilon);
  cpu::check_options(check, options);
}

template <class T>
void check_arguments(const char* operation, const GroupNormBackward<T>& a, const Options& options) {
  Arguments check(operation);
  check_groups(operation, a.groups, sizeof(T));
  const Extent& extent = a.groups.extent;
  check.input("x", a.x, extent.size(), "N*C*S");
  check.input("dy", a.dy, extent.size(), "N*C*S");
  check.input("mean", a.mean, a.groups.size(), "N*G");
  check.input("rstd", a.rstd, a.groups.size(), "N*G");
  check.optional_input("gamma", a.gamma, extent.channels, "C");
  check.optional_output("dx", a.dx, extent.size(), "N*C*S");
  check.optional_output("dgamma", a.dgamma, extent.channels, "C");
  check.optional_output("dbeta", a.dbeta, extent.channels, "C");
  check.no_overlap("dx", "dy");
  cpu::check_options(check, options);
}

template <class T>
void forward(const char* operation, const GroupNormForward<T>& args, const Options& options) {
  check_arguments(operation, args, options);
  ops::grouped_forward<T>(operation,
                          {.partition = ops::partition_of(args.groups),
                           .x = args.x.data(),
                           .gamma = args.gamma,
                           .beta = args.beta,
                           .y = args.y.data(),
                           .mean = args.mean,
                           .var = {},
                           .rstd = args.rstd,
                           .eps = args.eps},
                          options);
}

template <class T>
void backward(const char* operation, const GroupNormBackward<T>& args, const Options& options) {
  check_arguments(operation, args, options);
  ops::grouped_backward<T>({.partition = ops::partition_of(args.groups),
                            .x = args.x,
                            .dy = args.dy,
                            .mean = args.mean,
                            .rstd = args.rstd,
                            .gamma = args.gamma,
                            .dx = args.dx,
                            .dgamma = args.dgamma,
                            .dbeta = args.dbeta},
                           options);
}

}  // namespace

template <class T>
void group_norm_forward(const GroupNormForward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  forward("group_norm_forward", args, options);
}

template <class T>
void instance_norm_forward(const GroupNormForward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  ops::check_instances("instance_norm_forward", args.groups);
  forward("instance_norm_forward", args, options);
}

template <class T>
void group_norm_backward(const GroupNormBackward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  backward("group_norm_backward", args, options);
}

template <class T>
void instance_norm_backward(const GroupNormBackward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  ops::check_instances("instance_norm_backward", args.groups);
  backward("instance_norm_backward", args, options);
}

#define UNITVAR_INSTANTIATE(T)                                                        \
  template void group_norm_forward<T>(const GroupNormForward<T>&, const Options&);    \
  template void instance_norm_forward<T>(const GroupNormForward<T>&, const Options&); \
  template void group_norm_backward<T>(const GroupNormBackward<T>&, const Options&);  \
  template void instance_norm_backward<T>(const GroupNormBackward<T>&, const Options&);
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar
