#include "cpu/phases/row_batch.hpp"

#include <algorithm>

#include "core/vector_loop.hpp"
#include "cpu/phases/channel_loops.hpp"
#include "cpu/precision/float_policy.hpp"
#include "math/channel_math.hpp"

// A batch has one row or more, which g++ does not see where it makes no second version of a loop
// (core/vector_loop.hpp).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace unitvar::cpu {
namespace {

using core::for_all;
using core::for_runs;
using core::vector_loop;
using std::int64_t;

/// A coefficient of A for each row of a batch.
template <class A>
struct PerRow {
  A values[kMostBatchRows];

  template <class Value>
  const A* fill(int64_t rows, const Value& value) noexcept {
    fill_with(values, rows, value);
    return values;
  }
};

/// x_hat = (x - mean) * rstd + 0. It is -0 because adding that to a number changes no bit.
constexpr double kNothingAdded = -0.0;

/// The coefficients of x_hat, for a batch of rows.
template <class A>
struct XHatCoefficients {
  PerRow<A> center, scale, addend;

  kernels::NormalizeCoefficients<const A*> fill(int64_t rows, const double* mean, const double* rstd) noexcept {
    return {center.fill(rows, elements_of(mean)), scale.fill(rows, elements_of(rstd)),
            addend.fill(rows, [=](int64_t r) { return addend_about<A>(kNothingAdded, mean[r], rstd[r]); })};
  }
};

/// Whether A computes x_hat of row r.
template <class A>
auto keeps_x_hat(const double* mean, const double* rstd) noexcept {
  return [=](int64_t r) { return keeps_y<A>(mean[r], rstd[r], kNothingAdded); };
}

/// (B81): level and slope of a batch of rows, the same for every arithmetic. The level, mean(g), is left out where no
/// mean was subtracted (B84).
struct BatchSlopes {
  BatchArray level, slope;
  BatchArray mean, along;  ///< of g, and of g * x_hat

  void fill(int64_t rows, double count, Center center, const double* rstd, const BatchSums& sums) noexcept {
    const bool by_mean = center == Center::mean;
    vector_loop(0, rows, [&, by_mean](int64_t r) {
      mean[r] = sums.g[r] / count;
      level[r] = by_mean ? mean[r] : 0;  // the mean may be infinite: a product with 0 would not do
      along[r] = sums.g_xmu[r] * rstd[r] / count;
      slope[r] = along[r] * rstd[r];
    });
  }
};

/// The coefficients of dx = ((g - level) - (x - center) * slope) * scale, for a batch of rows.
template <class A>
struct DxCoefficients {
  PerRow<A> center, level, rest, slope, scale;

  kernels::GradientCoefficients<const A*> fill(int64_t rows, const double* mean, const double* rstd,
                                               const double* levels, const double* slopes) noexcept {
    vector_loop(0, rows, [=, this](int64_t r) {
      const double whole = addend_about<A>(levels[r], mean[r], slopes[r]);
      center.values[r] = static_cast<A>(mean[r]);
      level.values[r] = static_cast<A>(whole);
      rest.values[r] = static_cast<A>(remainder_of<A>(whole));
      slope.values[r] = static_cast<A>(slopes[r]);
      scale.values[r] = static_cast<A>(rstd[r]);
    });
    return {center.values, {level.values, rest.values}, slope.values, scale.values};
  }
};

/// Whether A computes dx of row r. The products g = gamma * dy are computed in A as well.
template <class A>
auto keeps_dx_of_row(const double* mean, const double* rstd, const BatchSlopes& g) noexcept {
  return [=, level = &g.level[0], slope = &g.slope[0], mean_g = &g.mean[0], along = &g.along[0]](int64_t r) {
    return every(keeps_products<A>(mean_g[r], along[r]), keeps_dx<A>(mean[r], level[r], slope[r], rstd[r]));
  };
}

/// Sums in float are taken about a round number near the mean (round_shift), and moved to the mean afterwards.
template <class Sum>
void choose_centers(int64_t rows, const double* mean, const double* rstd, Sum* center) noexcept {
  vector_loop(0, rows, [=](int64_t r) {
    center[r] = static_cast<Sum>(round_shift<Sum>(mean[r], {mean[r], 1 / rstd[r]}));
  });
}

/// From M2 to the biased variance, and from the sums to the mean.
void to_moments(int64_t rows, double count, const double* shift, const BatchArray& first, BatchMoments& out) noexcept {
  vector_loop(0, rows, [=, &first, &out](int64_t r) {
    const MeanM2 moments = moments_about(shift[r], count, first[r], out.var[r]);
    out.mean[r] = moments.mean;
    out.var[r] = moments.m2 / count;
  });
}

template <class T>
bool keeps_digits_of_all(const kernels::ColumnParameter<T>& parameter, int64_t n) noexcept {
  using Fast = kernels::fast_t<T>;
  if constexpr (std::is_same_v<Fast, double>) return true;
  return parameter.is_absent || for_all(n, [values = parameter.values](int64_t i) {
           return keeps_digits_of<Fast>(static_cast<double>(values[i]));
         });
}

}  // namespace

template <class T>
RowBatch<T>::RowBatch(const kernels::RowKernels<T>& kernels, Center center, int64_t length,
                      const kernels::ColumnParameters<T>& parameters, PrecisionCounts* counts) noexcept
    : kernels_(kernels),
      center_(center),
      length_(length),
      parameters_(parameters),
      keeps_parameters_(keeps_digits_of_all(parameters.gamma, length) && keeps_digits_of_all(parameters.beta, length)),
      counter_(counts) {}

template <class T>
template <class A>
const kernels::RowPhases<T, A>& RowBatch<T>::phases() const noexcept {
  if constexpr (std::is_same_v<A, Fast>) {
    return kernels_.fast;
  } else {
    return kernels_.wide;
  }
}

template <class T>
template <class Keeps, class Map>
void RowBatch<T>::for_runs_to_map(int64_t rows, const Keeps& keeps, const Map& map) const noexcept {
  int64_t in_double = 0;
  for_runs(rows, keeps, [&](int64_t b, int64_t e, bool is_kept) {
    with_arithmetic<Fast>(is_kept, [&](auto a) { map(a, b, e); });
    if (!is_kept) in_double += e - b;
  });
  counter_.maps(rows, in_double);
}

/// As TilePhases: a round number near the middle of four of the row's values.
template <class T>
void RowBatch<T>::choose_shifts(const T* x, int64_t rows, double* shift) const noexcept {
  if (center_ == Center::zero) {
    std::fill_n(shift, rows, 0.0);
    return;
  }
  const int64_t length = length_, step = std::min<int64_t>(length, kernels::kNear / sizeof(T)) / 4;
  vector_loop(0, rows, [=](int64_t r) {
    const Sample sample = sample_at(x + r * length, {0, step, 2 * step, 3 * step});
    shift[r] = round_shift<Sum>(sample.middle, sample);
  });
}

/// From sums about the shifts, `first` and out.var; where those are not good, in double, and about a better shift if
/// the first was too far off.
template <class T>
void RowBatch<T>::finish_moments(const T* x, int64_t rows, double* shift, BatchArray& first,
                                 BatchMoments& out) const noexcept {
  const auto count = static_cast<double>(length_);
  double* const second = out.var;
  const bool by_mean = center_ == Center::mean;
  const auto is_good = [=, sum = &first[0]](int64_t r) {
    return keeps_moments<T, Sum>(count, sum[r], second[r], !by_mean);
  };
  int64_t again = 0;
  for_runs(rows, is_good, [&](int64_t b, int64_t e, bool good) {
    if (good) return;
    for (int64_t r = b; r < e; ++r) {
      const auto sum = [&] { kernels_.wide.moments(x + r * length_, shift + r, extent(1), first + r, second + r); };
      sum();
      if (!by_mean || !shift_is_too_far<T>(count, first[r], second[r])) continue;
      shift[r] = better_shift(shift[r], count, first[r]);
      sum();
    }
    again += e - b;
  });
  counter_.sums(rows, again);
  if (!by_mean) std::fill_n(first, rows, 0.0);
  to_moments(rows, count, shift, first, out);
}

template <class T>
void RowBatch<T>::moments(const T* x, int64_t rows, BatchMoments& out) const noexcept {
  BatchArray shift, first;
  PerRow<Sum> shifts;
  choose_shifts(x, rows, shift);
  shifts.fill(rows, elements_of(shift));
  kernels_.fast.moments(x, shifts.values, extent(rows), first, out.var);
  finish_moments(x, rows, shift, first, out);
}

template <class T>
void RowBatch<T>::normalize(const T* x, T* y, int64_t rows, const double* mean, const double* rstd,
                            const kernels::Access& access, BatchMoments* next) const noexcept {
  const auto keeps = keeps_x_hat<Fast>(mean, rstd);
  const auto row_is_fast = [=, this](int64_t r) { return every(keeps_parameters_, keeps(r)); };
  if (next != nullptr && for_all(rows, row_is_fast)) {
    const T* const next_x = x + rows * length_;
    BatchArray shift, first;
    PerRow<Sum> shifts;
    XHatCoefficients<Fast> c;
    choose_shifts(next_x, rows, shift);
    shifts.fill(rows, elements_of(shift));
    kernels_.fused.forward(x, y, c.fill(rows, mean, rstd), parameters_, extent(rows), access, shifts.values, first,
                           next->var);
    counter_.maps(rows, 0);
    finish_moments(next_x, rows, shift, first, *next);
    return;
  }
  for_runs_to_map(rows, row_is_fast, [&](auto a, int64_t b, int64_t e) {
    using A = decltype(a);
    XHatCoefficients<A> c;
    const int64_t o = b * length_;
    phases<A>().normalize(x + o, y + o, c.fill(e - b, mean + b, rstd + b), parameters_, extent(e - b), access);
  });
  if (next != nullptr) moments(x + rows * length_, rows, *next);
}

template <class T>
void RowBatch<T>::finish_sums(const T* x, const T* dy, int64_t rows, const double* mean, const Sum* center,
                              BatchSums& out) const noexcept {
  int64_t again = 0;
  if constexpr (std::is_same_v<Sum, double>) return counter_.sums(rows, again);  // they are about the mean
  const auto is_good = [=, this, &out](int64_t r) {
    return every(keeps_parameters_, keeps_gradient_sums<Sum>(static_cast<double>(center[r]), out.g[r], out.g_xmu[r]));
  };
  for_runs(rows, is_good, [&](int64_t b, int64_t e, bool good) {
    if (good) {
      move_to_means(b, e, {out.g, out.g_xmu}, center, mean);
    } else {
      const int64_t o = b * length_;
      kernels_.wide.gradient_sums(x + o, dy + o, mean + b, parameters_.gamma, extent(e - b), out.g + b, out.g_xmu + b);
      again += e - b;
    }
  });
  counter_.sums(rows, again);
}

template <class T>
void RowBatch<T>::gradient_sums(const T* x, const T* dy, int64_t rows, const double* mean, const double* rstd,
                                BatchSums& out) const noexcept {
  PerRow<Sum> center;
  choose_centers(rows, mean, rstd, center.values);
  kernels_.fast.gradient_sums(x, dy, center.values, parameters_.gamma, extent(rows), out.g, out.g_xmu);
  finish_sums(x, dy, rows, mean, center.values, out);
}

template <class T>
void RowBatch<T>::input_gradient(const T* x, const T* dy, T* dx, int64_t rows, const double* mean, const double* rstd,
                                 const BatchSums& sums, const kernels::Access& access, BatchSums* next,
                                 const Totals* columns) const noexcept {
  BatchSlopes g;
  g.fill(rows, static_cast<double>(length_), center_, rstd, sums);
  const auto keeps = keeps_dx_of_row<Fast>(mean, rstd, g);
  const auto row_is_fast = [&](int64_t r) { return every(keeps_parameters_, keeps(r)); };
  const int64_t size = rows * length_;
  const double *next_mean = mean + rows, *next_rstd = rstd + rows;
  const bool all_fast = for_all(rows, row_is_fast);
  const bool in_blocks = columns != nullptr && all_fast && kernels::can_take_panels(dy, dx, length_, access);
  if (columns != nullptr && !in_blocks) column_sums(x, dy, rows, mean, rstd, *columns);
  if (in_blocks || (next != nullptr && all_fast)) {
    PerRow<Sum> center;
    DxCoefficients<Fast> c;
    const auto& of = c.fill(rows, mean, rstd, g.level, g.slope);
    if (next != nullptr) choose_centers(rows, next_mean, next_rstd, center.values);
    if (in_blocks) {
      XHatCoefficients<Sum> x_hat;
      kernels_.fused.all_gradients(x, dy, dx, of, parameters_.gamma, extent(rows), access, x_hat.fill(rows, mean, rstd),
                                   *columns,
                                   next == nullptr ? kernels::NextRows<Sum>{}
                                                   : kernels::NextRows<Sum>{rows, center.values, next->g, next->g_xmu});
      counter_.sums(rows, 0);
    } else {
      kernels_.fused.backward(x, dy, dx, of, parameters_.gamma, extent(rows), access, center.values, next->g,
                              next->g_xmu);
    }
    counter_.maps(rows, 0);
    if (next != nullptr) finish_sums(x + size, dy + size, rows, next_mean, center.values, *next);
    return;
  }
  for_runs_to_map(rows, row_is_fast, [&](auto a, int64_t b, int64_t e) {
    using A = decltype(a);
    DxCoefficients<A> c;
    const int64_t o = b * length_;
    phases<A>().input_gradient(x + o, dy + o, dx + o, c.fill(e - b, mean + b, rstd + b, g.level + b, g.slope + b),
                               parameters_.gamma, extent(e - b), access);
  });
  if (next != nullptr) gradient_sums(x + size, dy + size, rows, next_mean, next_rstd, *next);
}

template <class T>
void RowBatch<T>::column_sums(const T* x, const T* dy, int64_t rows, const double* mean, const double* rstd,
                              const Totals& to) const noexcept {
  const kernels::ColumnTotals<double> wide{to.wide_first, to.wide_second, to.wide_first, to.wide_second};
  const auto add_in = [&](const auto& totals, int64_t b, int64_t e) {
    using S = std::remove_pointer_t<decltype(totals.first)>;
    XHatCoefficients<S> c;
    const int64_t o = b * length_;
    phases<S>().column_sums(x + o, dy + o, extent(e - b), c.fill(e - b, mean + b, rstd + b), totals);
  };
  int64_t in_double = 0;
  for_runs(rows, keeps_x_hat<Sum>(mean, rstd), [&](int64_t b, int64_t e, bool is_fast) {
    if (is_fast) {
      add_in(to, b, e);
    } else {
      add_in(wide, b, e);
      in_double += e - b;
    }
  });
  counter_.sums(rows, in_double);
}

#define UNITVAR_INSTANTIATE(T) template class RowBatch<T>;
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar::cpu
