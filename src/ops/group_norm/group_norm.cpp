#include "unitvar/group_norm.hpp"

#include "core/standard_arithmetic.hpp"
#include "cpu/runtime/check_options.hpp"
#include "ops/group_norm/group_arguments.hpp"
#include "ops/group_norm/grouped.hpp"

namespace unitvar {
namespace {

using core::Arguments;

template <class T>
void check_arguments(const char* operation, const GroupNormForward<T>& a, const Options& options) {
  Arguments check(operation);
  ops::check_forward_spans(check, a, ops::checked_lengths<T>(check, a.groups));
  check.no_overlap();
  check.finite("eps", a.eps, ErrorCode::bad_epsilon);
  cpu::check_options(check, options);
}

template <class T>
void check_arguments(const char* operation, const GroupNormBackward<T>& a, const Options& options) {
  Arguments check(operation);
  ops::check_backward_spans(check, a, ops::checked_lengths<T>(check, a.groups));
  cpu::check_options(check, options);
}

template <class T>
void forward(const char* operation, const GroupNormForward<T>& args, const Options& options) {
  check_arguments(operation, args, options);
  ops::grouped_forward(operation, ops::GroupedForward<T>::of(ops::partition_of(args.groups), args), options);
}

template <class T>
void backward(const char* operation, const GroupNormBackward<T>& args, const Options& options) {
  check_arguments(operation, args, options);
  ops::grouped_backward(ops::GroupedBackward<T>::of(ops::partition_of(args.groups), args), options);
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
