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
    vector_loop(0, rows, [=, this](int64_t r) {
      center.values[r] = static_cast<A>(mean[r]);
      scale.values[r] = static_cast<A>(rstd[r]);
      addend.values[r] = static_cast<A>(addend_about<A>(kNothingAdded, mean[r], rstd[r]));
    });
    return {center.values, scale.values, addend.values};
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
      along[r] = sums.g_x_hat[r] / count;
      const double mean_g = sums.g[r] / count;
      mean[r] = by_mean || !tells_size(along[r]) ? mean_g : 0;
      level[r] = by_mean ? mean_g : 0;  // the mean may be infinite: a product with 0 would not do
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
      const auto sum = [&] {
        kernels_.wide.moments(x + r * length_, by_mean ? shift + r : nullptr, extent(1), first + r, second + r);
      };
      sum();
      if (!by_mean || !shift_is_too_far<T>(count, first[r], second[r])) continue;
      shift[r] = better_shift(shift[r], count, first[r]);
      sum();
    }
    again += e - b;
  });
  counter_.sums(rows, again);
  to_moments(rows, count, shift, first, out);
}

template <class T>
void RowBatch<T>::moments(const T* x, int64_t rows, BatchMoments& out) const noexcept {
  BatchArray shift, first;
  if (center_ == Center::mean) {
    choose_shifts(x, rows, shift);
    if constexpr (std::is_same_v<Sum, double>) {
      kernels_.fast.moments(x, shift, extent(rows), first, out.var);
    } else {
      PerRow<Sum> shifts;
      kernels_.fast.moments(x, shifts.fill(rows, elements_of(shift)), extent(rows), first, out.var);
    }
  } else {
    std::fill_n(shift, rows, 0.0);
    std::fill_n(first, rows, 0.0);
    kernels_.fast.moments(x, nullptr, extent(rows), first, out.var);
  }
  finish_moments(x, rows, shift, first, out);
}

template <class T>
void RowBatch<T>::normalize(const T* x, T* y, int64_t rows, const double* mean, const double* rstd,
                            const kernels::Access& access) const noexcept {
  const auto keeps = keeps_x_hat<Fast>(mean, rstd);
  const auto row_is_fast = [=, this](int64_t r) { return every(keeps_parameters_, keeps(r)); };
  for_runs_to_map(rows, row_is_fast, [&](auto a, int64_t b, int64_t e) {
    using A = decltype(a);
    XHatCoefficients<A> c;
    const int64_t o = b * length_;
    phases<A>().normalize(x + o, y + o, c.fill(e - b, mean + b, rstd + b), parameters_, extent(e - b), access);
  });
}

/// What gradient sums are taken of.
template <class T>
struct RowBatch<T>::GradientInput {
  const T *x, *dy;
  int64_t rows;
  const double *mean, *rstd;
};

/// The sums of rows [b, e), in S. Sums that are not centered are those of RMS normalization, without the first of both.
template <class T>
template <class S>
void RowBatch<T>::sums_in(const GradientInput& rows, int64_t b, int64_t e, bool centered, BatchSums& out,
                          const kernels::ColumnTotals<S>* columns) const noexcept {
  XHatCoefficients<S> c;
  const int64_t o = b * length_;
  kernels::NormalizeCoefficients<const S*> of = c.fill(e - b, rows.mean + b, rows.rstd + b);
  if (!centered) of = {nullptr, of.scale, nullptr};
  phases<S>().gradient_sums(rows.x + o, rows.dy + o, extent(e - b), of, parameters_.gamma, out.g + b, out.g_x_hat + b,
                            columns);
}

/// Sums in float that are not good, again in double. Of RMS normalization, the first sum where it is needed. Returns
/// how many rows were not good.
template <class T>
int64_t RowBatch<T>::finish_sums(const GradientInput& rows, BatchSums& out) const noexcept {
  const bool by_mean = center_ == Center::mean;
  const auto count = static_cast<double>(length_);
  const auto is_good = [=, this, in_float = keeps_x_hat<Sum>(rows.mean, rows.rstd), &out](int64_t r) {
    return any(std::is_same_v<Sum, double>, !in_float(r),
               every(keeps_parameters_, keeps_gradient_sums<Sum>(0, by_mean ? out.g[r] : 0, out.g_x_hat[r])));
  };
  const auto has_all = [=, &out](int64_t r) { return any(by_mean, tells_size(out.g_x_hat[r] / count)); };
  int64_t again = 0;
  const auto finish = [&](int64_t b, int64_t e, bool is_done) {
    for (int64_t r = b; !is_done && r < e; ++r) {
      if (!is_good(r)) ++again;
      sums_in<double>(rows, r, r + 1, true, out, nullptr);
    }
  };
  for_runs(
      rows.rows, [=](int64_t r) { return every(is_good(r), has_all(r)); }, finish);
  return again;
}

template <class T>
void RowBatch<T>::gradient_sums(const T* x, const T* dy, int64_t rows, const double* mean, const double* rstd,
                                BatchSums* out, const Totals* columns, bool with_dbeta) const noexcept {
  const GradientInput all{x, dy, rows, mean, rstd};
  const bool centered = center_ == Center::mean || (columns != nullptr && with_dbeta);
  BatchSums unused;
  BatchSums& to = out == nullptr ? unused : *out;
  if (!centered) std::fill_n(to.g, rows, 0.0);
  kernels::ColumnTotals<double> wide{};
  if (columns != nullptr) wide = {columns->wide_first, columns->wide_second, nullptr, nullptr};
  int64_t in_double = 0;
  for_runs(rows, keeps_x_hat<Sum>(mean, rstd), [&](int64_t b, int64_t e, bool is_fast) {
    if (is_fast) return sums_in<Sum>(all, b, e, centered, to, columns);
    in_double += e - b;
    sums_in<double>(all, b, e, centered, to, columns == nullptr ? nullptr : &wide);
  });
  if (columns != nullptr) counter_.sums(rows, in_double);
  if (out != nullptr) counter_.sums(rows, in_double + finish_sums(all, to));
}

template <class T>
void RowBatch<T>::input_gradient(const T* x, const T* dy, const T* dh, T* dx, int64_t rows, const double* mean,
                                 const double* rstd, const BatchSums& sums,
                                 const kernels::Access& access) const noexcept {
  BatchSlopes g;
  g.fill(rows, static_cast<double>(length_), center_, rstd, sums);
  const auto keeps = keeps_dx_of_row<Fast>(mean, rstd, g);
  const auto row_is_fast = [&](int64_t r) { return every(keeps_parameters_, keeps(r)); };
  for_runs_to_map(rows, row_is_fast, [&](auto a, int64_t b, int64_t e) {
    using A = decltype(a);
    DxCoefficients<A> c;
    const int64_t o = b * length_;
    phases<A>().input_gradient(x + o, dy + o, dh == nullptr ? nullptr : dh + o, dx + o,
                               c.fill(e - b, mean + b, rstd + b, g.level + b, g.slope + b), parameters_.gamma,
                               extent(e - b), access);
  });
}

#define UNITVAR_INSTANTIATE(T) template class RowBatch<T>;
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar::cpu
