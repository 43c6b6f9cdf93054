#include "cpu/phases/tile_phases.hpp"

#include "core/vector_loop.hpp"
#include "cpu/precision/float_policy.hpp"
#include "unitvar/dtype.hpp"

namespace unitvar::cpu {
namespace {

using core::for_all;
using core::for_runs;
using core::vector_loop;
using std::int64_t;

/// Moves the shifts that are off to the mean that their own sums give. True if one moved.
template <class T>
bool recenter(double n, int64_t channels, double* shift, math::ChannelPairs sums) noexcept {
  bool moved = false;
  for (int64_t c = 0; c < channels; ++c) {
    if (!shift_is_too_far<T>(n, sums.first[c], sums.second[c])) continue;
    shift[c] = better_shift(shift[c], n, sums.first[c]);
    moved = true;
  }
  return moved;
}

/// In place, {sum(x - shift), sum((x - shift)^2)} of n values -> mean and M2.
void to_moments(double n, int64_t channels, const double* shift, math::ChannelPairs sums) noexcept {
  vector_loop(0, channels, [=](int64_t c) {
    const MeanM2 moments = moments_about(shift[c], n, sums.first[c], sums.second[c]);
    sums.first[c] = moments.mean;
    sums.second[c] = moments.m2;
  });
}

/// Whether A maps channel `begin` + i, by its coefficients.
template <class A>
auto keeps_map(const math::NormalizeArrays& c, int64_t begin) noexcept {
  return [&c, begin](int64_t i) {
    const int64_t k = begin + i;
    return keeps_y<A>(c.mean[k], c.scale[k], c.beta[k]);
  };
}
template <class A>
auto keeps_map(const math::GradientArrays& c, int64_t begin) noexcept {
  return [&c, begin](int64_t i) {
    const int64_t k = begin + i;
    return keeps_dx<A>(c.mean[k], c.mean_dy[k], c.slope[k], c.scale[k]);
  };
}

/// What a map in A adds behind (x - center) * slope, channel by channel; and what A drops of that.
template <class A>
auto addends(const double* addend, const double* center, const double* slope) noexcept {
  return [=](int64_t i) { return addend_about<A>(addend[i], center[i], slope[i]); };
}
template <class A, class Addends>
auto remainders_of(const Addends& addend) noexcept {
  return [=](int64_t i) { return remainder_of<A>(addend(i)); };
}

math::ChannelPairs from(math::ChannelPairs pair, int64_t i) noexcept { return {pair.first + i, pair.second + i}; }

}  // namespace

template <class T>
int64_t TilePhases<T>::after(const WorkItem& item) const noexcept {
  const Extent& e = tiling_.extent;
  const Tile& t = item.tile;
  const bool row_ends = t.col + t.cols == e.inner;
  // The rows of a later sub-batch are counted on from those before it.
  const bool channel_ends = row_ends && t.row + t.rows == e.outer + item.begin / e.channels * (e.outer - 1);
  const int64_t row = channel_ends ? t.row + t.rows - e.outer : row_ends ? t.row + t.rows : t.row;
  const int64_t channel = channel_ends ? item.end : item.begin;
  return (row * e.channels + channel) * e.inner + (row_ends ? 0 : t.col + t.cols) - offset(item);
}

template <class T>
std::array<int64_t, 4> TilePhases<T>::sample_places(const WorkItem& item) const noexcept {
  if (weighted()) return epilogue_->weights->samples(item.t);
  const int64_t row = tiling_.extent.channels * tiling_.extent.inner;
  const int64_t step = planar()             ? std::min<int64_t>(item.tile.cols, kernels::kNear / sizeof(T)) / 4
                       : item.tile.rows < 4 ? 0
                                            : row;
  return {0, step, 2 * step, 3 * step};
}

template <class T>
kernels::Epilogue<T> TilePhases<T>::epilogue(const WorkItem& item) const noexcept {
  kernels::Epilogue<T> e = epilogue_->tensor;
  const Extent& of = tiling_.extent;
  const Tile& tile = item.tile;
  if (e.residual != nullptr) e.residual += offset(item);
  if (e.dresidual != nullptr) e.dresidual += offset(item);
  if (e.bits != nullptr) {
    const int64_t row = bytes_per_row_of_bits(tiling_);
    e.bits += planar() ? (tile.row * of.channels + item.begin) * row : tile.row * row;
    e.bits_row = planar() ? of.channels * row : row;
    e.bits_channel = planar() ? row : 0;
    e.bits_begin = planar() ? tile.col : item.begin * of.inner;
  }
  if (e.weights != nullptr) {
    e.weights += tile.row * of.inner + tile.col;
    e.weights_row = of.inner;
  }
  return e;
}

template <class T>
template <class Add>
void TilePhases<T>::sum_columns(const WorkItem& item, math::ChannelPairs out, const Add& sum) const noexcept {
  const int64_t n = width(tiling_);
  auto* const first = n == 1 ? out.first : array<double>(item, 1);
  auto* const second = n == 1 ? out.second : array<double>(item, 2);
  std::fill_n(first, item.channels() * n, 0.0);
  std::fill_n(second, item.channels() * n, 0.0);
  sum(first, second);
  if (n == 1) return;
  for (int64_t c = 0; c < item.channels(); ++c) {
    double a = 0, b = 0;
    for (int64_t k = c * n; k < (c + 1) * n; ++k) {
      a += first[k];
      b += second[k];
    }
    out.first[c] = a;
    out.second[c] = b;
  }
}

template <class T>
template <class A>
void TilePhases<T>::shifted_sums(const T* x, const WorkItem& item, const double* shift,
                                 math::ChannelPairs out) const noexcept {
  // All columns of a channel share a shift, so that their sums simply add.
  const A* shifts = per_column<A>(shift, item, 0);
  sum_columns(item, out, [&](double* first, double* second) {
    const T* from = x + offset(item);
    if (weighted()) {
      phases<A>(*epilogue_kernels_).moments(from, shifts, rect(item), access(item), epilogue(item), first, second);
    } else {
      phases<A>(kernels_).moments(from, shifts, rect(item), access(item), first, second);
    }
  });
}

template <class T>
template <class A>
void TilePhases<T>::centered_sums(const T* x, const T* dy, const WorkItem& item, const double* center,
                                  math::ChannelPairs out) const noexcept {
  const A* centers = per_column<A>(center, item, 0);
  sum_columns(item, out, [&](double* first, double* second) {
    const int64_t o = offset(item);
    if (epilogue_ != nullptr) {
      phases<A>(*epilogue_kernels_)
          .gradient_sums(x + o, dy + o, centers, rect(item), access(item), epilogue(item), first, second);
    } else {
      phases<A>(kernels_).gradient_sums(x + o, dy + o, centers, rect(item), access(item), first, second);
    }
  });
}

/// For channels whose first sums are not good: in double, about a better shift where the first was too far off.
template <class T>
void TilePhases<T>::sum_again(const T* x, const WorkItem& item, double* shift, math::ChannelPairs out) const noexcept {
  const double n = count(item);
  if constexpr (!std::is_same_v<Sum, double>) shifted_sums<double>(x, item, shift, out);
  if (recenter<T>(n, item.channels(), shift, out)) shifted_sums<double>(x, item, shift, out);
}

template <class T>
double* TilePhases<T>::choose_shifts(const T* x, const WorkItem& item) const noexcept {
  auto* const shift = array<double>(item, 3);  // of the whole item: the parts' arrays 0 to 2 end before it
  const T* data = x + offset(item);
  const int64_t inner = tiling_.extent.inner;
  vector_loop(0, item.channels(), [=, places = sample_places(item)](int64_t c) {
    const Sample sample = sample_at(data + c * inner, places);
    shift[c] = round_shift<Sum>(sample.middle, sample);
  });
  return shift;
}

template <class T>
const double* TilePhases<T>::choose_centers(const T* x, const WorkItem& item, const double* mean) const noexcept {
  if constexpr (std::is_same_v<Sum, double>) return mean + item.begin;
  auto* const center = array<double>(item, 3);
  const T* data = x + offset(item);
  const int64_t inner = tiling_.extent.inner;
  const double* const means = mean + item.begin;
  vector_loop(0, item.channels(), [=, places = sample_places(item)](int64_t c) {
    center[c] = round_shift<Sum>(means[c], sample_at(data + c * inner, places));
  });
  return center;
}

template <class T>
void TilePhases<T>::finish_moments(const T* x, const WorkItem& item, double* shift,
                                   math::ChannelPairs out) const noexcept {
  const double n = count(item);
  const auto is_good = [&](int64_t c) { return keeps_moments<T, Sum>(n, out.first[c], out.second[c]); };
  int64_t again = 0;
  for_runs(item.channels(), is_good, [&](int64_t b, int64_t e, bool good) {
    if (good) return;
    sum_again(x, item.part(b, e), shift + b, from(out, b));
    again += e - b;
  });
  counter_.sums(item.channels(), again);
  to_moments(n, item.channels(), shift, out);
}

template <class T>
void TilePhases<T>::moments(const T* x, const WorkItem& item, math::ChannelPairs out) const noexcept {
  if (weighted() && count(item) == 0) {
    std::fill_n(out.first, item.channels(), 0.0);
    std::fill_n(out.second, item.channels(), 0.0);
    counter_.sums(item.channels(), 0);
    return;
  }
  double* const shift = choose_shifts(x, item);
  shifted_sums<Sum>(x, item, shift, out);
  finish_moments(x, item, shift, out);
}

/// A sum of dy that float keeps stays even if the other is summed again: it may not depend on x.
template <class T>
void TilePhases<T>::finish_sums(const T* x, const T* dy, const WorkItem& item, const double* mean, const double* center,
                                math::ChannelPairs out) const noexcept {
  int64_t again = 0;
  if constexpr (std::is_same_v<Sum, double>) return counter_.sums(item.channels(), again);  // they are about the mean
  const double* means = mean + item.begin;
  const auto is_good = [&](int64_t c) { return keeps_gradient_sums<Sum>(center[c], out.first[c], out.second[c]); };
  for_runs(item.channels(), is_good, [&](int64_t b, int64_t e, bool good) {
    move_to_means(b, e, out, center, means);
    if (good) return;
    again += e - b;
    auto* const kept = array<double>(item, 3);
    std::copy(out.first + b, out.first + e, kept + b);
    centered_sums<double>(x, dy, item.part(b, e), means + b, from(out, b));
    for (int64_t c = b; c < e; ++c) {
      if (keeps_digits_of<Sum>(kept[c])) out.first[c] = kept[c];
    }
  });
  counter_.sums(item.channels(), again);
}

template <class T>
void TilePhases<T>::gradient_sums(const T* x, const T* dy, const WorkItem& item, const double* mean,
                                  math::ChannelPairs out) const noexcept {
  const double* const center = choose_centers(x, item, mean);
  centered_sums<Sum>(x, dy, item, center, out);
  finish_sums(x, dy, item, mean, center, out);
}

template <class T>
template <class A>
kernels::NormalizeCoefficients<const A*> TilePhases<T>::coefficients(const WorkItem& item,
                                                                     const math::NormalizeArrays& c) const noexcept {
  const int64_t b = item.begin;
  return {per_column<A>(c.mean + b, item, 0), per_column<A>(c.scale + b, item, 1),
          fill<A>(item, 2, addends<A>(c.beta + b, c.mean + b, c.scale + b))};
}

template <class T>
template <class A>
kernels::GradientCoefficients<const A*> TilePhases<T>::coefficients(const WorkItem& item,
                                                                    const math::GradientArrays& c) const noexcept {
  const int64_t b = item.begin;
  const auto level = addends<A>(c.mean_dy + b, c.mean + b, c.slope + b);
  const kernels::Split<const A*> levels{
      fill<A>(item, 2, level), std::is_same_v<A, double> ? nullptr : fill<A>(item, 4, remainders_of<A>(level))};
  return {per_column<A>(c.mean + b, item, 0), levels, per_column<A>(c.slope + b, item, 1),
          per_column<A>(c.scale + b, item, 3)};
}

template <class T>
template <class A>
void TilePhases<T>::normalize_in(const T* x, T* y, const WorkItem& item,
                                 const math::NormalizeArrays& c) const noexcept {
  const int64_t o = offset(item);
  if (epilogue_ != nullptr) {
    phases<A>(*epilogue_kernels_)
        .normalize(x + o, y + o, coefficients<A>(item, c), rect(item), access(item), epilogue(item));
  } else {
    phases<A>(kernels_).normalize(x + o, y + o, coefficients<A>(item, c), rect(item), access(item));
  }
}

template <class T>
template <class A>
void TilePhases<T>::input_gradient_in(const T* x, const T* dy, T* dx, const WorkItem& item,
                                      const math::GradientArrays& c) const noexcept {
  const int64_t o = offset(item);
  const auto of = coefficients<A>(item, c);
  if (epilogue_ != nullptr) {
    phases<A>(*epilogue_kernels_).input_gradient(x + o, dy + o, dx + o, of, rect(item), access(item), epilogue(item));
  } else {
    phases<A>(kernels_).input_gradient(x + o, dy + o, dx + o, of, rect(item), access(item));
  }
}

template <class T>
void TilePhases<T>::normalize_once(const T* x, T* y, const WorkItem& item,
                                   const math::NormalizeArrays& c) const noexcept {
  for_runs_to_map(item, keeps_map<Fast>(c, item.begin),
                  [&](auto a, int64_t b, int64_t e) { normalize_in<decltype(a)>(x, y, item.part(b, e), c); });
}

template <class T>
void TilePhases<T>::apply_once(const T* x, T* out, const WorkItem& item, const math::NormalizeArrays& c,
                               const kernels::Function<T>& function) const noexcept {
  const auto& kernels = kernels::function_kernels_for<T>(kernels_.isa);
  for_runs_to_map(item, keeps_map<Fast>(c, item.begin), [&](auto a, int64_t b, int64_t e) {
    using A = decltype(a);
    const WorkItem part = item.part(b, e);
    const int64_t o = offset(part);
    const auto [stores, ahead, after] = access(part);
    phases<A>(kernels).apply(x + o, out + o, coefficients<A>(part, c), rect(part),
                             {kernels::Stores::cached, ahead, after}, function.from(o));
  });
}

template <class T>
void TilePhases<T>::input_gradient_once(const T* x, const T* dy, T* dx, const WorkItem& item,
                                        const math::GradientArrays& c) const noexcept {
  for_runs_to_map(item, keeps_map<Fast>(c, item.begin),
                  [&](auto a, int64_t b, int64_t e) { input_gradient_in<decltype(a)>(x, dy, dx, item.part(b, e), c); });
}

template <class T>
void TilePhases<T>::normalize_and_moments(const T* x, T* y, const WorkItem& item, const math::NormalizeArrays& c,
                                          const WorkItem& next, math::ChannelPairs out) const noexcept {
  if (weighted() || !can_fuse(item, next) || has_factors(item, c.factor) ||
      !for_all(item.channels(), keeps_map<Fast>(c, item.begin))) {
    normalize(x, y, item, c);
    moments(x, next, out);
    return;
  }
  double* const shift = choose_shifts(x, next);
  const Sum* shifts = per_column<Sum>(shift, next, 0);
  sum_columns(next, out, [&](double* first, double* second) {
    const int64_t o = offset(item), to_next = offset(next) - o;
    const auto of = coefficients<Fast>(item, c);
    if (epilogue_ != nullptr) {
      epilogue_kernels_->fused.forward(x + o, y + o, of, rect(item), access(item), epilogue(item), to_next, shifts,
                                       first, second);
    } else {
      kernels_.fused.forward(x + o, y + o, of, rect(item), access(item), to_next, shifts, first, second);
    }
  });
  count_maps(item, 0);
  finish_moments(x, next, shift, out);
}

template <class T>
void TilePhases<T>::input_gradient_and_sums(const T* x, const T* dy, T* dx, const WorkItem& item,
                                            const math::GradientArrays& c, const WorkItem& next,
                                            math::ChannelPairs out) const noexcept {
  if (weighted() || !can_fuse(item, next) || has_factors(item, c.factor) ||
      !for_all(item.channels(), keeps_map<Fast>(c, item.begin))) {
    input_gradient(x, dy, dx, item, c);
    gradient_sums(x, dy, next, c.mean, out);
    return;
  }
  const double* const center = choose_centers(x, next, c.mean);
  const Sum* centers = per_column<Sum>(center, next, 0);
  sum_columns(next, out, [&](double* first, double* second) {
    const int64_t o = offset(item), to_next = offset(next) - o;
    const auto of = coefficients<Fast>(item, c);
    if (epilogue_ != nullptr) {
      epilogue_kernels_->fused.backward(x + o, dy + o, dx + o, of, rect(item), access(item), epilogue(item), to_next,
                                        epilogue(next), centers, first, second);
    } else {
      kernels_.fused.backward(x + o, dy + o, dx + o, of, rect(item), access(item), to_next, centers, first, second);
    }
  });
  count_maps(item, 0);
  finish_sums(x, dy, next, c.mean, center, out);
}

#define UNITVAR_INSTANTIATE(T) template class TilePhases<T>;
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar::cpu
