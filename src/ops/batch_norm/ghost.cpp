#include "unitvar/ghost.hpp"

#include "core/arguments.hpp"
#include "core/standard_arithmetic.hpp"
#include "cpu/runtime/check_options.hpp"
#include "ops/group_norm/grouped.hpp"

namespace unitvar {
namespace {

using core::Arguments;
using std::int64_t;

/// The number of statistics, B*C.
int64_t check_ghosts(const Arguments& check, const Extent& extent, int64_t ghost, std::size_t bytes_per_element) {
  check_extent(check.operation(), extent, static_cast<int64_t>(bytes_per_element));
  if (ghost < 1) check.fail(ErrorCode::bad_argument, "ghost is " + std::to_string(ghost) + ", want 1 or more");
  return ghost_batches(extent, ghost) * extent.channels;
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
  const int64_t statistics = check_ghosts(check, a.extent, a.ghost, sizeof(T));
  const int64_t C = a.extent.channels;
  check.input("x", a.x, a.extent.size(), "N*C*S");
  check.optional_input("gamma", a.gamma, C, "C");
  check.optional_input("beta", a.beta, C, "C");
  check.output("y", a.y, a.extent.size(), "N*C*S");
  check.optional_output("mean", a.mean, statistics, "B*C");
  check.optional_output("var", a.var, statistics, "B*C");
  check.optional_output("rstd", a.rstd, statistics, "B*C");
  check.no_overlap();
  check.finite("eps", a.eps, ErrorCode::bad_epsilon);
  check_counts(check, a.extent, a.ghost);
  cpu::check_options(check, options);
}

template <class T>
void check_arguments(const BatchNormGhostBackward<T>& a, const Options& options) {
  Arguments check("batch_norm_ghost_backward");
  const int64_t statistics = check_ghosts(check, a.extent, a.ghost, sizeof(T));
  const int64_t C = a.extent.channels;
  check.input("x", a.x, a.extent.size(), "N*C*S");
  check.input("dy", a.dy, a.extent.size(), "N*C*S");
  check.input("mean", a.mean, statistics, "B*C");
  check.input("rstd", a.rstd, statistics, "B*C");
  check.optional_input("gamma", a.gamma, C, "C");
  check.optional_output("dx", a.dx, a.extent.size(), "N*C*S");
  check.optional_output("dgamma", a.dgamma, C, "C");
  check.optional_output("dbeta", a.dbeta, C, "C");
  check.no_overlap("dx", "dy");
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
  ops::grouped_forward<T>("batch_norm_ghost_forward",
                          {.partition = partition_of(args.extent, args.ghost),
                           .x = args.x.data(),
                           .gamma = args.gamma,
                           .beta = args.beta,
                           .y = args.y.data(),
                           .mean = args.mean,
                           .var = args.var,
                           .rstd = args.rstd,
                           .eps = args.eps},
                          options);
}

template <class T>
void batch_norm_ghost_backward(const BatchNormGhostBackward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  check_arguments(args, options);
  ops::grouped_backward<T>({.partition = partition_of(args.extent, args.ghost),
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

#define UNITVAR_INSTANTIATE(T)                                                                \
  template void batch_norm_ghost_forward<T>(const BatchNormGhostForward<T>&, const Options&); \
  template void batch_norm_ghost_backward<T>(const BatchNormGhostBackward<T>&, const Options&);
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar
