#pragma once
#include <cstdint>

#include "cpu/phases/tile_phases.hpp"
#include "cpu/plan/merge_tiles.hpp"

/// One pass over a tensor: what to do with each work item. A first pass has
///   reduce(item, out)           fills the item's own pair of numbers per channel;
///   merge(begin, end, leaves)   makes the pair of channels [begin, end) from leaves(t), those of their tiles;
/// and a second one
///   apply(item).
/// A description of two passes has these three, and
///   finish(begin, end)          what stands between the passes, for parts [begin, end), whole groups of one sub-batch:
///                               from their pairs, merged, to what the second pass takes;
///   check()                     comes before the first write of a walk that is streamed as one block; may throw;
///   apply_and_reduce(item, next, out)   applies a work item and reduces another one.
/// A Traversal runs it; where ranks share the batch, a sync::Exchange runs the same by blocks of channels. Both see it
/// through any_pass.hpp.
namespace unitvar::cpu {

template <class T>
class PassRunner;

/// Phase 1.
template <class T>
struct MomentsPass {
  const PassRunner<T>& runner;
  const T* x;
  double *mean, *m2;  ///< results

  void reduce(const WorkItem& item, math::ChannelPairs out) const noexcept { runner.phases().moments(x, item, out); }
  void merge(std::int64_t begin, std::int64_t end, const TileLeaves& leaves) const noexcept {
    runner.merge_moments(begin, end, leaves, mean, m2);
  }
};

/// Phase 3: sum(dy) and sum(dy * (x - mean)), or the same of another pair of tensors.
template <class T>
struct GradientSumsPass {
  const PassRunner<T>& runner;
  const T *x, *dy;
  const double* mean;
  double *sum_dy, *sum_dy_xmu;  ///< results

  void reduce(const WorkItem& item, math::ChannelPairs out) const noexcept {
    runner.phases().gradient_sums(x, dy, item, mean, out);
  }
  void merge(std::int64_t begin, std::int64_t end, const TileLeaves& leaves) const noexcept {
    runner.merge_sums(begin, end, leaves, sum_dy, sum_dy_xmu);
  }
};

/// Phase 2.
template <class T>
struct NormalizePass {
  const PassRunner<T>& runner;
  const T* x;
  T* y;
  math::NormalizeArrays coefficients;

  void apply(const WorkItem& item) const noexcept { runner.phases().normalize(x, y, item, coefficients); }
};

/// A function behind phase 2, or a product of dy with a derivative of it.
template <class T>
struct FunctionPass {
  const PassRunner<T>& runner;
  const T* x;
  T* out;
  math::NormalizeArrays coefficients;
  kernels::Function<T> function;

  void apply(const WorkItem& item) const noexcept { runner.phases().apply(x, out, item, coefficients, function); }
};

/// Phase 4.
template <class T>
struct InputGradientPass {
  const PassRunner<T>& runner;
  const T *x, *dy;
  T* dx;
  math::GradientArrays coefficients;

  void apply(const WorkItem& item) const noexcept { runner.phases().input_gradient(x, dy, dx, item, coefficients); }
};

/// A linear map of two or three tensors (in.b may be null).
template <class T>
struct CombinePass {
  const PassRunner<T>& runner;
  kernels::CombineTensors<T> in;
  T* out;
  math::CombineArrays coefficients;

  void apply(const WorkItem& item) const noexcept { runner.phases().combine(in, out, item, coefficients); }
};

}  // namespace unitvar::cpu
