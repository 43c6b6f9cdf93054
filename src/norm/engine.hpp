#pragma once
#include <algorithm>
#include <cstdint>
#include <span>

#include "core/cache.hpp"
#include "core/parallel.hpp"
#include "core/vector_loop.hpp"
#include "norm/cells.hpp"
#include "norm/channel_math.hpp"
#include "norm/schedule.hpp"
#include "norm/walk.hpp"
#include "unitvar/dtype.hpp"

namespace unitvar::norm {

/// What a call with these options is scheduled from on this machine.
inline ScheduleInput schedule_input(const Options& options, std::int64_t bytes_per_element, std::int64_t tensors_read) {
  return {.bytes_per_element = bytes_per_element,
          .tensors_read = tensors_read,
          .cache = core::cache_sizes(),
          .threads = options.threads > 0 ? options.threads : core::default_threads(),
          .walk = options.walk};
}

/// For a second phase alone: nothing is read twice, so memory is walked from end to end.
inline Options in_one_pass(Options options) noexcept {
  options.walk = Walk::streamed;
  return options;
}

/// One call at work: its schedule, its kernels, and the four phases in the form that a Walker takes. Every operation
/// of the library is a composition of these.
template <class T>
class Engine {
 public:
  /// `tensors_read`: tensors that the first pass reads and the second reads again.
  Engine(const Extent& extent, const Options& options, std::int64_t tensors_read)
      : Engine(extent, schedule_input(options, sizeof(T), tensors_read), options.isa) {}
  Engine(const Extent& extent, const ScheduleInput& input, Isa isa)
      : schedule_(make_schedule(extent, input)),
        cells_(kernels::kernels_for<T>(isa), schedule_.tiling, schedule_.access),
        walker_(schedule_) {}
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  [[nodiscard]] const Schedule& schedule() const noexcept { return schedule_; }
  [[nodiscard]] const Cells<T>& cells() const noexcept { return cells_; }
  Walker<T>& walker() noexcept { return walker_; }

  /// Phases 1 and 3: what to do with a cell in the first pass.
  auto moments(const T* x) const noexcept {
    return [this, x](const Cell& cell, PairArrays out) { cells_.moments(x, cell, out); };
  }
  auto gradient_sums(const T* x, const T* dy, const double* mean) const noexcept {
    return [=, this](const Cell& cell, PairArrays out) { cells_.gradient_sums(x, dy, cell, mean, out); };
  }

  /// Phases 2 and 4: what to do with a cell in the second pass.
  auto normalize(const T* x, T* y, const NormalizeArrays& c) const noexcept {
    return [=, this](const Cell& cell) { cells_.normalize(x, y, cell, c); };
  }
  auto input_gradient(const T* x, const T* dy, T* dx, const GradientArrays& c) const noexcept {
    return [=, this](const Cell& cell) { cells_.input_gradient(x, dy, dx, cell, c); };
  }

  /// Phase 2 of one cell with phase 1 of another, and phase 4 with phase 3.
  auto normalize_and_moments(const T* x, T* y, const NormalizeArrays& c) const noexcept {
    return [=, this](const Cell& cell, const Cell& next, PairArrays out) {
      cells_.normalize_and_moments(x, y, cell, c, next, out);
    };
  }
  auto input_gradient_and_sums(const T* x, const T* dy, T* dx, const GradientArrays& c) const noexcept {
    return [=, this](const Cell& cell, const Cell& next, PairArrays out) {
      cells_.input_gradient_and_sums(x, dy, dx, cell, c, next, out);
    };
  }

  /// The merges: from the tiles' pairs, leaf(t), to first and second of channels [begin, end).
  template <class Leaf>
  void merge_moments_into(std::int64_t begin, std::int64_t end, const Leaf& leaf, double* mean, double* m2) const {
    const Tiling& tiling = schedule_.tiling;
    merge_tree(tiling.tiles(), [&](std::int64_t i, std::int64_t j, std::int64_t step) {
      const std::int64_t middle = tiling.values_before(j);
      const auto count_a = static_cast<double>(middle - tiling.values_before(i));
      const auto count_b = static_cast<double>(tiling.values_before(j + step) - middle);
      merge_moments(count_a, leaf(i), count_b, leaf(j).first, leaf(j).second, end - begin);
    });
    copy_root(begin, end, leaf, mean, m2);
  }
  template <class Leaf>
  void merge_sums_into(std::int64_t begin, std::int64_t end, const Leaf& leaf, double* first, double* second) const {
    merge_tree(schedule_.tiling.tiles(),
               [&](std::int64_t i, std::int64_t j, std::int64_t) { merge_sums(leaf(i), leaf(j), end - begin); });
    copy_root(begin, end, leaf, first, second);
  }

 private:
  /// An empty batch has no tiles: zeros.
  template <class Leaf>
  void copy_root(std::int64_t begin, std::int64_t end, const Leaf& leaf, double* first, double* second) const {
    if (schedule_.tiling.tiles() == 0) {
      std::fill(first + begin, first + end, 0.0);
      std::fill(second + begin, second + end, 0.0);
      return;
    }
    std::copy_n(leaf(0).first, end - begin, first + begin);
    std::copy_n(leaf(0).second, end - begin, second + begin);
  }

  Schedule schedule_;
  Cells<T> cells_;
  Walker<T> walker_;
};

/// The coefficients of dx = ((dy - mean_dy) - (x - mean) * slope) * scale (B31), for channels [begin, end). rstd
/// multiplies before and after the division by count, so that nothing under- or overflows that the result does not.
struct GradientFinish {
  double count;
  double* mean_dy;
  double* slope;
  double* scale;

  template <class P>
  void operator()(std::int64_t begin, std::int64_t end, const double* rstd, std::span<const P> gamma,
                  const double* sum_dy, const double* sum_dy_xmu) const noexcept {
    core::vector_loop(begin, end, [=, to = *this](std::int64_t c) {
      to.mean_dy[c] = sum_dy[c] / to.count;
      to.slope[c] = sum_dy_xmu[c] * rstd[c] / to.count * rstd[c];
      to.scale[c] = gamma_at(gamma, c) * rstd[c];
    });
  }
};

}  // namespace unitvar::norm
