#include "norm/cells.hpp"

#include <cmath>

#include "norm/ordinary.hpp"
#include "unitvar/dtype.hpp"

namespace unitvar::norm {
namespace {

using std::int64_t;

/// A shift k standard deviations away from the mean costs a factor 1 + k^2 of precision in M2; beyond k = 2 it is too
/// much. Few tiles have it: those whose shift was taken from an outlier. False for NaN, which nothing repairs.
bool is_off_center(double n, double first, double second) noexcept {
  constexpr double kMost = 2 * 2;
  const double between = first * (first / n);
  return between > kMost * (second - between);
}

/// Moves the shifts that are off to the mean that their own sums give. True if one moved.
bool recenter(double n, int64_t channels, double* shift, PairArrays sums) noexcept {
  bool moved = false;
  for (int64_t c = 0; c < channels; ++c) {
    if (!is_off_center(n, sums.first[c], sums.second[c])) continue;
    shift[c] += sums.first[c] / n;
    moved = true;
  }
  return moved;
}

/// In place, {sum(x - shift), sum((x - shift)^2)} of n values -> mean and M2.
void to_moments(double n, int64_t channels, const double* shift, PairArrays sums) noexcept {
  for (int64_t c = 0; c < channels; ++c) {
    const double from_shift = sums.first[c] / n;
    const double m2 = sums.second[c] - sums.first[c] * from_shift;
    sums.first[c] = shift[c] + from_shift;
    sums.second[c] = m2 < 0 ? 0 : m2;  // keeps NaN
  }
}

/// Calls f(begin, end, value) for each maximal run of 0 .. n-1 with the same value of predicate(index).
template <class Predicate, class F>
void for_runs(int64_t n, const Predicate& predicate, const F& f) noexcept {
  for (int64_t begin = 0; begin < n;) {
    const bool value = predicate(begin);
    int64_t end = begin + 1;
    while (end < n && predicate(end) == value) ++end;
    f(begin, end, value);
    begin = end;
  }
}

/// Calls f with a value of the type to compute in.
template <class Fast, class F>
void in_arithmetic(bool fast, const F& f) noexcept {
  if constexpr (!std::is_same_v<Fast, double>) {
    if (fast) {
      f(Fast());
      return;
    }
  }
  f(double());
}

template <class A>
kernels::Split<A> split(double value) noexcept {
  const A hi = static_cast<A>(value);
  return {hi, static_cast<A>(value - static_cast<double>(hi))};
}

PairArrays from(PairArrays pair, int64_t i) noexcept { return {pair.first + i, pair.second + i}; }

}  // namespace

template <class T>
template <class A>
const A* Cells<T>::per_column(const double* values, const Cell& cell, int i) const noexcept {
  const int64_t inner = tiling_.extent.inner;
  if constexpr (std::is_same_v<A, double>) {
    if (inner == 1) return values;
  }
  auto* const out = array<A>(cell, i);
  A* next = out;
  for (int64_t c = 0; c < cell.channels(); ++c) next = std::fill_n(next, inner, static_cast<A>(values[c]));
  return out;
}

template <class T>
template <class A>
kernels::Split<const A*> Cells<T>::split_per_column(const double* values, const Cell& cell, int i) const noexcept {
  const A* hi = per_column<A>(values, cell, i);
  if constexpr (std::is_same_v<A, double>) {
    return {hi, nullptr};
  } else {
    const int64_t inner = tiling_.extent.inner;
    auto* const lo = array<A>(cell, i + 1);
    for (int64_t c = 0; c < cell.channels(); ++c) {
      std::fill_n(lo + c * inner, inner, static_cast<A>(values[c] - static_cast<double>(hi[c * inner])));
    }
    return {hi, lo};
  }
}

template <class T>
template <class Sum>
void Cells<T>::sum_columns(const Cell& cell, PairArrays out, const Sum& sum) const noexcept {
  const int64_t inner = tiling_.extent.inner;
  auto* const first = array<double>(cell, 1);
  auto* const second = array<double>(cell, 2);
  std::fill_n(first, cell.channels() * inner, 0.0);
  std::fill_n(second, cell.channels() * inner, 0.0);
  sum(first, second);
  for (int64_t c = 0; c < cell.channels(); ++c) {
    double a = 0, b = 0;
    for (int64_t k = c * inner; k < (c + 1) * inner; ++k) {
      a += first[k];
      b += second[k];
    }
    out.first[c] = a;
    out.second[c] = b;
  }
}

template <class T>
template <class A>
void Cells<T>::shifted_sums(const T* x, const Cell& cell, const double* shift, PairArrays out) const noexcept {
  const T* data = x + offset(cell);
  if (planar()) {
    const kernels::SumPair sums = arithmetic<A>().planar_moments(data, rect(cell), static_cast<A>(*shift));
    *out.first = sums.first;
    *out.second = sums.second;
    return;
  }
  // All columns of a channel share a shift, so that their sums simply add.
  const A* shifts = per_column<A>(shift, cell, 0);
  sum_columns(cell, out, [&](double* first, double* second) {
    arithmetic<A>().interleaved_moments(data, rect(cell), shifts, first, second);
  });
}

/// The mean of four values from all over the tile, as far as Fast holds it: half a standard deviation off, as a rule.
template <class T>
double Cells<T>::first_guess(const T* data, const Cell& cell) const noexcept {
  const int64_t row_step = cell.tile.rows / 4 * tiling_.extent.channels * tiling_.extent.inner;
  const int64_t step = row_step + cell.tile.cols / 4;
  const double sum = static_cast<double>(data[0]) + static_cast<double>(data[step]) +
                     static_cast<double>(data[2 * step]) + static_cast<double>(data[3 * step]);
  return static_cast<double>(static_cast<Fast>(sum / 4));
}

/// For channels whose first sums are not to be trusted: in double, about a better shift if it is the shift's fault.
template <class T>
void Cells<T>::sum_again(const T* x, const Cell& cell, double* shift, PairArrays out) const noexcept {
  const auto n = static_cast<double>(cell.tile.rows * cell.tile.cols);
  if constexpr (!std::is_same_v<Fast, double>) shifted_sums<double>(x, cell, shift, out);
  if (recenter(n, cell.channels(), shift, out)) shifted_sums<double>(x, cell, shift, out);
}

template <class T>
void Cells<T>::moments(const T* x, const Cell& cell, PairArrays out) const noexcept {
  const T* data = x + offset(cell);
  const auto n = static_cast<double>(cell.tile.rows * cell.tile.cols);
  auto* const shift = array<double>(cell, 3);  // of the whole cell: the parts' arrays 0 to 2 end before it
  for (int64_t c = 0; c < cell.channels(); ++c) shift[c] = first_guess(data + c * tiling_.extent.inner, cell);
  shifted_sums<Fast>(x, cell, shift, out);
  const auto trusted = [&](int64_t c) {
    return is_ordinary_sum<Fast>(out.second[c]) && !is_off_center(n, out.first[c], out.second[c]);
  };
  for_runs(cell.channels(), trusted, [&](int64_t b, int64_t e, bool good) {
    if (!good) sum_again(x, cell.part(b, e), shift + b, from(out, b));
  });
  to_moments(n, cell.channels(), shift, out);
}

/// About `center`, one for each of the cell's channels.
template <class T>
template <class A>
void Cells<T>::centered_sums(const T* x, const T* dy, const Cell& cell, const double* center,
                             PairArrays out) const noexcept {
  const int64_t o = offset(cell);
  if (planar()) {
    const auto sums = arithmetic<A>().planar_gradient_sums(x + o, dy + o, rect(cell), static_cast<A>(*center));
    *out.first = sums.first;
    *out.second = sums.second;
    return;
  }
  const A* centers = per_column<A>(center, cell, 0);
  sum_columns(cell, out, [&](double* first, double* second) {
    arithmetic<A>().interleaved_gradient_sums(x + o, dy + o, rect(cell), centers, first, second);
  });
}

/// In float about a short number near the mean, what lies between the two being made good in double. Channels whose
/// sums are not to be trusted are summed again in double; of these, a sum of dy that is finite stays: it may not depend
/// on x.
template <class T>
void Cells<T>::fast_gradient_sums(const T* x, const T* dy, const Cell& cell, const double* mean,
                                  PairArrays out) const noexcept {
  auto* const kept = array<double>(cell, 3);  // of the whole cell: the parts' arrays 0 to 2 end before it
  const double* means = mean + cell.begin;
  for (int64_t c = 0; c < cell.channels(); ++c) {
    kept[c] = short_center(means[c], static_cast<double>(x[offset(cell) + c * tiling_.extent.inner]));
  }
  centered_sums<Fast>(x, dy, cell, kept, out);
  for (int64_t c = 0; c < cell.channels(); ++c) {
    out.second[c] += (static_cast<double>(static_cast<Fast>(kept[c])) - means[c]) * out.first[c];
  }
  const auto trusted = [&](int64_t c) { return std::isfinite(out.first[c]) && is_ordinary_sum<Fast>(out.second[c]); };
  for_runs(cell.channels(), trusted, [&](int64_t b, int64_t e, bool good) {
    if (good) return;
    std::copy(out.first + b, out.first + e, kept + b);
    centered_sums<double>(x, dy, cell.part(b, e), means + b, from(out, b));
    for (int64_t c = b; c < e; ++c) {
      if (std::isfinite(kept[c])) out.first[c] = kept[c];
    }
  });
}

template <class T>
void Cells<T>::gradient_sums(const T* x, const T* dy, const Cell& cell, const double* mean,
                             PairArrays out) const noexcept {
  if constexpr (std::is_same_v<kernels::gradient_t<T>, double>) {
    centered_sums<double>(x, dy, cell, mean + cell.begin, out);
  } else {
    fast_gradient_sums(x, dy, cell, mean, out);
  }
}

template <class T>
template <class A>
void Cells<T>::normalize_in(const T* x, T* y, const Cell& cell, const NormalizeArrays& c) const noexcept {
  const int64_t o = offset(cell);
  const int64_t b = cell.begin;
  if (planar()) {
    arithmetic<A>().planar_normalize(x + o, y + o, rect(cell),
                                     {split<A>(c.mean[b]), static_cast<A>(c.scale[b]), static_cast<A>(c.beta[b])},
                                     access_);
    return;
  }
  arithmetic<A>().interleaved_normalize(x + o, y + o, rect(cell),
                                        {split_per_column<A>(c.mean + b, cell, 0), per_column<A>(c.scale + b, cell, 2),
                                         per_column<A>(c.beta + b, cell, 3)},
                                        access_);
}

template <class T>
void Cells<T>::normalize(const T* x, T* y, const Cell& cell, const NormalizeArrays& c) const noexcept {
  const auto by_float = [&](int64_t i) {
    const int64_t k = cell.begin + i;
    return is_ordinary<Fast>(c.mean[k]) && is_ordinary<Fast>(c.scale[k]) && is_ordinary<Fast>(c.beta[k]);
  };
  for_runs(cell.channels(), by_float, [&](int64_t b, int64_t e, bool fast) {
    in_arithmetic<Fast>(fast, [&](auto a) { normalize_in<decltype(a)>(x, y, cell.part(b, e), c); });
  });
}

template <class T>
template <class A>
void Cells<T>::input_gradient_in(const T* x, const T* dy, T* dx, const Cell& cell,
                                 const GradientArrays& c) const noexcept {
  const int64_t o = offset(cell);
  const int64_t b = cell.begin;
  if (planar()) {
    arithmetic<A>().planar_input_gradient(
        x + o, dy + o, dx + o, rect(cell),
        {split<A>(c.mean[b]), split<A>(c.mean_dy[b]), static_cast<A>(c.slope[b]), static_cast<A>(c.scale[b])}, access_);
    return;
  }
  // In double, mean and mean_dy have no second array.
  constexpr int kSplit = std::is_same_v<A, double> ? 1 : 2;
  arithmetic<A>().interleaved_input_gradient(
      x + o, dy + o, dx + o, rect(cell),
      {split_per_column<A>(c.mean + b, cell, 0), split_per_column<A>(c.mean_dy + b, cell, kSplit),
       per_column<A>(c.slope + b, cell, 2 * kSplit), per_column<A>(c.scale + b, cell, 2 * kSplit + 1)},
      access_);
}

template <class T>
void Cells<T>::input_gradient(const T* x, const T* dy, T* dx, const Cell& cell,
                              const GradientArrays& c) const noexcept {
  const auto by_float = [&](int64_t i) {
    const int64_t k = cell.begin + i;
    return is_ordinary<Fast>(c.mean[k]) && is_ordinary<Fast>(c.mean_dy[k]) && is_ordinary<Fast>(c.slope[k]) &&
           is_ordinary<Fast>(c.scale[k]);
  };
  for_runs(cell.channels(), by_float, [&](int64_t b, int64_t e, bool fast) {
    in_arithmetic<Fast>(fast, [&](auto a) { input_gradient_in<decltype(a)>(x, dy, dx, cell.part(b, e), c); });
  });
}

#define UNITVAR_INSTANTIATE(T) template class Cells<T>;
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar::norm
