#include "unitvar/ghost.hpp"

#include "core/standard_arithmetic.hpp"
#include "cpu/runtime/check_options.hpp"
#include "ops/argument_checks.hpp"
#include "ops/group_norm/grouped.hpp"

namespace unitvar {
namespace {

using core::Arguments;
using std::int64_t;

/// Statistics are B*C.
template <class T>
ops::Lengths checked_lengths(const Arguments& check, const Extent& extent, int64_t ghost) {
  check_extent(check.operation(), extent, sizeof(T));
  if (ghost < 1) check.fail(ErrorCode::bad_argument, "ghost is " + std::to_string(ghost) + ", want 1 or more");
  ops::Lengths lengths = ops::Lengths::of(extent);
  lengths.statistics = {ghost_batches(extent, ghost) * extent.channels, "B*C"};
  return lengths;
}

/// Each ghost batch needs two values per channel.
void check_counts(const Arguments& check, const Extent& extent, int64_t ghost) {
  if (extent.outer == 0) return;
  const auto check_rows = [&](int64_t rows, const char* which) {
    if (rows * extent.inner > 1) return;
    check.fail(ErrorCode::too_few_values,
               "the " + std::string(which) + " ghost batch has 1 value per channel, want 2 or more");
  };
  check_rows(std::min(ghost, extent.outer), "first");
  if (extent.outer % ghost > 0) check_rows(extent.outer % ghost, "last");
}

template <class T>
void check_arguments(const BatchNormGhostForward<T>& a, const Options& options) {
  Arguments check("batch_norm_ghost_forward");
  ops::check_forward_spans(check, a, checked_lengths<T>(check, a.extent, a.ghost));
  check.no_overlap();
  check.finite("eps", a.eps, ErrorCode::bad_epsilon);
  check_counts(check, a.extent, a.ghost);
  cpu::check_options(check, options);
}

template <class T>
void check_arguments(const BatchNormGhostBackward<T>& a, const Options& options) {
  Arguments check("batch_norm_ghost_backward");
  ops::check_backward_spans(check, a, checked_lengths<T>(check, a.extent, a.ghost));
  check_counts(check, a.extent, a.ghost);
  cpu::check_options(check, options);
}

/// A ghost batch longer than the batch is the batch.
math::Partition partition_of(const Extent& extent, int64_t ghost) {
  return math::Partition::of(extent, std::clamp<int64_t>(ghost, 1, std::max<int64_t>(1, extent.outer)), 1);
}

}  // namespace

template <class T>
void batch_norm_ghost_forward(const BatchNormGhostForward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  check_arguments(args, options);
  ops::grouped_forward("batch_norm_ghost_forward",
                       ops::GroupedForward<T>::of(partition_of(args.extent, args.ghost), args), options);
}

template <class T>
void batch_norm_ghost_backward(const BatchNormGhostBackward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  check_arguments(args, options);
  ops::grouped_backward(ops::GroupedBackward<T>::of(partition_of(args.extent, args.ghost), args), options);
}

#define UNITVAR_INSTANTIATE(T)                                                                \
  template void batch_norm_ghost_forward<T>(const BatchNormGhostForward<T>&, const Options&); \
  template void batch_norm_ghost_backward<T>(const BatchNormGhostBackward<T>&, const Options&);
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar
