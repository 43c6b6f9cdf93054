#include "norm/row_batch.hpp"

#include <algorithm>

#include "core/vector_loop.hpp"
#include "norm/arithmetic.hpp"
#include "norm/channel_math.hpp"
#include "norm/ordinary.hpp"

namespace unitvar::norm {
namespace {

using core::for_all;
using core::for_runs;
using core::vector_loop;
using std::int64_t;

/// A value for each row of a batch.
template <class A>
struct PerRow {
  A values[kMostBatchRows];

  template <class Value>
  const A* fill(int64_t rows, const Value& value) noexcept {
    vector_loop(0, rows, [&](int64_t r) { values[r] = static_cast<A>(value(r)); });
    return values;
  }
};

/// x_hat = (x - center) * scale + shift: what A leaves of the mean goes into the shift.
template <class A>
struct NormalizeRows {
  PerRow<A> center, scale, shift;

  kernels::NormalizeCoefficients<const A*> fill(int64_t rows, const double* mean, const double* rstd) noexcept {
    return {center.fill(rows, [=](int64_t r) { return mean[r]; }), scale.fill(rows, [=](int64_t r) { return rstd[r]; }),
            shift.fill(rows, [=](int64_t r) { return -rounded_off<A>(mean[r], rstd[r]); })};
  }
};

template <class Fast>
auto takes(const double* mean, const double* rstd) noexcept {
  return [=](int64_t r) { return every(is_ordinary<Fast>(mean[r]), is_ordinary<Fast>(rstd[r])); };
}

/// What the last pass of the backward takes, in double, but for the mean.
struct GradientRows {
  PerRow<double> sum_g, sum_g_xmu, level, slope;

  /// (B81), with the mean of g left out where no mean was subtracted (B84).
  void finish(int64_t rows, double count, Center center, const double* rstd) noexcept {
    const double of_mean = center == Center::mean ? 1 / count : 0;
    level.fill(rows, [=, this](int64_t r) { return sum_g.values[r] * of_mean; });
    slope.fill(rows, [=, this](int64_t r) { return sum_g_xmu.values[r] * rstd[r] / count * rstd[r]; });
  }
};

/// dx = ((g - level) - (x - center) * slope) * scale. What A leaves of the mean goes into the level.
template <class A>
struct InputGradientRows {
  PerRow<A> center, level, rest, slope, scale;

  kernels::GradientCoefficients<const A*> fill(int64_t rows, const double* mean, const double* rstd,
                                               const double* levels, const double* slopes) noexcept {
    const auto level_at = [=](int64_t r) { return levels[r] - rounded_off<A>(mean[r], slopes[r]); };
    return {center.fill(rows, [=](int64_t r) { return mean[r]; }),
            {level.fill(rows, level_at), rest.fill(rows, [=](int64_t r) { return rounded_off<A>(level_at(r)); })},
            slope.fill(rows, [=](int64_t r) { return slopes[r]; }),
            scale.fill(rows, [=](int64_t r) { return rstd[r]; })};
  }
};

template <class Fast>
auto takes(const double* mean, const double* rstd, const double* level, const double* slope) noexcept {
  return [=](int64_t r) {
    return every(is_ordinary<Fast>(mean[r]), is_ordinary<Fast>(rstd[r]), is_ordinary<Fast>(level[r]),
                 is_ordinary<Fast>(slope[r]), is_moderate<Fast>(level[r] - rounded_off<Fast>(mean[r], slope[r])));
  };
}

template <class Fast, class P>
bool all_ordinary(const P* parameter, int64_t n) noexcept {
  if constexpr (std::is_same_v<Fast, double>) return true;
  return parameter == nullptr ||
         for_all(n, [parameter](int64_t i) { return is_ordinary<Fast>(static_cast<double>(parameter[i])); });
}

}  // namespace

template <class T>
RowBatch<T>::RowBatch(const kernels::RowKernels<T>& kernels, Center center, int64_t length,
                      const kernels::ColumnParameters<T>& parameters) noexcept
    : kernels_(kernels),
      center_(center),
      length_(length),
      parameters_(parameters),
      parameters_are_ordinary_(all_ordinary<Fast>(parameters.gamma, length) &&
                               all_ordinary<Fast>(parameters.beta, length)) {}

template <class T>
template <class A>
const kernels::RowPhases<T, A>& RowBatch<T>::phases() const noexcept {
  if constexpr (std::is_same_v<A, Fast>) {
    return kernels_.fast;
  } else {
    return kernels_.wide;
  }
}

/// As Cells::moments: sums about a round number near the middle of four values of the row, and again in double, about a
/// better one if need be, where these are not to be trusted.
template <class T>
void RowBatch<T>::statistics(const T* x, int64_t rows, double* mean, double* var) const noexcept {
  PerRow<Fast> shifts;
  PerRow<double> sums;
  double *const shift = mean, *const first = sums.values, *const second = var;
  choose_shifts(x, rows, shift);
  kernels_.fast.moments(x, shifts.fill(rows, [=](int64_t r) { return shift[r]; }), extent(rows), first, second);
  const auto count = static_cast<double>(length_);
  const auto is_off = [=, by_mean = center_ == Center::mean](int64_t r) {
    return by_mean && is_off_center(count, first[r], second[r]);
  };
  const auto trusted = [=](int64_t r) { return every(is_ordinary_sum<Fast>(second[r]), !is_off(r)); };
  for_runs(rows, trusted, [&](int64_t b, int64_t e, bool good) {
    for (int64_t r = b; r < e && !good; ++r) {
      const auto sum = [&] { kernels_.wide.moments(x + r * length_, shift + r, extent(1), first + r, second + r); };
      sum();
      if (!is_off(r)) continue;
      shift[r] += first[r] / count;
      sum();
    }
  });
  if (center_ == Center::zero) std::fill_n(first, rows, 0.0);
  vector_loop(0, rows, [=](int64_t r) {
    const double from_shift = first[r] / count;
    const double m2 = second[r] - first[r] * from_shift;
    mean[r] = shift[r] + from_shift;
    var[r] = m2 < 0 ? 0 : m2 / count;  // keeps NaN
  });
}

template <class T>
void RowBatch<T>::choose_shifts(const T* x, int64_t rows, double* shift) const noexcept {
  if (center_ == Center::zero) {
    std::fill_n(shift, rows, 0.0);
    return;
  }
  const int64_t length = length_, step = std::min<int64_t>(length, kernels::kNear / sizeof(T)) / 4;
  vector_loop(0, rows, [=](int64_t r) {
    const Sample sample = sample_at(x + r * length, {0, step, 2 * step, 3 * step});
    shift[r] = coarse<Fast>(sample.middle, sample);
  });
}

template <class T>
void RowBatch<T>::normalize(const T* x, T* y, int64_t rows, const double* mean, const double* rstd,
                            const kernels::Access& access) const noexcept {
  const auto normalize_in = [&](auto a, int64_t b, int64_t e) {
    using A = decltype(a);
    NormalizeRows<A> c;
    const int64_t o = b * length_;
    phases<A>().normalize(x + o, y + o, c.fill(e - b, mean + b, rstd + b), parameters_, extent(e - b), access);
  };
  const auto fast = takes<Fast>(mean, rstd);
  for_runs(
      rows, [&](int64_t r) { return every(parameters_are_ordinary_, fast(r)); },
      [&](int64_t b, int64_t e, bool is_fast) {
        in_arithmetic<Fast>(is_fast, [&](auto a) { normalize_in(a, b, e); });
      });
}

/// Sums are taken about a round number near the mean (see coarse), and moved to the mean afterwards.
template <class T>
void RowBatch<T>::gradient_sums(const T* x, const T* dy, int64_t rows, const double* mean, const double* rstd,
                                double* sum_g, double* sum_g_xmu) const noexcept {
  PerRow<Fast> center;
  const Fast* about = center.fill(rows, [=](int64_t r) { return coarse<Fast>(mean[r], {mean[r], 1 / rstd[r]}); });
  kernels_.fast.gradient_sums(x, dy, about, parameters_.gamma, extent(rows), sum_g, sum_g_xmu);
  const auto trusted = [&](int64_t r) {
    return every(parameters_are_ordinary_, is_ordinary<Fast>(static_cast<double>(about[r])),
                 is_ordinary<Fast>(sum_g[r]), is_ordinary_sum<Fast>(sum_g_xmu[r]));
  };
  for_runs(rows, trusted, [&](int64_t b, int64_t e, bool good) {
    if (good) {
      vector_loop(b, e, [=](int64_t r) { sum_g_xmu[r] += (static_cast<double>(about[r]) - mean[r]) * sum_g[r]; });
    } else {
      const int64_t o = b * length_;
      kernels_.wide.gradient_sums(x + o, dy + o, mean + b, parameters_.gamma, extent(e - b), sum_g + b, sum_g_xmu + b);
    }
  });
}

template <class T>
void RowBatch<T>::input_gradient(const T* x, const T* dy, T* dx, int64_t rows, const double* mean, const double* rstd,
                                 const kernels::Access& access) const noexcept {
  GradientRows g;
  gradient_sums(x, dy, rows, mean, rstd, g.sum_g.values, g.sum_g_xmu.values);
  g.finish(rows, static_cast<double>(length_), center_, rstd);
  const double *level = g.level.values, *slope = g.slope.values;

  const auto gradient_in = [&](auto a, int64_t b, int64_t e) {
    using A = decltype(a);
    InputGradientRows<A> c;
    const int64_t o = b * length_;
    phases<A>().input_gradient(x + o, dy + o, dx + o, c.fill(e - b, mean + b, rstd + b, level + b, slope + b),
                               parameters_.gamma, extent(e - b), access);
  };
  const auto fast = takes<Fast>(mean, rstd, level, slope);
  for_runs(
      rows, [&](int64_t r) { return every(parameters_are_ordinary_, fast(r)); },
      [&](int64_t b, int64_t e, bool is_fast) { in_arithmetic<Fast>(is_fast, [&](auto a) { gradient_in(a, b, e); }); });
}

/// Rows that are added to each other are computed in the same arithmetic.
template <class T>
void RowBatch<T>::parameter_sums(const T* x, const T* dy, int64_t rows, const double* mean, const double* rstd,
                                 double* sum_dy, double* sum_dy_x_hat) const noexcept {
  const auto add_in = [&](auto a, int64_t b, int64_t e) {
    using A = decltype(a);
    NormalizeRows<A> c;
    const int64_t o = b * length_;
    phases<A>().parameter_sums(x + o, dy + o, c.fill(e - b, mean + b, rstd + b), extent(e - b), sum_dy, sum_dy_x_hat);
  };
  const int64_t step = kernels::rows_at_once(length_), groups = (rows + step - 1) / step;
  const auto row_is_fast = takes<Fast>(mean, rstd);
  const auto group_is_fast = [&](int64_t group) {
    const int64_t b = group * step, e = std::min(b + step, rows);
    bool all = true;
    for (int64_t r = b; r < e; ++r) all = every(all, row_is_fast(r));
    return all;
  };
  for_runs(groups, group_is_fast, [&](int64_t b, int64_t e, bool is_fast) {
    in_arithmetic<Fast>(is_fast, [&](auto a) { add_in(a, b * step, std::min(e * step, rows)); });
  });
}

#define UNITVAR_INSTANTIATE(T) template class RowBatch<T>;
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar::norm
