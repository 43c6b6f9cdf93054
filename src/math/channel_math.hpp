#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "core/vector_loop.hpp"
#include "core/workspace.hpp"

/// The formulas that stand between the phases, one channel at a time, in double.
namespace unitvar::math {

/// (B3): the biased variance. An empty batch has none; 0 keeps it finite.
inline double biased_variance(double m2, double count) noexcept { return count > 0 ? m2 / count : 0; }

/// (B3): 1 / the standard deviation.
inline double rstd_of(double var, double eps) noexcept { return 1 / std::sqrt(var + eps); }

/// An absent gamma is 1, an absent beta is 0; so is an absent gradient or tangent of a parameter.
template <class P>
double gamma_at(std::span<const P> gamma, std::int64_t c) noexcept {
  return gamma.empty() ? 1 : static_cast<double>(gamma[static_cast<std::size_t>(c)]);
}
template <class P>
double beta_at(std::span<const P> beta, std::int64_t c) noexcept {
  return beta.empty() ? 0 : static_cast<double>(beta[static_cast<std::size_t>(c)]);
}

/// From the call's doubles to what the caller has asked for, if it has.
template <class To>
void store_if_wanted(const double* from, std::span<To> to) noexcept {
  core::vector_loop(0, std::ssize(to), [=, to = to.data()](std::int64_t k) { to[k] = static_cast<To>(from[k]); });
}

/// Arrays of what stands for gamma * rstd: scale, then factor. Where the product exceeds the largest double, though
/// neither does, they are rstd and gamma; else the product and 1. No product of floats does: `factor` is null for them.
struct ScaleArrays {
  double* scale;
  double* factor;

  /// `factor` is asked for by a call for tensors of T.
  template <class T>
  static ScaleArrays of(double* scale, double* factor) noexcept {
    return {scale, std::is_same_v<T, double> ? factor : nullptr};
  }
  [[nodiscard]] ScaleArrays from(std::int64_t c) const noexcept {
    return {scale + c, factor == nullptr ? nullptr : factor + c};
  }
};

/// Of scales that are gamma * rstd(c), for channels [begin, end): the factors, and rstd where the product is not
/// finite.
template <class P, class Rstd>
void split_overflowing(std::int64_t begin, std::int64_t end, const Rstd& rstd, std::span<const P> gamma,
                       ScaleArrays to) noexcept {
  if (to.factor == nullptr) return;
  core::vector_loop(begin, end, [=](std::int64_t c) {
    const double g = gamma_at(gamma, c), r = rstd(c);
    const bool overflows = !std::isfinite(to.scale[c]) && std::isfinite(g) && std::isfinite(r);
    to.scale[c] = overflows ? r : to.scale[c];
    to.factor[c] = overflows ? g : 1;
  });
}

/// For channels [begin, end).
template <class P, class Rstd>
void fill_scales(std::int64_t begin, std::int64_t end, const Rstd& rstd, std::span<const P> gamma,
                 ScaleArrays to) noexcept {
  core::vector_loop(begin, end, [=](std::int64_t c) { to.scale[c] = gamma_at(gamma, c) * rstd(c); });
  split_overflowing(begin, end, rstd, gamma, to);
}

/// What y = (x - mean) * scale * factor + beta takes, for channels [begin, end): gamma * rstd(c), and beta in double.
template <class P, class Rstd>
void normalize_coefficients(std::int64_t begin, std::int64_t end, const Rstd& rstd, std::span<const P> gamma,
                            std::span<const P> given_beta, ScaleArrays scale, double* beta) noexcept {
  fill_scales(begin, end, rstd, gamma, scale);
  core::vector_loop(begin, end, [=](std::int64_t c) { beta[c] = beta_at(given_beta, c); });
}

/// dgamma = rstd * sum_dy_xmu (B14) and dbeta = sum_dy (B15), each if it is wanted, for channels [begin, end).
template <class P>
void parameter_gradients(std::int64_t begin, std::int64_t end, const double* rstd, const double* sum_dy,
                         const double* sum_dy_xmu, std::span<P> dgamma, std::span<P> dbeta) noexcept {
  if (!dgamma.empty()) {
    core::vector_loop(begin, end,
                      [=, to = dgamma.data()](std::int64_t c) { to[c] = static_cast<P>(rstd[c] * sum_dy_xmu[c]); });
  }
  if (!dbeta.empty()) {
    core::vector_loop(begin, end, [=, to = dbeta.data()](std::int64_t c) { to[c] = static_cast<P>(sum_dy[c]); });
  }
}

/// The coefficients of dx = ((dy - mean_dy) - (x - mean) * slope) * scale * factor (B31), for channels [begin, end).
/// rstd multiplies before and after the division by count, so that nothing under- or overflows that the result does
/// not.
struct GradientFinish {
  double count;
  double* mean_dy;
  double* slope;
  ScaleArrays scale;

  template <class P>
  void operator()(std::int64_t begin, std::int64_t end, const double* rstd, std::span<const P> gamma,
                  const double* sum_dy, const double* sum_dy_xmu) const noexcept {
    core::vector_loop(begin, end, [=, to = *this](std::int64_t c) {
      to.mean_dy[c] = sum_dy[c] / to.count;
      to.slope[c] = sum_dy_xmu[c] * rstd[c] / to.count * rstd[c];
    });
    fill_scales(
        begin, end, [rstd](std::int64_t c) { return rstd[c]; }, gamma, scale);
  }
};

/// `count` arrays of C doubles in one allocation.
class ChannelArrays {
 public:
  ChannelArrays(int count, std::int64_t channels)
      : channels_(channels), memory_(static_cast<std::size_t>(count * channels) * sizeof(double)) {}

  [[nodiscard]] double* operator[](int i) const noexcept { return memory_.as<double>() + i * channels_; }

 private:
  std::int64_t channels_;
  core::Workspace memory_;
};

}  // namespace unitvar::math
